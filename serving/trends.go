package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// Hour is one hour of one hashtag, as features.hashtag_hourly holds it.
type Hour struct {
	Posts, Posts24h, Posts7d, Posts28d, SameHour7d int64
	HoursSinceLast, HoursKnown                     int64
	HourOfWeek                                     int // 0 is Monday 00:00 UTC
}

// HourPosts is the posts of one hour; Hour counts from 1970.
type HourPosts struct{ Hour, Posts int64 }

// Expected is what a count model says of an Hour: how many posts it expected,
// and how likely at least as many as were seen are.
type Expected struct {
	Mean, PValue float64
}

// CountModel expects counts.
type CountModel interface {
	// Expect gives one Expected per hour, in order.
	Expect(ctx context.Context, hours []Hour) ([]Expected, error)
	// Describe gives the hours at, ascending, of a hashtag as
	// features.hashtag_hourly would describe them. past is the hashtag's hours with
	// posts, active those in which its source had any, both ascending and reaching
	// back 28 days before the first of at.
	Describe(past []HourPosts, active, at []int64) []Hour
}

// An hour of a hashtag trends when its surprise is hardly chance, even with all
// the hashtags of that day and source tried, and when it is no handful of posts.
const (
	TrendingQ     = 0.01 // greatest false-discovery rate
	TrendingPosts = 5    // fewest posts of the hour; reposts are no posts
)

// LeadingTags is how many hashtags of a source and day get an expectation of the
// whole day: those that marts.trending_hashtags shows.
const LeadingTags = 50

// TrendOptions says what to search for trends with which version.
type TrendOptions struct {
	Lake    *lake.Lake
	DB      *query.DB // reads the lake's files; Trends makes views in its schema scoring
	Model   string    // such as "trends"
	Version int       // in use: judges the days that no version has judged
	Authors int64     // fewest authors of a trending hour, where the source tells authors
	// Open opens a version; feedlake.ErrNotFound or feedlake.ErrConfig say that it
	// cannot be used any more. Each version is opened once, when it is needed.
	Open     func(ctx context.Context, version int) (CountModel, error)
	Again    *Days // judge these days again with Version; nil: none
	Parallel int   // runs of days that are judged at once; 0: one. The rows do not depend on it
	RunID    string
	Log      *slog.Logger
	Progress func(done, total int64) // partitions; nil: nobody listens
}

// TrendResult tells what Trends did.
type TrendResult struct {
	Partitions int   // partitions replaced
	Hours      int64 // rows written
	Trending   int64 // rows that trend
	Snapshot   int64 // of features.hashtag_hourly
}

// TrendRow is a row of ml.trends.
type TrendRow struct {
	Source        string    `parquet:"source,optional,dict"`
	Hashtag       string    `parquet:"hashtag,optional"`
	Hour          time.Time `parquet:"hour,optional,timestamp(microsecond)"`
	Day           int32     `parquet:"day,date"` // days since 1970-01-01
	Observed      int64     `parquet:"observed"`
	Expected      float64   `parquet:"expected"`
	PValue        float64   `parquet:"p_value"`
	QValue        float64   `parquet:"q_value"`
	Score         float64   `parquet:"score"`
	Trending      bool      `parquet:"trending"`
	Model         string    `parquet:"model,optional,dict"`
	ModelVersion  int64     `parquet:"model_version"`
	InputSnapshot int64     `parquet:"input_snapshot"`
	RunID         string    `parquet:"run_id,optional,dict"`
	ExpectedDay   *float64  `parquet:"expected_day,optional"` // of all hours of the day; nil: not asked

	authors int64 // of the hour; 0: none told
	known   int64 // hours of the source's history before
}

const (
	trendsTable = "ml.trends"
	trendsInput = "features.hashtag_hourly"
	trendsState = "feedlake.trends"
	trendsShape = 2    // changes with what rows say; older ones are made again
	expectHours = 4096 // hours that a CountModel gets at once
)

// Trends compares every hour of every hashtag with what the count model
// expected, in the partitions of features.hashtag_hourly that changed since the
// last time. The version that judged a partition first judges it again when posts
// come late, while it can be opened. Trends replaces those partitions of
// ml.trends whole, in one commit.
func Trends(ctx context.Context, o TrendOptions) (TrendResult, error) {
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	o.Open, o.Parallel = openOnce(o.Open), max(o.Parallel, 1)
	t := trending{TrendOptions: o}
	err := t.run(ctx)
	if err != nil {
		return t.res, fmt.Errorf("find trends: %w", err)
	}
	return t.res, nil
}

// trending is one call of Trends, or one run of days of it: these are copies with
// a result, models and a session of their own.
type trending struct {
	TrendOptions
	DB     *query.Session // of a run of days, in place of that of the options
	res    TrendResult
	files  []lake.File        // of the input
	old    []lake.File        // of ml.trends
	cols   []lake.Column      // of the input
	models map[int]CountModel // nil: cannot be used any more
}

func (t *trending) run(ctx context.Context) error {
	cur, err := t.Lake.Current(ctx, trendsInput)
	if err != nil {
		return err
	}
	t.res.Snapshot = cur.ID
	if err := t.plan(ctx); err != nil {
		return err
	}
	ticket, err := t.Lake.Property(ctx, trendsTable, trendsState)
	if err != nil {
		return err
	}
	todo, err := t.todo(ctx)
	if err != nil || len(todo) == 0 {
		return err
	}
	var add []string
	done := 0
	var sum TrendResult // apart: the runs of days copy t
	take := func(r trendRun) error {
		add = append(add, r.paths...)
		done += r.days
		sum.Hours, sum.Trending = sum.Hours+r.res.Hours, sum.Trending+r.res.Trending
		t.Progress(int64(done), int64(len(todo)))
		return nil
	}
	drop := func(r trendRun) { t.Lake.Discard(r.paths...) }
	if err := each(ctx, t.Parallel, t.chunks(todo), t.beside, take, drop); err != nil {
		t.Lake.Discard(add...)
		return err
	}
	t.res.Hours, t.res.Trending = sum.Hours, sum.Trending
	state := ticket
	if t.Again == nil {
		text, err := json.Marshal(scored{t.Version, cur.ID, trendsShape})
		if err != nil {
			return err
		}
		state = string(text)
	}
	_, err = t.Lake.Commit(ctx, lake.Commit{
		Table: trendsTable, ID: fmt.Sprintf("trends %d %d %s %v", t.Version, cur.ID, t.RunID, t.Again != nil), Add: add, Replace: todo,
		Set: map[string]string{trendsState: state}, Expect: map[string]string{trendsState: ticket},
		Summary: map[string]string{
			lake.SummaryRunID: t.RunID, lake.SummaryModel: fmt.Sprintf("%s@%d", t.Model, t.Version),
			lake.SummaryInputs: fmt.Sprintf("%s@%d", trendsInput, cur.ID),
		},
	})
	if err != nil {
		return err
	}
	t.res.Partitions = len(todo)
	return nil
}

// trendRun is what came of one run of days.
type trendRun struct {
	paths []string
	days  int
	res   TrendResult
}

// beside makes the partitions of a run of days beside others.
func (t *trending) beside(ctx context.Context, parts []lake.Partition) (r trendRun, err error) {
	own := *t
	own.models, own.res = map[int]CountModel{}, TrendResult{Snapshot: t.res.Snapshot}
	if own.DB, err = t.TrendOptions.DB.Session(ctx); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, own.DB.Close()) }()
	paths, err := own.chunk(ctx, parts)
	return trendRun{paths, len(parts), own.res}, err
}

// plan lists the files of input and output.
func (t *trending) plan(ctx context.Context) (err error) {
	if t.files, err = t.Lake.Files(ctx, trendsInput, t.res.Snapshot); err != nil {
		return err
	}
	if t.cols, err = t.Lake.Columns(ctx, trendsInput); err != nil {
		return err
	}
	have, err := t.Lake.Current(ctx, trendsTable)
	if err == nil {
		t.old, err = t.Lake.Files(ctx, trendsTable, have.ID)
	}
	return err
}

// todo lists the partitions to make, by source and day.
func (t *trending) todo(ctx context.Context) (list []lake.Partition, err error) {
	if t.Again != nil {
		if list, err = t.Lake.Changed(ctx, trendsInput, 0, t.res.Snapshot); err != nil {
			return nil, err
		}
		return slices.DeleteFunc(list, func(p lake.Partition) bool {
			day, _ := p.Value("day")
			return !t.Again.holds(day)
		}), nil
	}
	list, was, err := changedSince(ctx, t.Lake, trendsInput, trendsTable, trendsState, t.res.Snapshot)
	if err == nil && was.Snapshot != 0 && was.Shape < trendsShape {
		list, err = t.Lake.Changed(ctx, trendsInput, 0, t.res.Snapshot)
		for _, f := range t.old { // what was emptied meanwhile goes
			if !slices.Contains(list, f.Partition) {
				list = append(list, f.Partition)
			}
		}
	}
	return list, err
}

// chunk makes the partitions of one source and returns the paths of their files;
// one that has become empty has none.
func (t *trending) chunk(ctx context.Context, parts []lake.Partition) (paths []string, err error) {
	rows := make([][]TrendRow, len(parts))
	for i, p := range parts {
		if rows[i], err = t.partition(ctx, p); err != nil {
			return nil, fmt.Errorf("hours of %s: %w", p, err)
		}
	}
	if err := t.wholeDays(ctx, parts, rows); err != nil {
		return nil, err
	}
	if paths, err = t.write(ctx, parts, rows); err != nil {
		return nil, err
	}
	for i := range parts {
		t.res.Hours += int64(len(rows[i]))
		for _, r := range rows[i] {
			if r.Trending {
				t.res.Trending++
			}
		}
	}
	return paths, nil
}

// write writes a file for each partition that has rows, several at once: each
// waits for the disk.
func (t *trending) write(ctx context.Context, parts []lake.Partition, rows [][]TrendRow) (paths []string, err error) {
	l := newLine(ctx, landing, func(path string) error {
		paths = append(paths, path)
		return nil
	}, func(path string) { t.Lake.Discard(path) })
	for i, p := range parts {
		if len(rows[i]) == 0 {
			continue
		}
		if err = l.add(func(ctx context.Context) (string, error) { return lake.WriteRows(ctx, t.Lake, trendsTable, p, rows[i]) }); err != nil {
			break
		}
	}
	if first := l.wait(); first != nil {
		err = first
	}
	if err != nil {
		t.Lake.Discard(paths...)
	}
	return paths, err
}

// partition judges the hours with posts of one partition.
func (t *trending) partition(ctx context.Context, p lake.Partition) ([]TrendRow, error) {
	files := filesOf(t.files, func(f lake.File) bool { return f.Partition == p })
	if len(files) == 0 {
		return nil, nil
	}
	version, m, err := t.choose(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := t.DB.ViewOf(ctx, t.Lake, "scoring.hours", t.cols, files); err != nil {
		return nil, err
	}
	out, err := t.expect(ctx, m, version)
	if err != nil {
		return nil, err
	}
	mark(out, t.Authors)
	return out, nil
}

// choose returns the version for a partition: the one that judged it first,
// while it can be opened, else the one in use.
func (t *trending) choose(ctx context.Context, p lake.Partition) (int, CountModel, error) {
	version := t.Version
	old := filesOf(t.old, func(f lake.File) bool { return f.Partition == p })
	if t.Again == nil && len(old) > 0 {
		cols, err := t.Lake.Columns(ctx, trendsTable)
		if err == nil {
			err = t.DB.ViewOf(ctx, t.Lake, "scoring.trends", cols, old)
		}
		if err == nil {
			err = t.DB.SQL().QueryRowContext(ctx, "select min(model_version) from scoring.trends").Scan(&version)
		}
		if err != nil {
			return 0, nil, err
		}
	}
	return chooseVersion(ctx, t.models, version, t.Version, t.Open)
}

// hoursQuery reads the hours of one partition.
const hoursQuery = `
select source, hashtag, hour, cast(day as date) - date '1970-01-01', posts, posts_24h, posts_7d, posts_28d, same_hour_7d,
       coalesce(hours_since_last, 0), hours_known, (isodow(hour) - 1) * 24 + extract(hour from hour), authors
from scoring.hours order by hashtag, hour`

// expect asks the model about the hours of the view, batch by batch.
func (t *trending) expect(ctx context.Context, m CountModel, version int) (out []TrendRow, err error) {
	rows, err := t.DB.SQL().QueryContext(ctx, hoursQuery)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	hours := make([]Hour, 0, expectHours)
	ask := func() error {
		got, err := ask(ctx, m, hours)
		for i, g := range got {
			r := &out[len(out)-len(hours)+i]
			r.Expected, r.PValue = g.Mean, g.PValue
		}
		hours = hours[:0]
		return err
	}
	for rows.Next() {
		r := TrendRow{Model: t.Model, ModelVersion: int64(version), InputSnapshot: t.res.Snapshot, RunID: t.RunID}
		var h Hour
		if err := rows.Scan(&r.Source, &r.Hashtag, &r.Hour, &r.Day, &h.Posts, &h.Posts24h, &h.Posts7d, &h.Posts28d, &h.SameHour7d,
			&h.HoursSinceLast, &h.HoursKnown, &h.HourOfWeek, &r.authors); err != nil {
			return nil, err
		}
		r.Observed, r.known = h.Posts, h.HoursKnown
		out, hours = append(out, r), append(hours, h)
		if len(hours) == cap(hours) {
			if err := ask(); err != nil {
				return nil, err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return out, ask()
}

// ask asks the model and wants as many answers.
func ask(ctx context.Context, m CountModel, hours []Hour) ([]Expected, error) {
	if len(hours) == 0 {
		return nil, nil
	}
	got, err := m.Expect(ctx, hours)
	if err != nil {
		return nil, err
	}
	if len(got) != len(hours) {
		return nil, fmt.Errorf("%d expectations for %d hours", len(got), len(hours))
	}
	return got, nil
}
