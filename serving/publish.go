// Package serving puts models and tables to use: it scores posts, judges trends,
// and publishes tables to where people read them.
package serving

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// Publisher is a place where people read tables: a database server, or files in
// a folder.
type Publisher interface {
	// Publish replaces the rows of b's windows in one transaction, and records
	// b.Provenance in the same transaction: a reader sees all of it or nothing.
	// A second Publish of the ID that the target holds changes nothing.
	//
	// Errors: feedlake.ErrRejected when rows break b's own rules (Batch.Checked,
	// Batch.Key); feedlake.ErrConflict when the target does not hold b.Base;
	// feedlake.ErrConfig when a person must change something there;
	// feedlake.ErrUnknown when the outcome is not known, in which case a second
	// Publish finds out.
	Publish(ctx context.Context, b Batch) error
	// Published says what the target holds of a table; the zero Published when
	// it holds nothing.
	Published(ctx context.Context, table string) (Published, error)
}

// Published is what a target remembers of a table, beside its rows: one row of
// its table feedlake_published.
type Published struct {
	BatchID     string
	Snapshot    int64 // the lake's snapshot whose rows the target holds; 0: none
	Model       string
	RunID       string
	PublishedAt time.Time
	Rows        int64 // rows that the table holds
}

// PublishOptions says what to publish and where.
type PublishOptions struct {
	Lake      *lake.Lake
	DB        *query.DB // reads the lake's files
	Publisher Publisher
	Name      string                 // the target's name, for logs and messages
	Tables    []string               // nil: every table of the namespace marts
	Withheld  []feedlake.Prohibition // sources whose single posts are not passed on
	RunID     string
	Now       func() time.Time
	Log       *slog.Logger
	Progress  func(table string, done, total int64) // rows of the table sent so far, and to send; nil: nobody listens
}

// PublishResult tells what Publish did.
type PublishResult struct {
	Tables []TableResult `json:"tables"`
	Rows   int64         `json:"rows"` // rows sent, of all tables
}

// TableResult tells what Publish did with one table.
type TableResult struct {
	Table    string `json:"table"`
	State    string `json:"state"`    // one of the State constants
	Snapshot int64  `json:"snapshot"` // the snapshot that the target holds now
	Windows  int    `json:"windows"`  // windows replaced; 0 with Rows > 0: the whole table
	Rows     int64  `json:"rows"`     // rows sent
}

// States of a published table.
const (
	StatePublished = "published"   // rows were written
	StateCurrent   = "nothing new" // the target held this snapshot already
	StateEmpty     = "no data yet" // the lake's table has no snapshot
	StateFailed    = "failed"      // the error says why
)

// Changed reports whether anything was written.
func (r PublishResult) Changed() bool {
	return slices.ContainsFunc(r.Tables, func(t TableResult) bool { return t.State == StatePublished })
}

// publishAttempts bounds how often a table is tried again after another
// publisher was faster.
const publishAttempts = 3

// Publish brings every table of o to the target whose snapshot there is not the
// lake's newest. Only the days that differ between the two snapshots are sent,
// streaming; a target that holds nothing, or a snapshot that the lake no longer
// knows, gets the whole table.
//
// A table that the target rejects, or that the terms of a source withhold, does
// not stop the others: what could be
// published stays, and the error wraps feedlake.ErrPartial beside its cause.
// Any other error ends the call.
func Publish(ctx context.Context, o PublishOptions) (PublishResult, error) {
	var res PublishResult
	tables, err := o.tables(ctx)
	if err != nil {
		return res, fmt.Errorf("publish to %s: %w", o.Name, err)
	}
	var rejected error
	for _, table := range tables {
		t, err := o.publishTable(ctx, table)
		if err != nil {
			t.State = StateFailed
		}
		res.Tables = append(res.Tables, t)
		res.Rows += t.Rows
		switch {
		case errors.Is(err, feedlake.ErrRejected), errors.Is(err, feedlake.ErrForbidden):
			rejected = errors.Join(rejected, fmt.Errorf("publish %s to %s: %w", table, o.Name, err))
		case err != nil:
			return res, fmt.Errorf("publish %s to %s: %w", table, o.Name, err)
		}
	}
	if rejected != nil {
		if len(tables) > 1 {
			return res, fmt.Errorf("%w: %w", feedlake.ErrPartial, rejected)
		}
		return res, rejected
	}
	if !res.Changed() {
		o.Log.InfoContext(ctx, "nothing new to publish", "target", o.Name)
	}
	return res, nil
}

// tables resolves the list of tables and makes sure that they exist.
func (o PublishOptions) tables(ctx context.Context) ([]string, error) {
	all, err := o.Lake.Tables(ctx)
	if err != nil {
		return nil, err
	}
	if o.Tables == nil {
		marts := slices.DeleteFunc(all, func(t string) bool { return !strings.HasPrefix(t, "marts.") })
		return marts, nil
	}
	for _, t := range o.Tables {
		if !slices.Contains(all, t) {
			return nil, feedlake.Hint(fmt.Errorf("table %s: %w", t, feedlake.ErrNotFound),
				"run `feedlake transform` to build it, or correct the name under publish in the config")
		}
	}
	return o.Tables, nil
}

// permitted refuses a table of single posts, one that has their ids, when it
// holds posts of a source that are not passed on.
func (o PublishOptions) permitted(ctx context.Context, table string, cols []lake.Column, snapshot int64) error {
	has := func(name string) bool {
		return slices.ContainsFunc(cols, func(c lake.Column) bool { return c.Name == name })
	}
	if len(o.Withheld) == 0 || !has("source") || !has("id") {
		return nil
	}
	if err := o.DB.PinTable(ctx, o.Lake, table, snapshot); err != nil {
		return err
	}
	rules, err := o.DB.Prohibited(ctx, table, o.Withheld)
	if err == nil && len(rules) > 0 {
		err = feedlake.Hint(fmt.Errorf("table %s holds single posts: %s: %w", table, strings.Join(rules, "; "), feedlake.ErrForbidden),
			"publish tables of counts; who has the right sets policy: {redistribute: allow} at the source")
	}
	return err
}

// publishTable publishes one table, again when another publisher was faster.
func (o PublishOptions) publishTable(ctx context.Context, table string) (TableResult, error) {
	start := o.Now()
	for try := 1; ; try++ {
		res, err := o.tryTable(ctx, table)
		if errors.Is(err, feedlake.ErrConflict) && try < publishAttempts && ctx.Err() == nil {
			continue
		}
		if err == nil && res.State == StatePublished {
			o.Log.InfoContext(ctx, "published", "target", o.Name, "table", table, "snapshot", res.Snapshot,
				"rows", res.Rows, "took", o.Now().Sub(start))
		}
		return res, err
	}
}

func (o PublishOptions) tryTable(ctx context.Context, table string) (TableResult, error) {
	res := TableResult{Table: table}
	held, err := o.Publisher.Published(ctx, table)
	if err != nil {
		return res, err
	}
	cur, err := o.Lake.Current(ctx, table)
	if err != nil {
		return res, err
	}
	res.Snapshot = cur.ID
	switch cur.ID {
	case 0:
		res.State = StateEmpty
		return res, nil
	case held.Snapshot:
		res.State = StateCurrent
		return res, nil
	}
	cols, err := o.Lake.Columns(ctx, table)
	if err != nil {
		return res, err
	}
	if err := o.permitted(ctx, table, cols, cur.ID); err != nil {
		return res, err
	}
	if !hasDay(cols) && held.Snapshot != 0 { // replaced whole, or not at all
		changed, err := o.Lake.Changed(ctx, table, held.Snapshot, cur.ID)
		if err == nil && len(changed) == 0 {
			res.State, res.Snapshot = StateCurrent, held.Snapshot
			return res, nil
		}
		if err != nil && !errors.Is(err, feedlake.ErrNotFound) {
			return res, err
		}
	}
	b, files, err := o.plan(ctx, table, cols, held, cur)
	if err != nil {
		return res, err
	}
	b.Rows = o.rows(ctx, table, b.Columns, files, &res.Rows)
	if err := o.Publisher.Publish(ctx, b); err != nil {
		return res, err
	}
	res.State, res.Windows = StatePublished, len(b.Windows)
	return res, nil
}

// plan makes the batch, without its rows, that moves a target from what it
// holds to cur, and lists the files that hold its rows.
func (o PublishOptions) plan(ctx context.Context, table string, cols []lake.Column, held Published, cur lake.Snapshot) (Batch, []lake.File, error) {
	key, err := o.Lake.Property(ctx, table, "feedlake.key")
	if err != nil {
		return Batch{}, nil, err
	}
	files, err := o.Lake.Files(ctx, table, cur.ID)
	if err != nil {
		return Batch{}, nil, err
	}
	b := Batch{
		ID: fmt.Sprintf("%s@%d", table, cur.ID), Table: table, Columns: cols,
		Provenance: Provenance{
			Snapshot: cur.ID, CommittedAt: cur.At, Model: cur.Summary[lake.SummaryModel], Inputs: cur.Summary[lake.SummaryInputs],
			RunID: o.RunID, PublishedAt: o.Now().UTC(),
		},
	}
	if key != "" {
		b.Key = strings.Split(key, ",")
	}
	days, ok, err := o.changedDays(ctx, table, held.Snapshot, cur.ID, cols)
	if err != nil || !ok {
		return b, files, err
	}
	b.ID = fmt.Sprintf("%s@%d after %d", table, cur.ID, held.Snapshot)
	b.Base, b.WindowColumn, b.Windows = held.Snapshot, windowColumn, windowsOf(days)
	files = slices.DeleteFunc(files, func(f lake.File) bool {
		day, _ := f.Partition.Value(windowColumn)
		return !slices.Contains(days, day)
	})
	return b, files, nil
}

// windowColumn is the column by which tables are partitioned in time.
const windowColumn = "day"

// changedDays lists the days, sorted, whose rows differ between the published
// snapshot and the current one. It answers false when the table can only be
// replaced whole.
func (o PublishOptions) changedDays(ctx context.Context, table string, base, cur int64, cols []lake.Column) ([]string, bool, error) {
	if base == 0 || !hasDay(cols) {
		return nil, false, nil
	}
	changed, err := o.Lake.Changed(ctx, table, base, cur)
	if errors.Is(err, feedlake.ErrNotFound) {
		return nil, false, nil // expired, or another lake's
	}
	if err != nil {
		return nil, false, err
	}
	var days []string
	for _, p := range changed {
		day, ok := p.Value(windowColumn)
		if _, err := time.Parse(time.DateOnly, day); !ok || err != nil {
			return nil, false, nil
		}
		days = append(days, day)
	}
	slices.Sort(days)
	return slices.Compact(days), true, nil
}

func hasDay(cols []lake.Column) bool {
	return slices.ContainsFunc(cols, func(c lake.Column) bool { return c.Name == windowColumn && c.Type == "DATE" })
}

// windowsOf merges sorted UTC days into as few windows as possible.
func windowsOf(days []string) []feedlake.Window {
	var out []feedlake.Window
	for _, d := range days {
		start, _ := time.Parse(time.DateOnly, d) // changedDays has parsed it
		end := start.AddDate(0, 0, 1)
		if n := len(out); n > 0 && out[n-1].End.Equal(start) {
			out[n-1].End = end
			continue
		}
		out = append(out, feedlake.Window{Start: start, End: end})
	}
	return out
}

// rowsAtOnce bounds the rows that one query reads, so that a table of any size
// streams through bounded memory.
const rowsAtOnce = 256 << 10

// rows streams the rows of files, in groups of about rowsAtOnce, counting them
// into n.
func (o PublishOptions) rows(ctx context.Context, table string, cols []lake.Column, files []lake.File, n *int64) iter.Seq2[[]any, error] {
	total := rowsOf(files)
	return func(yield func([]any, error) bool) {
		*n = 0
		for _, group := range groups(files, rowsAtOnce) {
			for row, err := range readFiles(ctx, o.Lake, o.DB, cols, group) {
				if err == nil {
					*n++
				}
				if !yield(row, err) || err != nil {
					return
				}
			}
			if o.Progress != nil {
				o.Progress(table, *n, total)
			}
		}
	}
}

func rowsOf(files []lake.File) int64 {
	var n int64
	for _, f := range files {
		n += f.Rows
	}
	return n
}

// groups cuts files into runs of at most size rows; a larger file is alone.
func groups(files []lake.File, size int64) [][]lake.File {
	var out [][]lake.File
	for i := 0; i < len(files); {
		k := i + 1
		for k < len(files) && rowsOf(files[i:k+1]) <= size {
			k++
		}
		out = append(out, files[i:k])
		i = k
	}
	return out
}
