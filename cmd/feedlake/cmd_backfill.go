package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/schedules"
)

// backfillRequest is what a person asks for.
type backfillRequest struct {
	source, from, to, slice string
	dryRun                  bool
}

func newBackfillCommand(o *options) *cobra.Command {
	var r backfillRequest
	c := &cobra.Command{
		Use:   "backfill",
		Short: "Read a time in the past from a source, slice by slice",
		Long: `Read a time in the past from a source, slice by slice. Slices that were read before
are not asked for again; one that failed, or was broken off, goes on where it was.
The place up to which "feedlake run" follows the source is not touched.

Slices side by side are asked for as one where that costs less, as from listings
that cannot be searched by time; each still counts as read by itself.

With --dry-run, tell what is missing and what it costs: the platforms are asked
for counts where they give some, and listings are looked through where not; what
cannot be known is said. Nothing is landed.`,
		Example: "  feedlake backfill --source reddit --from 2024-01-01 --to 2024-03-01 --dry-run\n" +
			"  feedlake backfill --source reddit --from 2024-01-01 --to 2024-03-01 --slice day",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := r.window()
			if err != nil {
				return err
			}
			if r.dryRun {
				return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error { return a.previewBackfill(ctx, r, w) })
			}
			return o.single(cmd.Context(), kindBackfill, func(ctx context.Context, a *app) error { return a.backfill(ctx, r, w) })
		},
	}
	f := c.Flags()
	f.StringVar(&r.source, "source", "", "name of a source in the config")
	f.StringVar(&r.from, "from", "", "first day, or instant (UTC)")
	f.StringVar(&r.to, "to", "", "end, not part of it: a day, or an instant (UTC)")
	f.StringVar(&r.slice, "slice", ingest.SliceDay, "hour, day, week or month")
	f.BoolVar(&r.dryRun, "dry-run", false, "only tell what is missing and what it costs")
	return c
}

// window reads --from and --to.
func (r backfillRequest) window() (feedlake.Window, error) {
	var w feedlake.Window
	if r.source == "" || r.from == "" || r.to == "" {
		return w, usage("backfill needs --source, --from and --to")
	}
	for _, b := range []struct {
		flag, text string
		to         *time.Time
	}{{"--from", r.from, &w.Start}, {"--to", r.to, &w.End}} {
		var ok bool
		if *b.to, ok = parseInstant(b.text); !ok {
			return w, usage("%s %q: a day such as 2024-01-31, or an instant such as 2024-01-31T12:00:00Z", b.flag, b.text)
		}
	}
	return w, nil
}

// missingSlices are the slices of a backfill, and those not read yet.
func (a *app) missingSlices(ctx context.Context, r backfillRequest, w feedlake.Window) (s sourceConfig, all, missing []feedlake.Window, err error) {
	chosen, err := a.chosenSources([]string{r.source})
	if err != nil {
		return s, nil, nil, err
	}
	if all, err = ingest.Slices(w, r.slice); err != nil {
		return s, nil, nil, err
	}
	b, err := ingest.ReadBacklog(ctx, a.lake, r.source)
	return chosen[0], all, b.Missing(all), err
}

// backfill reads what is missing. A slice that fails does not keep others from
// being read, unless they would fare the same.
func (a *app) backfill(ctx context.Context, r backfillRequest, w feedlake.Window) error {
	s, all, missing, err := a.missingSlices(ctx, r, w)
	if err != nil {
		return err
	}
	groups, err := a.together(ctx, s, w, missing)
	if err != nil {
		return err
	}
	var errs []error
	var posts, rejects int64
	row := 0 // of slices that failed
	for i, parts := range groups {
		a.bars.update(ctx, stepIngest, int64(i), int64(len(groups)), "slices", sliceName(whole(parts)))
		res, err := a.ingestOne(ctx, s, parts...)
		posts, rejects = posts+res.Posts, rejects+res.Rejects
		schedules.Report(ctx, schedules.Counts{RowsIn: res.Posts + res.Rejects, RowsOut: res.Posts, Rejects: res.Rejects})
		if err == nil {
			row = 0
			continue
		}
		if ctx.Err() != nil {
			return err
		}
		errs = append(errs, err)
		if row++; lasting(err, row) {
			break
		}
	}
	var failed []string
	if len(errs) > 0 {
		if failed, err = a.unread(ctx, s, missing); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	detail := fmt.Sprintf("%s: %s in %d of %s, %d read before", s.Name, plural(posts, "post"), len(missing)-len(failed), plural(int64(len(all)), "slice"), len(all)-len(missing))
	if len(failed) > 0 {
		detail += "; missing: " + shortList(failed)
	}
	schedules.Report(ctx, schedules.Counts{Detail: detail})
	if len(errs) == 0 {
		return nil
	}
	return feedlake.Hint(fmt.Errorf("%s missing: %w: %w", plural(int64(len(failed)), "slice"), feedlake.ErrPartial, errors.Join(errs...)), "run the same command again: only these are asked for")
}

// lasting reports whether the next slice would fail as this one did, and so many
// before it in a row: for want of a budget, by the configuration, or because the
// platform is down.
func lasting(err error, row int) bool {
	_, down := errors.AsType[*feedlake.RetryError](err)
	return errors.Is(err, feedlake.ErrPartial) || errors.Is(err, feedlake.ErrConfig) || down && row > 1
}

// together groups the missing slices: those of a group are asked for as one,
// where that costs the source less.
func (a *app) together(ctx context.Context, s sourceConfig, w feedlake.Window, missing []feedlake.Window) ([][]feedlake.Window, error) {
	src, err := a.openSource(ctx, s, w)
	if err != nil {
		return nil, err
	}
	if m, ok := src.(ingest.Merger); ok && m.Merges() {
		return ingest.Merge(missing), nil
	}
	groups := make([][]feedlake.Window, len(missing))
	for i, slice := range missing {
		groups[i] = []feedlake.Window{slice}
	}
	return groups, nil
}

// whole is the window that parts side by side make up; zero without parts.
func whole(parts []feedlake.Window) (w feedlake.Window) {
	if len(parts) > 0 {
		w = feedlake.Window{Start: parts[0].Start, End: parts[len(parts)-1].End}
	}
	return w
}

// unread names those of slices that are still missing.
func (a *app) unread(ctx context.Context, s sourceConfig, slices []feedlake.Window) ([]string, error) {
	b, err := ingest.ReadBacklog(ctx, a.lake, s.Name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, slice := range b.Missing(slices) {
		names = append(names, sliceName(slice))
	}
	return names, nil
}

// shortList names the first few and counts the rest.
func shortList(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func sliceName(w feedlake.Window) string {
	if w.Start.Equal(w.Start.Truncate(24*time.Hour)) && w.End.Equal(w.Start.AddDate(0, 0, 1)) {
		return w.Start.Format(time.DateOnly)
	}
	return w.Start.Format(time.RFC3339) + "/" + w.End.Format(time.RFC3339)
}
