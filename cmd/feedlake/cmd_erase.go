package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/schedules"
)

func newEraseCommand(o *options) *cobra.Command {
	var posts, authors, files []string
	dry := false
	c := &cobra.Command{
		Use:   "erase {--post SOURCE/ID | --author SOURCE/AUTHOR_ID | --from-file FILE}…",
		Short: "Take down posts and authors: out of every table, copy and old snapshot",
		Long: `Take down posts, and all posts of authors, with their reposts: out of raw tables,
features, labels, scores, marts, the places that marts are published to, and the
snapshots that still hold them. Copies that other sources of the same network brought
go too. Their hashes stay in ops.erasures, so that no
backfill brings them back. The report names the model versions that learnt from
them; it is kept in the lake's folder erasures.

Whatever stops it, the same command run again comes to the end. A post that is not
in the lake is no error: it cannot enter from now on.

FILE has lines "post SOURCE/ID" and "author SOURCE/ID"; # begins a comment.`,
		Example: "  feedlake erase --post mastodon/114001 --dry-run\n  feedlake erase --author bluesky/did:plc:x --author mastodon/42 --json\n  feedlake erase --from-file requests.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			targets, err := eraseTargets(posts, authors, files)
			if err != nil {
				return err
			}
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error {
				networks, err := a.networks(ctx)
				if err != nil {
					return err
				}
				hidden, err := a.cfg.hide(withCopies(targets, networks))
				if err != nil {
					return err
				}
				return a.erase(ctx, a.newErasure(hidden, networks), dry)
			})
		},
	}
	f := c.Flags()
	f.StringArrayVar(&posts, "post", nil, "a post, as SOURCE/ID; may be repeated")
	f.StringArrayVar(&authors, "author", nil, "an author, as SOURCE/AUTHOR_ID; may be repeated")
	f.StringArrayVar(&files, "from-file", nil, "a file of targets; may be repeated")
	f.BoolVar(&dry, "dry-run", false, "only say what would go")
	return c
}

// eraseTargets gathers the targets of flags and files.
func eraseTargets(posts, authors, files []string) ([]eraseTarget, error) {
	var out []eraseTarget
	for kind, list := range map[string][]string{lake.ErasedPost: posts, lake.ErasedAuthor: authors} {
		for _, text := range list {
			t, err := parseTarget(kind, text)
			if err != nil {
				return nil, usage("--%w", err)
			}
			out = append(out, t)
		}
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read targets: %w: %w", err, feedlake.ErrConfig)
		}
		list, err := readTargets(f, name)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	if len(out) == 0 {
		return nil, usage("nothing to erase: give --post, --author or --from-file")
	}
	return tidyTargets(out), nil
}

func (a *app) newErasure(targets []eraseTarget, networks map[string]string) *erasure {
	e := &erasure{a: a, targets: targets, networks: networks, request: requestOf(targets), match: newTextMatcher(nil), held: map[string][]string{}}
	e.rep = &eraseReport{
		Request: e.request, State: eraseRunning, StartedAt: a.o.env.now().UTC(),
		Tables: []lake.EraseResult{}, Expired: []eraseExpired{}, Places: []erasePlace{}, Models: []eraseModel{}, Left: []eraseLeft{}, Advice: []string{},
	}
	for _, t := range targets {
		e.rep.Targets = append(e.rep.Targets, eraseTargetFound{Kind: t.kind, Source: t.source, Hash: t.hash()})
	}
	return e
}

// erase does the whole work as one run of the ledger, or only says what it
// would do.
func (a *app) erase(ctx context.Context, e *erasure, dry bool) (err error) {
	defer func() { err = errors.Join(err, e.closeSession()) }()
	if dry {
		if err := e.rehearse(ctx); err != nil {
			return err
		}
		return e.rep.print(a.o, e.targets)
	}
	r := schedules.Runner{Ledger: a.ledger, OnStep: a.onStep(ctx)}
	run, err := r.Run(ctx, schedules.Run{Job: "erase", Lock: lockName}, e.jobs())
	a.bars.done()
	if run.ID == "" {
		return err
	}
	e.rep.EndedAt = a.o.env.now().UTC()
	switch {
	case run.State == schedules.Done:
		e.rep.State = eraseDone
	case errors.Is(err, feedlake.ErrPartial):
		e.rep.State = erasePartial
	}
	e.rep.advise()
	if ctx.Err() == nil {
		err = errors.Join(err, a.record(ctx))
	}
	last := context.WithoutCancel(ctx)
	return errors.Join(err, e.rep.keep(last, a.lake), e.rep.print(a.o, e.targets))
}

// rehearse finds and counts, and changes nothing.
func (e *erasure) rehearse(ctx context.Context) error {
	e.rep.State = eraseDry
	if err := e.find(ctx); err != nil {
		return err
	}
	if err := e.removeRows(ctx, true); err != nil {
		return err
	}
	e.rep.advise()
	return e.expire(ctx, true)
}

// jobs lists the steps, each after the one before. Those that find something
// missing say so as feedlake.ErrPartial, so that the others still run.
func (e *erasure) jobs() []schedules.Job {
	steps := []struct {
		name string
		run  func(context.Context) error
	}{
		{"find", e.begin},
		{"tombstones", e.remember},
		{"rows", func(ctx context.Context) error { return e.removeRows(ctx, false) }},
		{stepFeatures, func(ctx context.Context) error { return e.rebuild(ctx, features) }},
		{stepScore, func(ctx context.Context) error { return e.then(ctx, e.a.score, "ml.sentiment_scores") }},
		{stepTrends, func(ctx context.Context) error { return e.then(ctx, e.a.trends, "ml.trends") }},
		{stepMarts, func(ctx context.Context) error { return e.rebuild(ctx, marts) }},
		{stepPublish, e.publish},
		{"expire", func(ctx context.Context) error { return e.expire(ctx, false) }},
		{"clean", e.clean},
		{"verify", e.verify},
	}
	var jobs []schedules.Job
	var after []string
	for _, s := range steps {
		jobs = append(jobs, schedules.Job{Name: s.name, After: after, Tries: 3, Run: func(ctx context.Context, _ feedlake.Window) error {
			return errors.Join(s.run(ctx), e.rep.keep(ctx, e.a.lake), e.interrupt(s.name))
		}})
		after = []string{s.name}
	}
	return jobs
}

// begin takes over what a stopped run of the same request had done, brings
// rejects home that wait between two commits, and finds the posts.
func (e *erasure) begin(ctx context.Context) error {
	e.rep.RunID = schedules.RunOf(ctx).ID
	if err := e.a.lake.Pull(ctx, erasuresFolder); err != nil {
		return err
	}
	old, err := unfinished(e.a.lake.Dir(), e.request)
	if err != nil {
		return err
	}
	for _, r := range old {
		if r.RunID != e.rep.RunID {
			e.rep.takeOver(r)
		}
	}
	for _, s := range e.a.cfg.Sources {
		err := ingest.Deliver(ctx, ingest.Options{Name: s.Name, RunID: e.rep.RunID, Lake: e.a.lake, Now: e.a.o.env.now, Log: e.a.log})
		if err != nil {
			return err
		}
	}
	return e.find(ctx)
}

// then does a step and takes out of a table's metadata what it still says of
// files that left.
func (e *erasure) then(ctx context.Context, do func(context.Context) error, table string) error {
	if err := do(ctx); err != nil || !e.touched() {
		return err
	}
	return e.sweep(ctx, table)
}
