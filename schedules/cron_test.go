package schedules

import (
	"errors"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestParseCron(t *testing.T) {
	for _, c := range []struct {
		spec, zone, after, want string
	}{
		{"15 2 * * *", "", "2016-10-06T02:15:00Z", "2016-10-07T02:15:00Z"},
		{"@daily", "", "2016-10-06T13:00:00Z", "2016-10-07T00:00:00Z"},
		{"@hourly", "", "2016-10-06T13:00:01Z", "2016-10-06T14:00:00Z"},
		{"*/20 8-9 * * mon-fri", "", "2016-10-07T09:40:00Z", "2016-10-10T08:00:00Z"},
		{"0 2 * * *", "Europe/Berlin", "2016-10-06T12:00:00Z", "2016-10-07T00:00:00Z"},
		{"CRON_TZ=Asia/Tokyo 0 9 * * *", "Europe/Berlin", "2016-10-06T12:00:00Z", "2016-10-07T00:00:00Z"},
		{"@every 10m", "", "2016-10-06T12:03:00Z", "2016-10-06T12:13:00Z"},
		// 02:30 does not exist in Berlin on 26 March 2017, and comes twice on 30 October 2016.
		{"30 2 * * *", "Europe/Berlin", "2017-03-25T12:00:00Z", "2017-03-27T00:30:00Z"},
		{"30 2 * * *", "Europe/Berlin", "2016-10-30T00:00:00Z", "2016-10-30T00:30:00Z"},
		{"30 2 * * *", "Europe/Berlin", "2016-10-30T00:30:00Z", "2016-10-30T01:30:00Z"},
		{"  0 0 29 2 *  ", "", "2016-10-06T12:00:00Z", "2020-02-29T00:00:00Z"},
	} {
		t.Run(c.spec+" after "+c.after, func(t *testing.T) {
			var z *time.Location
			if c.zone != "" {
				z = zone(t, c.zone)
			}
			cron, err := ParseCron(c.spec, z)
			if err != nil {
				t.Fatal(err)
			}
			if got := cron.Next(at(c.after)).UTC(); !got.Equal(at(c.want)) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestParseCronRejects(t *testing.T) {
	for _, spec := range []string{
		"", "   ", "* * * *", "* * * * * *", "61 * * * *", "x * * * *", "@never", "@every soon",
		"TZ=Nowhere/Town 0 0 * * *", "CRON_TZ=UTC", "TZ=\t0 0 * * *", "0 0 31 2 *", "5-1 * * * *", "*/0 * * * *",
	} {
		_, err := ParseCron(spec, nil)
		if !errors.Is(err, feedlake.ErrConfig) {
			t.Errorf("%q: got %v, want ErrConfig", spec, err)
		}
		if _, ok := errors.AsType[*feedlake.HintError](err); !ok {
			t.Errorf("%q: no hint", spec)
		}
	}
}

func FuzzParseCron(f *testing.F) {
	for _, spec := range []string{"15 2 * * *", "@daily", "@every 10m", "CRON_TZ=UTC 0 0 1 1 *", "TZ=", "*/5 1-3,7 ? jan-mar sun"} {
		f.Add(spec)
	}
	from := time.Date(2016, 10, 6, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, spec string) {
		c, err := ParseCron(spec, nil)
		if err != nil {
			return
		}
		if next := c.Next(from); !next.IsZero() && !next.After(from) {
			t.Errorf("%q: due at %s, not after %s", spec, next, from)
		}
	})
}
