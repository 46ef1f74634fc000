package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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

With --dry-run, tell what is missing and what it costs: the platforms are asked
for counts where they give some, and no post is read.`,
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
			return o.single(cmd.Context(), "backfill", func(ctx context.Context, a *app) error { return a.backfill(ctx, r, w) })
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
// being read, but a budget or a limit that is used up ends it.
func (a *app) backfill(ctx context.Context, r backfillRequest, w feedlake.Window) error {
	s, all, missing, err := a.missingSlices(ctx, r, w)
	if err != nil {
		return err
	}
	var failed []string
	var errs []error
	var posts, rejects int64
	for i, slice := range missing {
		a.bars.update(ctx, stepIngest, int64(i), int64(len(missing)), "slices", sliceName(slice))
		res, err := a.ingestOne(ctx, s, slice)
		posts, rejects = posts+res.Posts, rejects+res.Rejects
		schedules.Report(ctx, schedules.Counts{RowsIn: res.Posts + res.Rejects, RowsOut: res.Posts, Rejects: res.Rejects})
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return err
		}
		failed, errs = append(failed, sliceName(slice)), append(errs, err)
		if errors.Is(err, feedlake.ErrPartial) { // the next slice would fare the same
			for _, rest := range missing[i+1:] {
				failed = append(failed, sliceName(rest))
			}
			break
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

// backfillPreview is what `backfill --dry-run --json` prints.
type backfillPreview struct {
	Source   string         `json:"source"`
	Slices   int            `json:"slices"`
	Missing  int            `json:"missing"`
	Requests int64          `json:"requests"`
	Posts    int64          `json:"posts"`
	Dollars  float64        `json:"dollars"`
	Hours    float64        `json:"hours"`
	Exact    bool           `json:"exact"`
	Notes    []string       `json:"notes"`
	Each     []slicePreview `json:"each"`
}

type slicePreview struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Requests int64     `json:"requests"`
	Posts    int64     `json:"posts"`
	Dollars  float64   `json:"dollars"`
	Hours    float64   `json:"hours"`
}

// previewBackfill tells what a backfill would ask for.
func (a *app) previewBackfill(ctx context.Context, r backfillRequest, w feedlake.Window) error {
	s, all, missing, err := a.missingSlices(ctx, r, w)
	if err != nil {
		return err
	}
	src, err := a.openSource(ctx, s, w)
	if err != nil {
		return err
	}
	est, ok := src.(ingest.Estimator)
	if !ok {
		return feedlake.Hint(fmt.Errorf("source %s: kind %s cannot be asked for a time in the past: %w", s.Name, s.Kind, feedlake.ErrConfig), "import an archive as a source of kind files")
	}
	p := backfillPreview{Source: s.Name, Slices: len(all), Missing: len(missing), Exact: true, Notes: []string{}, Each: []slicePreview{}}
	for _, slice := range missing {
		var e ingest.Estimate
		err := ingest.Retry{Name: s.Name, Log: a.log}.Do(ctx, func(ctx context.Context) (err error) {
			e, err = est.Estimate(ctx, slice)
			return err
		})
		if err != nil {
			return fmt.Errorf("estimate %s: %w", sliceName(slice), err)
		}
		p.add(slice, e)
	}
	if a.o.json {
		return printJSON(a.o.env.stdout, p)
	}
	p.print(a.o.env.stdout)
	return nil
}

func (p *backfillPreview) add(w feedlake.Window, e ingest.Estimate) {
	one := slicePreview{From: w.Start, To: w.End, Requests: e.Requests, Posts: e.Posts, Dollars: float64(e.Micros) / 1e6, Hours: e.Took.Hours()}
	p.Each = append(p.Each, one)
	p.Requests += one.Requests
	p.Posts += one.Posts
	p.Dollars += one.Dollars
	p.Hours += one.Hours
	p.Exact = p.Exact && e.Exact
	if e.Note != "" && !slices.Contains(p.Notes, e.Note) {
		p.Notes = append(p.Notes, e.Note)
	}
}

func (p *backfillPreview) print(w io.Writer) {
	rows := make([][]string, 0, len(p.Each)+1)
	line := func(name string, s slicePreview) []string {
		return []string{name, count(s.Requests), count(s.Posts), fmt.Sprintf("%.2f", s.Dollars), fmt.Sprintf("%.2f", s.Hours)}
	}
	for _, s := range p.Each {
		rows = append(rows, line(sliceName(feedlake.Window{Start: s.From, End: s.To}), s))
	}
	rows = append(rows, line("all", slicePreview{Requests: p.Requests, Posts: p.Posts, Dollars: p.Dollars, Hours: p.Hours}))
	printTable(w, []string{"slice", "requests", "posts", "dollars", "hours"}, rows)
	how := "counted by the platform"
	if !p.Exact {
		how = "reckoned"
	}
	printf(w, "%d of %s missing; %s\n", p.Missing, plural(int64(p.Slices), "slice"), how)
	for _, n := range p.Notes {
		printLine(w, n)
	}
}
