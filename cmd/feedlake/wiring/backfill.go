package wiring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/schedules"
)

// BackfillRequest is what a person asks for: a window of a source, cut into slices.
type BackfillRequest struct {
	Source string
	Window feedlake.Window
	Slice  string // one of ingest's lengths
}

// MissingSlices are the slices of a backfill, and those not read yet.
func (a *App) MissingSlices(ctx context.Context, r BackfillRequest) (s config.Source, all, missing []feedlake.Window, err error) {
	chosen, err := a.Sources([]string{r.Source})
	if err != nil {
		return s, nil, nil, err
	}
	if all, err = ingest.Slices(r.Window, r.Slice); err != nil {
		return s, nil, nil, err
	}
	b, err := ingest.ReadBacklog(ctx, a.Lake, r.Source)
	return chosen[0], all, b.Missing(all), err
}

// Backfill reads what is missing. A slice that fails does not keep others from
// being read, unless they would fare the same.
func (a *App) Backfill(ctx context.Context, r BackfillRequest) error {
	s, all, missing, err := a.MissingSlices(ctx, r)
	if err != nil {
		return err
	}
	groups, err := a.Together(ctx, s, r.Window, missing)
	if err != nil {
		return err
	}
	var errs []error
	var posts, rejects int64
	row := 0 // of slices that failed
	for i, parts := range groups {
		a.Progress(ctx, StepIngest, int64(i), int64(len(groups)), "slices", SliceName(Whole(parts)))
		var res ingest.Result
		err := a.holdSource(ctx, s.Name, Whole(parts), func(ctx context.Context) (err error) {
			res, err = a.ingestOne(ctx, s, parts...)
			return err
		})
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
	detail := fmt.Sprintf("%s: %s in %d of %s, %d read before", s.Name, feedlake.Plural(posts, "post"), len(missing)-len(failed), feedlake.Plural(int64(len(all)), "slice"), len(all)-len(missing))
	if len(failed) > 0 {
		detail += "; missing: " + shortList(failed)
	}
	schedules.Report(ctx, schedules.Counts{Detail: detail})
	if len(errs) == 0 {
		return nil
	}
	return feedlake.Hint(fmt.Errorf("%s missing: %w: %w", feedlake.Plural(int64(len(failed)), "slice"), feedlake.ErrPartial, errors.Join(errs...)), "run the same command again: only these are asked for")
}

// lasting reports whether the next slice would fail as this one did, and so many
// before it in a row: for want of a budget, by the configuration, or because the
// platform is down.
func lasting(err error, row int) bool {
	_, down := errors.AsType[*feedlake.RetryError](err)
	return errors.Is(err, feedlake.ErrPartial) || errors.Is(err, feedlake.ErrConfig) || down && row > 1
}

// Together groups the missing slices: those of a group are asked for as one,
// where that costs the source less.
func (a *App) Together(ctx context.Context, s config.Source, w feedlake.Window, missing []feedlake.Window) ([][]feedlake.Window, error) {
	src, err := a.OpenSource(ctx, s, w)
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

// Whole is the window that parts side by side make up; zero without parts.
func Whole(parts []feedlake.Window) (w feedlake.Window) {
	if len(parts) > 0 {
		w = feedlake.Window{Start: parts[0].Start, End: parts[len(parts)-1].End}
	}
	return w
}

// unread names those of slices that are still missing.
func (a *App) unread(ctx context.Context, s config.Source, slices []feedlake.Window) ([]string, error) {
	b, err := ingest.ReadBacklog(ctx, a.Lake, s.Name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, slice := range b.Missing(slices) {
		names = append(names, SliceName(slice))
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

// SliceName spells a slice for people: a day, or two instants.
func SliceName(w feedlake.Window) string {
	if w.Start.Equal(w.Start.Truncate(24*time.Hour)) && w.End.Equal(w.Start.AddDate(0, 0, 1)) {
		return w.Start.Format(time.DateOnly)
	}
	return w.Start.Format(time.RFC3339) + "/" + w.End.Format(time.RFC3339)
}
