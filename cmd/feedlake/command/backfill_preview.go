package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/ingest"
)

// backfillPreview is what `backfill --dry-run --json` prints.
type backfillPreview struct {
	Source  string `json:"source"`
	Slices  int    `json:"slices"`
	Missing int    `json:"missing"`
	previewCost
	Exact bool           `json:"exact"`
	Notes []string       `json:"notes"`
	Each  []slicePreview `json:"each"`
}

// slicePreview is a slice, or several side by side that are asked for as one.
type slicePreview struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Slices int       `json:"slices"`
	previewCost
}

// previewCost is what a reading costs. What is not known is null, and Unknown
// says why; of several slices it is the reason of the first.
type previewCost struct {
	Requests *int64   `json:"requests"`
	Posts    *int64   `json:"posts"`
	Dollars  *float64 `json:"dollars"`
	Hours    *float64 `json:"hours"`
	Unknown  string   `json:"unknown,omitempty"`
}

func costOf(e ingest.Estimate) previewCost {
	if e.Unknown != "" {
		return previewCost{Unknown: e.Unknown}
	}
	dollars, hours := float64(e.Micros)/1e6, e.Took.Hours()
	return previewCost{Requests: &e.Requests, Posts: &e.Posts, Dollars: &dollars, Hours: &hours}
}

// cells are those of a table.
func (c previewCost) cells() []string {
	if c.Unknown != "" {
		return []string{"not known", "not known", "not known", "not known"}
	}
	return []string{feedlake.Count(*c.Requests), feedlake.Count(*c.Posts), fmt.Sprintf("%.2f", *c.Dollars), fmt.Sprintf("%.2f", *c.Hours)}
}

// previewBackfill tells what a backfill would ask for.
func (a *app) previewBackfill(ctx context.Context, r wiring.BackfillRequest) error {
	s, all, missing, err := a.MissingSlices(ctx, r)
	if err != nil {
		return err
	}
	src, err := a.OpenSource(ctx, s, r.Window)
	if err != nil {
		return err
	}
	est, ok := src.(ingest.Estimator)
	if !ok {
		return feedlake.Hint(fmt.Errorf("source %s: kind %s cannot be asked for a time in the past: %w", s.Name, s.Kind, feedlake.ErrConfig), "import an archive as a source of kind files")
	}
	groups, err := a.Together(ctx, s, r.Window, missing)
	if err != nil {
		return err
	}
	p := backfillPreview{Source: s.Name, Slices: len(all), Missing: len(missing), Exact: true, Notes: []string{}, Each: []slicePreview{}}
	var sum ingest.Estimate
	for _, parts := range groups {
		w := wiring.Whole(parts)
		var e ingest.Estimate
		err := ingest.Retry{Name: s.Name, Log: a.Log}.Do(ctx, func(ctx context.Context) (err error) {
			e, err = est.Estimate(ctx, w)
			return err
		})
		if err != nil {
			return fmt.Errorf("estimate %s: %w", wiring.SliceName(w), err)
		}
		p.Each = append(p.Each, slicePreview{w.Start, w.End, len(parts), costOf(e)})
		p.Exact = p.Exact && e.Exact && e.Unknown == ""
		if e.Note != "" && !slices.Contains(p.Notes, e.Note) {
			p.Notes = append(p.Notes, e.Note)
		}
		sum = ingest.Estimate{
			Requests: sum.Requests + e.Requests, Posts: sum.Posts + e.Posts, Micros: sum.Micros + e.Micros, Took: sum.Took + e.Took,
			Unknown: cmp.Or(sum.Unknown, e.Unknown),
		}
	}
	p.previewCost = costOf(sum)
	if a.o.json {
		return printJSON(a.o.env.stdout, p)
	}
	p.print(a.o.env.stdout)
	return nil
}

func (p *backfillPreview) print(w io.Writer) {
	rows := make([][]string, 0, len(p.Each)+1)
	for _, s := range p.Each {
		rows = append(rows, append([]string{wiring.SliceName(feedlake.Window{Start: s.From, End: s.To})}, s.cells()...))
	}
	rows = append(rows, append([]string{"all"}, p.cells()...))
	printTable(w, []string{"slice", "requests", "posts", "dollars", "hours"}, rows)
	how := "reckoned"
	switch {
	case p.Unknown != "":
		how = "not known, because " + p.Unknown
	case p.Exact:
		how = "counted by the platform"
	}
	printf(w, "%d of %s missing; %s\n", p.Missing, feedlake.Plural(int64(p.Slices), "slice"), how)
	for _, n := range p.Notes {
		printLine(w, n)
	}
}
