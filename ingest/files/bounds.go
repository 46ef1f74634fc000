package files

import (
	"fmt"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/decode"
)

// Bounds that hold unless the configuration says otherwise. A window of 256 MiB
// is twice what zstd itself unpacks unasked.
const (
	defaultMaxRecord = 8 << 20
	defaultMaxWindow = 256 << 20
	leastWindow      = 1 << 20
	mostWindow       = 2 << 30  // what "zstd --long=31" writes
	longWindow       = 64 << 20 // worth giving back at once
)

// checkBounds fills in the bounds that are not configured.
func (c *Config) checkBounds() error {
	if c.MaxRecord == 0 {
		c.MaxRecord = defaultMaxRecord
	}
	if c.MaxRecord < 0 {
		return fmt.Errorf("max_record_bytes: %d is no size: %w", c.MaxRecord, feedlake.ErrConfig)
	}
	if c.MaxWindow == 0 {
		c.MaxWindow = defaultMaxWindow
	}
	if c.MaxWindow < leastWindow || c.MaxWindow > mostWindow {
		return feedlake.Hint(fmt.Errorf("max_window_bytes: %d is not between %d and %d: %w", c.MaxWindow, leastWindow, int64(mostWindow), feedlake.ErrConfig),
			"leave it out, or take %d for what \"zstd --long=31\" wrote", int64(mostWindow))
	}
	return nil
}

// withinWindow checks the window, or dictionary, that an unpacker must hold.
func withinWindow(asks, most int64) error {
	return decode.Within("unpacking", asks, most, "max_window_bytes")
}
