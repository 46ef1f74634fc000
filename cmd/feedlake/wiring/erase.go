package wiring

import (
	"context"
	"errors"
	"slices"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/erasure"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/serving"
)

// Erasure makes the work that takes down what a person asks for, and the same
// posts of every other source of their networks; stopped is a test's way to
// interrupt it, or nil.
func (a *App) Erasure(ctx context.Context, asked []erasure.Target, stopped func(step string) error) (*erasure.Work, error) {
	networks, err := a.networks(ctx)
	if err != nil {
		return nil, err
	}
	targets, err := a.hide(erasure.WithCopies(asked, networks))
	if err != nil {
		return nil, err
	}
	g, err := LoadModels()
	if err != nil {
		return nil, err
	}
	o := erasure.Options{
		Targets: targets, Networks: networks,
		Lake: a.Lake, Open: a.open, Now: a.Now, RunOf: func(ctx context.Context) string { return schedules.RunOf(ctx).ID },
		Say: func(ctx context.Context, in, out int64, detail string) {
			schedules.Report(ctx, schedules.Counts{RowsIn: in, RowsOut: out, Detail: detail})
		},
		Redact: func(ctx context.Context, secret func(string) bool) (int64, error) {
			return a.Ledger.Redact(ctx, secret)
		},
		Deliver: a.deliver, Models: a.learners, Features: Features.names(g), Marts: Marts.names(g), Build: a.buildAgain,
		Judges: []erasure.Judge{
			{Step: StepScore, Table: lake.SentimentScores().Name, Run: a.Score},
			{Step: StepTrends, Table: lake.Trends().Name, Run: a.Trends},
		},
		Stopped: stopped,
	}
	for i, p := range a.Config.Publish {
		o.Places = append(o.Places, a.erasurePlace(i, p.Name))
		if f, ok := a.publishers[i].(serving.Folder); ok {
			o.Folders = append(o.Folders, f.Folder())
		}
	}
	return erasure.New(o), nil
}

// erasurePlace is the i-th place that tables are published to.
func (a *App) erasurePlace(i int, name string) erasure.Publisher {
	return erasure.Publisher{
		Name: name,
		Publish: func(ctx context.Context, db *query.DB) (int64, error) {
			res, err := a.publishOne(ctx, db, i, nil)
			return res.Rows, err
		},
		Scrub: func(ctx context.Context) error {
			if s, ok := a.publishers[i].(serving.Scrubber); ok {
				return s.Scrub(ctx)
			}
			return nil
		},
	}
}

// hide spells targets as the lake does, where it holds pseudonyms; those that
// are pseudonyms already stay.
func (a *App) hide(targets []erasure.Target) ([]erasure.Target, error) {
	p, err := a.Config.Hiding()
	if err != nil {
		return nil, err
	}
	out := slices.Clone(targets)
	for i, t := range out {
		if t.Kind == lake.ErasedAuthor {
			out[i].ID = p.Of(t.Source, t.ID)
		} else {
			out[i].ID = p.OfPost(t.Source, t.ID)
		}
	}
	return erasure.Tidy(out), nil
}

// networks tells, of each source that the lake knows, the platform whose ids its
// posts carry.
func (a *App) networks(ctx context.Context) (map[string]string, error) {
	m, err := a.Lake.Properties(ctx, lake.RawPosts().Name, lake.PropertyNetwork)
	if errors.Is(err, feedlake.ErrNotFound) {
		return nil, nil //nolint:nilnil // nothing has landed
	}
	return m, err
}

// deliver brings rejects home that wait between two commits.
func (a *App) deliver(ctx context.Context, runID string) error {
	for _, s := range a.Config.Sources {
		if err := ingest.Deliver(ctx, ingest.Options{Name: s.Name, RunID: runID, Lake: a.Lake, Now: a.Now, Log: a.Log}); err != nil {
			return err
		}
	}
	return nil
}

// learners lists every version of every model, with what it learnt from.
func (a *App) learners(ctx context.Context) ([]erasure.Version, error) {
	reg, err := a.Registry(ctx)
	if err != nil {
		return nil, err
	}
	models, err := reg.Models()
	if err != nil {
		return nil, err
	}
	var out []erasure.Version
	for _, name := range models {
		cards, err := reg.Versions(name)
		if err != nil {
			return nil, err
		}
		champion, err := reg.Champion(name)
		if err != nil && !errors.Is(err, feedlake.ErrNotFound) {
			return nil, err
		}
		for _, c := range cards {
			out = append(out, erasure.Version{
				Model: name, Version: c.Version, InUse: c.Version == champion.Version, CreatedAt: c.CreatedAt, Datasets: c.Datasets, Data: c.Data,
			})
		}
	}
	return out, nil
}

// buildAgain brings one table up to date for an erasure.
func (a *App) buildAgain(ctx context.Context, step, table, runID string) (erasure.Built, error) {
	var built erasure.Built
	rep, _, err := a.build(ctx, Selection{step: step, Only: []string{table}}, false, runID)
	for _, r := range rep.Models {
		for _, f := range r.Failures {
			built.Held = append(built.Held, string(f.Partition))
		}
		if len(r.Partitions) > 0 {
			built.Partitions, built.Snapshot = built.Partitions+len(r.Partitions), r.Snapshot
			built.In, built.Out = built.In+r.InputRows, built.Out+r.Rows
		}
	}
	return built, err
}
