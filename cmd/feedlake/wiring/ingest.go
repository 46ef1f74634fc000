package wiring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/bluesky"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/hackernews"
	"github.com/feedlake/feedlake/ingest/holdings"
	"github.com/feedlake/feedlake/ingest/instagram"
	"github.com/feedlake/feedlake/ingest/mastodon"
	"github.com/feedlake/feedlake/ingest/reddit"
	"github.com/feedlake/feedlake/ingest/simulate"
	"github.com/feedlake/feedlake/ingest/x"
	"github.com/feedlake/feedlake/schedules"
)

// sources is every kind of source that this program knows.
func sources() ingest.Registry {
	r := ingest.Registry{}
	bluesky.Register(r)
	files.Register(r)
	hackernews.Register(r)
	instagram.Register(r)
	mastodon.Register(r)
	reddit.Register(r)
	simulate.Register(r)
	x.Register(r)
	return r
}

// OpenSource makes the source that s describes; w is the slice of a backfill, or
// zero.
func (a *App) OpenSource(ctx context.Context, s config.Source, w feedlake.Window) (ingest.Source, error) {
	env := ingest.Env{
		Name: s.Name, Base: a.Config.Base, Now: a.Now, Log: a.Log, Credential: s.Credential, Secrets: a.Config.Decoder(a.Config.Credentials[s.Credential].Keys),
		Meter: meter{a.Ledger, a.Config.Budgets()}, Window: w,
		Holdings: holdings.Holdings{Lake: a.Lake, Open: a.open},
	}
	return a.kinds.Open(ctx, s.Kind, env, a.Config.Decoder(s.With))
}

// ingestStep is the step: what is new in the sources of a shard, or a time in the
// past of them, day by day.
func (a *App) ingestStep(ctx context.Context, w Work) error {
	names := w.Sources
	if !w.Shard.Whole() {
		names = []string{}
		for i, s := range a.Config.Sources {
			if i%w.Shard.Of == w.Shard.Index {
				names = append(names, s.Name)
			}
		}
	}
	if w.Window == (feedlake.Window{}) {
		return a.Ingest(ctx, names)
	}
	chosen, err := a.Sources(names)
	if err != nil {
		return err
	}
	var failed []error
	for _, s := range chosen {
		err := a.Backfill(ctx, BackfillRequest{Source: s.Name, Window: w.Window, Slice: ingest.SliceDay})
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return inPart(len(chosen), "source", failed)
}

// Ingest drains the named sources, or all of them where names is nil, side by side.
// A source that fails does not stop the others; what is missing is said.
func (a *App) Ingest(ctx context.Context, names []string) error {
	chosen, err := a.Sources(names)
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		schedules.Report(ctx, schedules.Counts{Detail: "no source is configured"})
		return nil
	}
	details, errs := make([]string, len(chosen)), make([]error, len(chosen))
	var all sync.WaitGroup
	slots := make(chan struct{}, a.parallel)
	for i, s := range chosen {
		all.Go(func() { details[i], errs[i] = a.ingestNew(ctx, s, slots) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return errors.Join(errs...)
	}
	schedules.Report(ctx, schedules.Counts{Detail: strings.Join(details, "; ")})
	return inPart(len(chosen), "source", slices.DeleteFunc(errs, func(err error) bool { return err == nil }))
}

// ingestNew drains a source under its lock and in one of the slots, and says for
// people what came. A source that waits for its lock takes no slot from others.
func (a *App) ingestNew(ctx context.Context, s config.Source, slots chan struct{}) (detail string, err error) {
	var res ingest.Result
	err = a.holdSource(ctx, s.Name, feedlake.Window{}, func(ctx context.Context) (err error) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		defer func() { <-slots }()
		res, err = a.ingestOne(ctx, s)
		return err
	})
	schedules.Report(ctx, schedules.Counts{RowsIn: res.Posts + res.Rejects, RowsOut: res.Posts, Rejects: res.Rejects})
	return ingestDetail(s.Name, res, err), err
}

// Again lets the records of the named sources be read anew, each once.
func (a *App) Again(ctx context.Context, names []string, begun map[string]bool) error {
	chosen, err := a.Sources(names)
	if err != nil {
		return err
	}
	for _, s := range chosen {
		if begun[s.Name] {
			continue
		}
		src, err := a.OpenSource(ctx, s, feedlake.Window{})
		if err != nil {
			return err
		}
		err = a.holdSource(ctx, s.Name, feedlake.Window{}, func(ctx context.Context) error {
			return ingest.Again(ctx, ingest.Options{Name: s.Name, RunID: schedules.RunOf(ctx).ID, Source: src, Lake: a.Lake, Now: a.Now, Log: a.Log})
		})
		if err != nil {
			return err
		}
		begun[s.Name] = true
	}
	return nil
}

// Sources are the named sources of the configuration, or all where names is nil.
func (a *App) Sources(names []string) ([]config.Source, error) {
	if names == nil {
		return a.Config.Sources, nil
	}
	var out []config.Source
	for _, n := range names {
		i := slices.IndexFunc(a.Config.Sources, func(s config.Source) bool { return s.Name == n })
		if i < 0 {
			var known []string
			for _, s := range a.Config.Sources {
				known = append(known, s.Name)
			}
			return nil, feedlake.Hint(fmt.Errorf("source %q is not in the config: %w", n, feedlake.ErrConfig), "the config has: %s", strings.Join(known, ", "))
		}
		out = append(out, a.Config.Sources[i])
	}
	return out, nil
}

// ingestOne drains a source: what is new, or slices of the past that lie side by
// side.
func (a *App) ingestOne(ctx context.Context, s config.Source, parts ...feedlake.Window) (ingest.Result, error) {
	w := Whole(parts)
	src, err := a.OpenSource(ctx, s, w)
	if err != nil {
		return ingest.Result{}, err
	}
	hide, err := a.Config.Hiding()
	if err != nil {
		return ingest.Result{}, err
	}
	if w == (feedlake.Window{}) {
		if src, err = a.lookAgain(s, src, hide); err != nil {
			return ingest.Result{}, err
		}
	}
	res, err := ingest.Run(ctx, ingest.Options{
		Name: s.Name, RunID: schedules.RunOf(ctx).ID, Source: src, Slice: w, Parts: parts, Lake: a.Lake, Now: a.Now, Log: a.Log, Parallel: a.parallel,
		NotBefore: s.Horizon(a.Now()), Pseudonyms: hide,
		Progress: func(p ingest.Progress, _ ingest.Result) {
			place := s.Name
			if p.Place != "" {
				place = p.Place
			}
			a.Progress(ctx, StepIngest, p.Done, p.Total, p.Unit, place)
		},
	})
	if err != nil {
		return res, a.Config.Locate(s, err)
	}
	if all := res.Posts + res.Rejects; all > 0 && float64(res.Rejects) > a.Config.Rejects.MaxShare*float64(all) {
		return res, feedlake.Hint(
			fmt.Errorf("source %s: %s of %s records could not be read, more than rejects.max_share: %w", s.Name, feedlake.Count(res.Rejects), feedlake.Count(all), feedlake.ErrPartial),
			`look at them: feedlake sql "select reason, count(*) from raw.rejects where run_id = '%s' group by all"`, schedules.RunOf(ctx).ID)
	}
	return res, nil
}

func ingestDetail(name string, res ingest.Result, err error) string {
	s := name + ": " + feedlake.Plural(res.Posts, "post")
	if res.Posts == 0 && res.Rejects == 0 && res.Suppressed == 0 && res.Outdated == 0 && err == nil {
		return name + ": nothing new"
	}
	if res.Rejects > 0 {
		s += ", " + feedlake.Plural(res.Rejects, "reject")
	}
	if res.Suppressed > 0 {
		s += ", " + feedlake.Count(res.Suppressed) + " left out as erased"
	}
	if res.Outdated > 0 {
		s += ", " + feedlake.Count(res.Outdated) + " left out as older than policy.retain_days"
	}
	if res.Warning != "" {
		s += ", warning: " + res.Warning
	}
	switch until := goesOn(err); {
	case !until.IsZero():
		s += ", stopped until " + until.UTC().Format(time.RFC3339)
	case err != nil:
		s += ", stopped"
	}
	return s
}

// goesOn is when a source that was stopped by a budget or a rate limit can go
// on; zero when it was something else.
func goesOn(err error) time.Time {
	if b, ok := errors.AsType[*ingest.BudgetError](err); ok {
		return b.Until
	}
	if l, ok := errors.AsType[*ingest.LimitError](err); ok {
		return l.Until
	}
	return time.Time{}
}
