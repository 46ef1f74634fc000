package schedules

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/feedlake/feedlake"
)

// Cron says when a plan is due: the first instant after t, or the zero time
// when there is none. The schedules of robfig/cron satisfy it.
type Cron interface{ Next(t time.Time) time.Time }

// ParseCron reads a cron expression: five fields (minute, hour, day of month,
// month, day of week), or @hourly, @daily, @weekly, @monthly, @yearly, or
// "@every 10m". The fields are in zone, nil meaning UTC; a prefix such as
// "CRON_TZ=Europe/Berlin " overrides it. An hour that a change to summer time
// leaves out is not made up for, and one that comes twice is due twice; UTC
// has neither. Errors wrap feedlake.ErrConfig.
func ParseCron(spec string, zone *time.Location) (Cron, error) {
	if zone == nil {
		zone = time.UTC
	}
	spec = strings.TrimSpace(spec)
	named := strings.HasPrefix(spec, "TZ=") || strings.HasPrefix(spec, "CRON_TZ=")
	if named && !strings.Contains(spec, " ") { // the parser would panic
		return nil, badCron(spec, "a time zone without an expression")
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	c, err := parser.Parse(spec)
	if err != nil {
		return nil, badCron(spec, err.Error())
	}
	if s, ok := c.(*cron.SpecSchedule); ok && !named {
		s.Location = zone // the parser's default is the zone of the machine
	}
	if c.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, badCron(spec, "it never comes due")
	}
	return c, nil
}

func badCron(spec, why string) error {
	err := fmt.Errorf("read cron expression %q: %s: %w", spec, why, feedlake.ErrConfig)
	return feedlake.Hint(err, `five fields such as "15 2 * * *" (02:15 every day), @daily, or @every 10m`)
}
