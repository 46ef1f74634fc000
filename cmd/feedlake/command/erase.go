package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/erasure"
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
				return a.erase(ctx, targets, dry, nil)
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
func eraseTargets(posts, authors, files []string) ([]erasure.Target, error) {
	var out []erasure.Target
	for kind, list := range map[string][]string{lake.ErasedPost: posts, lake.ErasedAuthor: authors} {
		for _, text := range list {
			t, err := erasure.ParseTarget(kind, text)
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
		list, err := erasure.ReadTargets(f, name)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	if len(out) == 0 {
		return nil, usage("nothing to erase: give --post, --author or --from-file")
	}
	return erasure.Tidy(out), nil
}

// erase does the whole work as one run of the ledger, or only says what it
// would do; stopped is a test's way to interrupt it, or nil.
func (a *app) erase(ctx context.Context, asked []erasure.Target, dry bool, stopped func(step string) error) (err error) {
	w, err := a.Erasure(ctx, asked, stopped)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if dry {
		if err := w.Rehearse(ctx); err != nil {
			return err
		}
		return printErasure(a.o, w)
	}
	r := schedules.Runner{Ledger: a.Ledger, Locks: []string{schedules.LockAll}, Wait: a.Wait, OnStep: a.onStep(ctx)}
	run, err := r.Run(ctx, schedules.Run{Job: "erase", Lock: schedules.Unlocked}, eraseJobs(w))
	a.bars.done()
	if run.ID == "" {
		return err
	}
	state := ""
	switch {
	case run.State == schedules.Done:
		state = erasure.Done
	case errors.Is(err, feedlake.ErrPartial):
		state = erasure.Partial
	}
	if ctx.Err() == nil {
		err = errors.Join(err, a.Record(ctx))
	}
	return errors.Join(err, w.End(context.WithoutCancel(ctx), state), printErasure(a.o, w))
}

// eraseJobs are the steps of an erasure, one after the other.
func eraseJobs(w *erasure.Work) []schedules.Job {
	var jobs []schedules.Job
	var after []string
	for _, s := range w.Steps() {
		jobs = append(jobs, schedules.Job{Name: s.Name, After: after, Tries: 3, Run: func(ctx context.Context, _ feedlake.Window) error { return s.Run(ctx) }})
		after = []string{s.Name}
	}
	return jobs
}

// printErasure shows the report to a person, who has just typed the ids.
func printErasure(o *options, work *erasure.Work) error {
	r, targets := work.Report(), work.Targets()
	if o.json {
		return printJSON(o.env.stdout, r)
	}
	w := o.env.stdout
	if r.RunID == "" {
		printf(w, "dry run of request %s: nothing was changed\n", r.Request)
	} else {
		printf(w, "erasure %s: %s, request %s\n", r.RunID, r.State, r.Request)
	}
	var rows [][]string
	for i, t := range r.Targets {
		found := "not found"
		if t.Found {
			found = feedlake.Plural(t.Posts, "post")
		}
		rows = append(rows, []string{targets[i].String(), found, feedlake.Count(t.Rows)})
	}
	printTable(w, []string{"target", "found", "rows"}, rows)
	rows = nil
	for _, t := range r.Tables {
		if t.Partitions > 0 {
			rows = append(rows, []string{t.Table, feedlake.Count(t.Removed), feedlake.Count(t.Cleared), feedlake.Count(int64(t.Partitions))})
		}
	}
	if len(rows) > 0 {
		printTable(w, []string{"table", "rows removed", "cleared", "partitions rewritten"}, rows)
	}
	snapshots, files := 0, 0
	for _, x := range r.Expired {
		snapshots, files = snapshots+x.Snapshots, files+x.Files
	}
	printf(w, "%s expired, %s deleted, %s added\n", feedlake.Plural(int64(snapshots), "snapshot"), feedlake.Plural(int64(files+r.Orphans), "file"), feedlake.Plural(int64(r.Tombstones), "tombstone"))
	for _, p := range r.Places {
		printf(w, "published to %s: %s\n", p.Name, p.State)
	}
	for _, m := range r.Models {
		printf(w, "trained on what was erased: %s version %d (%s)%s\n", m.Model, m.Version, feedlake.Plural(m.Rows, "row"), map[bool]string{true: ", in use"}[m.InUse])
	}
	for _, l := range r.Left {
		printf(w, "still found: %s: %s (%s): %s\n", l.Where, l.What, feedlake.Count(l.Count), l.Why)
	}
	printLine(w, strings.Join(r.Advice, "\n"))
	return nil
}
