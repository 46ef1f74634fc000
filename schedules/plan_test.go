package schedules

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
)

// cronOf parses an expression that is right.
func cronOf(t *testing.T, spec string) Cron {
	t.Helper()
	c, err := ParseCron(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDueWindows(t *testing.T) {
	type window struct{ start, end string }
	for name, c := range map[string]struct {
		cron    string
		span    time.Duration
		catchUp CatchUp
		now     string
		want    []window
		skipped int
		decided string
	}{
		"nothing yet":   {"@hourly", 0, CatchUpAll, "2016-10-06T00:59:59Z", nil, 0, "2016-10-06T00:00:00Z"},
		"on the minute": {"@hourly", 0, CatchUpAll, "2016-10-06T01:00:00Z", []window{{"2016-10-06T00:00:00Z", "2016-10-06T01:00:00Z"}}, 0, "2016-10-06T01:00:00Z"},
		"all": {"7 * * * *", 0, CatchUpAll, "2016-10-06T02:30:00Z", []window{
			{"2016-10-06T00:00:00Z", "2016-10-06T00:07:00Z"},
			{"2016-10-06T00:07:00Z", "2016-10-06T01:07:00Z"},
			{"2016-10-06T01:07:00Z", "2016-10-06T02:07:00Z"},
		}, 0, "2016-10-06T02:07:00Z"},
		"latest":       {"@hourly", 0, CatchUpLatest, "2016-10-06T05:30:00Z", []window{{"2016-10-06T04:00:00Z", "2016-10-06T05:00:00Z"}}, 4, "2016-10-06T05:00:00Z"},
		"none, late":   {"@hourly", 0, CatchUpNone, "2016-10-06T05:30:00Z", nil, 5, "2016-10-06T05:00:00Z"},
		"none, just":   {"@hourly", 0, CatchUpNone, "2016-10-06T05:01:00Z", []window{{"2016-10-06T04:00:00Z", "2016-10-06T05:00:00Z"}}, 4, "2016-10-06T05:00:00Z"},
		"default":      {"@daily", 0, "", "2016-10-07T01:00:00Z", []window{{"2016-10-06T00:00:00Z", "2016-10-07T00:00:00Z"}}, 0, "2016-10-07T00:00:00Z"},
		"yesterday":    {"15 2 * * *", 24 * time.Hour, CatchUpAll, "2016-10-06T12:00:00Z", []window{{"2016-10-05T00:00:00Z", "2016-10-06T00:00:00Z"}}, 0, "2016-10-06T02:15:00Z"},
		"hour before":  {"7 * * * *", time.Hour, CatchUpAll, "2016-10-06T01:30:00Z", []window{{"2016-10-05T23:00:00Z", "2016-10-06T00:00:00Z"}, {"2016-10-06T00:00:00Z", "2016-10-06T01:00:00Z"}}, 0, "2016-10-06T01:07:00Z"},
		"clock behind": {"@hourly", 0, CatchUpAll, "2016-10-01T00:00:00Z", nil, 0, "2016-10-06T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			p := Plan{Name: "p", Cron: cronOf(t, c.cron), Span: c.span, CatchUp: c.catchUp}
			runs, skipped, decided := p.due(at("2016-10-06T00:00:00Z"), at(c.now))
			var got []window
			for _, r := range runs {
				got = append(got, window{r.Window.Start.Format(time.RFC3339), r.Window.End.Format(time.RFC3339)})
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(window{})); diff != "" {
				t.Error(diff)
			}
			if skipped != c.skipped || !decided.Equal(at(c.decided)) {
				t.Errorf("skipped %d up to %s, want %d, %s", skipped, decided, c.skipped, c.decided)
			}
		})
	}
}

func TestDueAfterAYear(t *testing.T) {
	p := Plan{Name: "p", Cron: cronOf(t, "* * * * *")}
	upto, now := at("2016-01-01T00:00:00Z"), at("2016-01-02T00:00:00Z")
	total := 0
	for upto.Before(now) {
		runs, _, decided := p.due(upto, now)
		if len(runs) > atOnce || len(runs) == 0 {
			t.Fatalf("%d windows at once", len(runs))
		}
		if !runs[0].Window.Start.Equal(upto) || !runs[len(runs)-1].Window.End.Equal(decided) {
			t.Fatalf("windows from %s to %s do not join %s to %s", runs[0].Window.Start, runs[len(runs)-1].Window.End, upto, decided)
		}
		total, upto = total+len(runs), decided
	}
	if total != 24*60 {
		t.Errorf("%d windows, want %d", total, 24*60)
	}
}

func TestPlanCheck(t *testing.T) {
	var d diary
	good := func() Plan { return Plan{Name: "p", Cron: cronOf(t, "@daily"), Jobs: []Job{d.job("a", nil)}} }
	p := good()
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Plan){
		"no name":      func(p *Plan) { p.Name = "" },
		"no cron":      func(p *Plan) { p.Cron = nil },
		"negative":     func(p *Plan) { p.Span = -1 },
		"catch-up":     func(p *Plan) { p.CatchUp = "some" },
		"jobs in ring": func(p *Plan) { p.Jobs = []Job{d.job("a", []string{"a"})} },
	} {
		p := good()
		change(&p)
		if err := p.Check(); !errors.Is(err, feedlake.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAgain(t *testing.T) {
	ended := at("2016-10-06T00:00:00Z")
	p := Plan{Tries: 4, Retry: time.Minute}
	for _, c := range []struct {
		state State
		fails int
		again bool
		wait  time.Duration
	}{
		{Failed, 1, true, time.Minute},
		{Abandoned, 2, true, 2 * time.Minute},
		{Failed, 3, true, 4 * time.Minute},
		{Failed, 4, false, 0},
		{Cancelled, 0, true, -ended.Sub(time.Time{})},
	} {
		ready, again := p.again(Run{State: c.state, Ended: ended}, c.fails)
		if again != c.again || again && !ready.Equal(ended.Add(c.wait)) && c.state != Cancelled {
			t.Errorf("%s %d times: %v at %s", c.state, c.fails, again, ready)
		}
	}
	p.Tries = 100
	if ready, _ := p.again(Run{State: Failed, Ended: ended}, 99); !ready.Equal(ended.Add(maxRetry)) {
		t.Errorf("the wait grows to %s", ready.Sub(ended))
	}
}
