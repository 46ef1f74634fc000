package decode

import "fmt"

// Bounds say how much memory a stream may ask for. Whatever it says of itself, a
// file of any format is read in less than 1 GiB in all: a reader checks what a
// file asks for before it takes the memory, and what is over a bound is a reject
// that names it. Go's collector lets the heap grow to twice of what is in use, so
// the bounds of one format together stay below a third of that.
const (
	maxPart    = 128 << 20 // a part that is unpacked whole, such as a page of Parquet
	maxParts   = 256 << 20 // all parts that are held at the same time
	maxColumns = 10_000    // of a table
)

// OverError says that a stream asks for more memory than a bound allows.
type OverError struct {
	What string // for people, such as "a window of the unpacker"
	Asks int64  // negative: not known
	Most int64
	Key  string // of the configuration, which raises the bound; "" when none does
}

// Error says what asks for how much.
func (e *OverError) Error() string {
	asks := "more"
	if e.Asks >= 0 {
		asks = fmt.Sprintf("%d bytes", e.Asks)
	}
	if e.Key == "" {
		return fmt.Sprintf("%s would take %s of memory, %d are allowed", e.What, asks, e.Most)
	}
	return fmt.Sprintf("%s would take %s of memory, %s allows %d", e.What, asks, e.Key, e.Most)
}

// Within returns an OverError when what asks for more than most.
func Within(what string, asks, most int64, key string) error {
	if asks >= 0 && asks <= most {
		return nil
	}
	return &OverError{What: what, Asks: asks, Most: most, Key: key}
}
