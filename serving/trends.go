package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
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

// Expected is what a count model says of an Hour: how many posts it expected,
// and how likely at least as many as were seen are.
type Expected struct {
	Mean, PValue float64
}

// CountModel expects counts; the answer has one Expected per hour, in order.
type CountModel interface {
	Expect(ctx context.Context, hours []Hour) ([]Expected, error)
}

// An hour of a hashtag trends when its surprise is hardly chance, even with all
// the hashtags of that day and source tried, and when it is no handful of posts.
const (
	TrendingQ     = 0.01 // greatest false-discovery rate
	TrendingPosts = 5    // fewest posts of the hour
)

// TrendOptions says what to search for trends with which version.
type TrendOptions struct {
	Lake     *lake.Lake
	DB       *query.DB // reads the lake's files; Trends makes a view in its schema scoring
	Counts   CountModel
	Model    string // such as "trends"
	Version  int
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
}

const (
	trendsTable = "ml.trends"
	trendsInput = "features.hashtag_hourly"
	trendsState = "feedlake.trends"
	expectHours = 4096 // hours that a CountModel gets at once
)

// Trends compares every hour of every hashtag with what the count model
// expected, in the partitions of features.hashtag_hourly that changed since the
// last time, or in all of them when the version is another. It replaces those
// partitions of ml.trends whole, in one commit.
func Trends(ctx context.Context, o TrendOptions) (TrendResult, error) {
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	res, err := o.run(ctx)
	if err != nil {
		return res, fmt.Errorf("find trends: %w", err)
	}
	return res, nil
}

func (o TrendOptions) run(ctx context.Context) (TrendResult, error) {
	cur, err := o.Lake.Current(ctx, trendsInput)
	if err != nil {
		return TrendResult{}, err
	}
	res := TrendResult{Snapshot: cur.ID}
	files, err := o.Lake.Files(ctx, trendsInput, cur.ID)
	if err != nil {
		return res, err
	}
	old, err := o.Lake.Property(ctx, trendsTable, trendsState)
	if err != nil {
		return res, err
	}
	todo, err := changedSince(ctx, o.Lake, trendsInput, trendsTable, trendsState, o.Version, cur.ID)
	if err != nil || len(todo) == 0 {
		return res, err
	}
	var add []string
	for i, p := range todo {
		path, err := o.partition(ctx, p, files, &res)
		if err != nil {
			return res, err
		}
		if path != "" {
			add = append(add, path)
		}
		o.Progress(int64(i+1), int64(len(todo)))
	}
	state, err := json.Marshal(scored{o.Version, cur.ID})
	if err != nil {
		return res, err
	}
	_, err = o.Lake.Commit(ctx, lake.Commit{
		Table: trendsTable, ID: fmt.Sprintf("trends %d %d %s", o.Version, cur.ID, o.RunID), Add: add, Replace: todo,
		Set: map[string]string{trendsState: string(state)}, Expect: map[string]string{trendsState: old},
		Summary: map[string]string{
			lake.SummaryRunID: o.RunID, lake.SummaryModel: fmt.Sprintf("%s@%d", o.Model, o.Version),
			lake.SummaryInputs: fmt.Sprintf("%s@%d", trendsInput, cur.ID),
		},
	})
	if err != nil {
		return res, err
	}
	res.Partitions = len(todo)
	return res, nil
}

// partition writes the trends of one partition into one new file and returns
// its path; "" when the partition has become empty.
func (o TrendOptions) partition(ctx context.Context, p lake.Partition, all []lake.File, res *TrendResult) (string, error) {
	files := slices.DeleteFunc(slices.Clone(all), func(f lake.File) bool { return f.Partition != p })
	if len(files) == 0 {
		return "", nil
	}
	cols, err := o.Lake.Columns(ctx, trendsInput)
	if err != nil {
		return "", err
	}
	if err := o.DB.ViewOf(ctx, o.Lake, "scoring.hours", cols, files); err != nil {
		return "", err
	}
	out, err := o.expect(ctx, res.Snapshot)
	if err != nil {
		return "", fmt.Errorf("hours of %s: %w", p, err)
	}
	mark(out)
	for _, r := range out {
		if r.Trending {
			res.Trending++
		}
	}
	res.Hours += int64(len(out))
	return lake.WriteRows(ctx, o.Lake, trendsTable, p, out)
}

// hoursQuery reads the hours of one partition.
const hoursQuery = `
select source, hashtag, hour, cast(day as date) - date '1970-01-01', posts, posts_24h, posts_7d, posts_28d, same_hour_7d,
       coalesce(hours_since_last, 0), hours_known, (isodow(hour) - 1) * 24 + extract(hour from hour)
from scoring.hours order by hashtag, hour`

// expect asks the model about the hours of the view, batch by batch.
func (o TrendOptions) expect(ctx context.Context, snapshot int64) (out []TrendRow, err error) {
	rows, err := o.DB.SQL().QueryContext(ctx, hoursQuery)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	hours := make([]Hour, 0, expectHours)
	ask := func() error {
		if len(hours) == 0 {
			return nil
		}
		got, err := o.Counts.Expect(ctx, hours)
		if err != nil {
			return err
		}
		if len(got) != len(hours) {
			return fmt.Errorf("%d expectations for %d hours", len(got), len(hours))
		}
		for i, g := range got {
			r := &out[len(out)-len(hours)+i]
			r.Expected, r.PValue = g.Mean, g.PValue
		}
		hours = hours[:0]
		return nil
	}
	for rows.Next() {
		r := TrendRow{Model: o.Model, ModelVersion: int64(o.Version), InputSnapshot: snapshot, RunID: o.RunID}
		var h Hour
		if err := rows.Scan(&r.Source, &r.Hashtag, &r.Hour, &r.Day, &h.Posts, &h.Posts24h, &h.Posts7d, &h.Posts28d, &h.SameHour7d,
			&h.HoursSinceLast, &h.HoursKnown, &h.HourOfWeek); err != nil {
			return nil, err
		}
		r.Observed = h.Posts
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

// smallestP bounds p-values away from 0, so that a score stays finite.
const smallestP = 1e-300

// mark fills scores, q-values and what trends. The q-values are those of
// Benjamini and Hochberg (1995) over all rows together: the smallest
// false-discovery rate at which a row would be called a trend.
func mark(rows []TrendRow) {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case rows[a].PValue < rows[b].PValue:
			return -1
		case rows[a].PValue > rows[b].PValue:
			return 1
		}
		return 0
	})
	least := 1.0
	for rank := len(order); rank >= 1; rank-- {
		r := &rows[order[rank-1]]
		r.PValue = min(max(r.PValue, smallestP), 1)
		least = min(least, r.PValue*float64(len(rows))/float64(rank))
		r.QValue = least
		r.Score = math.Abs(-math.Log10(r.PValue))
		r.Trending = r.QValue <= TrendingQ && r.Observed >= TrendingPosts
	}
}
