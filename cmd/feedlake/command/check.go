package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/ingest"
)

// checkResult is one line of `feedlake check`.
type checkResult struct {
	What  string   `json:"what"`
	OK    bool     `json:"ok"`
	Says  string   `json:"says,omitempty"` // what was seen
	Error string   `json:"error,omitempty"`
	Hints []string `json:"hints,omitempty"`
}

func newCheckCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Check the config, the lake, every credential and source, and every place to publish to, without changing them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.withApp(cmd.Context(), check) },
	}
}

// checkSpark opens a session and gives it back.
func (a *app) checkSpark(ctx context.Context) error {
	e, err := a.OpenEngine(ctx, config.SparkConnect, "")
	if err != nil {
		return err
	}
	return e.Close()
}

// checks collects what was looked at.
type checks struct {
	all   []checkResult
	first error
}

func (c *checks) add(what, says string, err error) {
	r := checkResult{What: what, OK: err == nil, Says: says}
	if err != nil {
		r.Error, r.Hints = err.Error(), hints(err)
		if c.first == nil {
			c.first = err
		}
	}
	c.all = append(c.all, r)
}

func check(ctx context.Context, a *app) error {
	var c checks
	c.add("lake "+a.Place(), "", nil)
	if a.Config.Engine.Remote != "" {
		c.add("engine "+a.Config.Engine.Remote, "", a.checkSpark(ctx))
	}
	a.checkCredentials(ctx, &c)
	for _, s := range a.Config.Sources {
		a.checkSource(ctx, s, &c)
	}
	for i, p := range a.Config.Publish {
		_, err := a.Publishers()[i].Published(ctx, "marts.volume")
		c.add("publish "+p.Name, "", err)
	}
	if len(a.Config.Schedule) > 0 {
		_, err := a.plans()
		c.add("schedule", "", err)
	}
	if a.o.json {
		if err := printJSON(a.o.env.stdout, c.all); err != nil {
			return err
		}
		return c.first
	}
	for _, r := range c.all {
		c.print(a.o.env.stdout, r)
	}
	return c.first
}

func (c *checks) print(w io.Writer, r checkResult) {
	if r.OK {
		printLine(w, strings.TrimRight("ok      "+r.What+"  "+r.Says, " "))
		return
	}
	printLine(w, "FAILED  "+r.What+"  "+r.Error)
	for _, h := range r.Hints {
		printLine(w, "        hint: "+h)
	}
}

// checkCredentials tells what each credential used, of what it may.
func (a *app) checkCredentials(ctx context.Context, c *checks) {
	now := a.Now()
	for _, name := range slices.Sorted(maps.Keys(a.Config.Credentials)) {
		var says []string
		var failed error
		for _, p := range []struct {
			name, period string
			limit        ingest.Use
		}{{"today", ingest.Day(now), a.Config.Budgets()[name].Day}, {"this month", ingest.Month(now), a.Config.Budgets()[name].Month}} {
			used, err := a.Ledger.Used(ctx, name, p.period)
			failed = errors.Join(failed, err)
			says = append(says, p.name+" "+useOf(ingest.Use(used), p.limit))
		}
		if !slices.ContainsFunc(a.Config.Sources, func(s config.Source) bool { return s.Credential == name }) {
			says = append(says, "no source uses it")
		}
		c.add("credential "+name, strings.Join(says, "; "), failed)
	}
}

// useOf spells a use and its bounds.
func useOf(used, limit ingest.Use) string {
	of := func(n, most int64, spell func(int64) string) string {
		if most == 0 {
			return spell(n)
		}
		return spell(n) + " of " + spell(most)
	}
	dollars := func(micros int64) string { return fmt.Sprintf("$%.2f", float64(micros)/1e6) }
	return of(used.Requests, limit.Requests, feedlake.Count) + " requests, " + of(used.Posts, limit.Posts, feedlake.Count) + " posts, " + of(used.Micros, limit.Micros, dollars)
}

// checkSource opens a source and lets it try its credential and permissions.
func (a *app) checkSource(ctx context.Context, s config.Source, c *checks) {
	src, err := a.OpenSource(ctx, s, feedlake.Window{})
	c.add("source "+s.Name, "", err)
	prober, ok := src.(ingest.Prober)
	if err != nil || !ok {
		return
	}
	for _, f := range prober.Probe(ctx) {
		what := "source " + s.Name + ": " + f.What
		if f.OK {
			c.add(what, f.Says, nil)
			continue
		}
		c.add(what, "", a.Config.Locate(s, unsound(what, f)))
	}
}

// unsound is a finding that is not OK as an error: of the configuration, unless
// the other side is down.
func unsound(what string, f ingest.Finding) error {
	err := fmt.Errorf("%s: %s", what, f.Says)
	if f.Err != nil {
		err = fmt.Errorf("%s: %w", what, f.Err)
	} else if !f.Down {
		err = fmt.Errorf("%s: %s: %w", what, strings.TrimSuffix(f.Says, ": "+feedlake.ErrConfig.Error()), feedlake.ErrConfig)
	}
	if f.Hint == "" || f.Err != nil { // an error brings its hint
		return err
	}
	return feedlake.Hint(err, "%s", f.Hint)
}
