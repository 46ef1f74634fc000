package serving_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/serving"
)

func scoreClock() time.Time { return time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC) }

// scoreLake opens a lake whose features.posts and features.hashtag_hourly have
// the columns that scoring reads.
func scoreLake(t *testing.T, dir string, ic lake.Interceptor) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Now: scoreClock, Log: slog.New(slog.DiscardHandler), Intercept: ic})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if ic != nil {
		return l
	}
	for _, s := range append(lake.Fixed(),
		lake.Spec{Name: "features.posts", Partition: []string{"source", "day"}, Columns: []lake.Column{
			{Name: "source", Type: "VARCHAR"},
			{Name: "id", Type: "VARCHAR"},
			{Name: "day", Type: "DATE"},
			{Name: "text", Type: "VARCHAR"},
			{Name: "text_md5", Type: "VARCHAR"},
			{Name: "kind", Type: "VARCHAR"},
			{Name: "lang", Type: "VARCHAR"},
		}},
		lake.Spec{Name: "features.hashtag_hourly", Partition: []string{"source", "day"}, Columns: []lake.Column{
			{Name: "source", Type: "VARCHAR"},
			{Name: "hashtag", Type: "VARCHAR"},
			{Name: "hour", Type: "TIMESTAMPTZ"},
			{Name: "day", Type: "DATE"},
			{Name: "posts", Type: "BIGINT"},
			{Name: "authors", Type: "BIGINT"},
			{Name: "posts_24h", Type: "BIGINT"},
			{Name: "posts_7d", Type: "BIGINT"},
			{Name: "posts_28d", Type: "BIGINT"},
			{Name: "same_hour_7d", Type: "BIGINT"},
			{Name: "hours_since_last", Type: "BIGINT"},
			{Name: "hours_known", Type: "BIGINT"},
		}},
	) {
		if err := l.Ensure(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func openDB(t *testing.T) *query.DB {
	t.Helper()
	db, err := query.Open(t.Context(), query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// put replaces a partition of a table by the rows of a query.
func put(t *testing.T, l *lake.Lake, table string, p lake.Partition, sql string) {
	t.Helper()
	db := openDB(t)
	path, err := l.NewPath(table, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(t.Context(), "copy ("+sql+") to "+query.Quote(path)+" (format parquet)"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), lake.Commit{Table: table, Replace: []lake.Partition{p}, Add: []string{path}}); err != nil {
		t.Fatal(err)
	}
}

// putPosts replaces a day of a source by posts "id:text"; an id may carry a kind
// and a language: "id/repost/fr:text".
func putPosts(t *testing.T, l *lake.Lake, source, day string, idText ...string) {
	t.Helper()
	var rows []string
	for _, s := range idText {
		id, text, _ := strings.Cut(s, ":")
		about := append(strings.Split(id, "/"), "post", "en")
		if len(about) > 4 {
			about = about[:3]
		}
		id, kind, lang := about[0], about[1], about[2]
		v := query.Quote(text)
		if text == "" {
			v = "null::varchar"
		}
		rows = append(rows, fmt.Sprintf("select %s as source, %s as id, date %s as day, %s as text, md5(%s) as text_md5, %s as kind, %s as lang",
			query.Quote(source), query.Quote(id), query.Quote(day), v, v, query.Quote(kind), query.Quote(lang)))
	}
	put(t, l, "features.posts", lake.MakePartition("source", source, "day", day), strings.Join(rows, " union all "))
}

// lengths is a Scorer whose answer follows from the text alone.
type lengths struct{ calls atomic.Int64 }

func (s *lengths) Score(_ context.Context, texts []string) ([]serving.Sentiment, error) {
	s.calls.Add(int64(len(texts)))
	out := make([]serving.Sentiment, len(texts))
	for i, t := range texts {
		p := 1 / float64(1+len(t))
		out[i] = serving.Sentiment{Label: "positive", P: [3]float64{0, 1 - p, p}, Empty: strings.TrimSpace(t) == ""}
	}
	return out, nil
}

func lines(t *testing.T, l *lake.Lake, sql string) []string {
	t.Helper()
	db := openDB(t)
	if _, err := db.Pin(t.Context(), l, nil); err != nil {
		t.Fatal(err)
	}
	rows, err := db.SQL().QueryContext(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := []string{}
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

const scoredRows = `select concat_ws('/', source, id, day, model_version, left(text_md5, 4), run_id, unscored) from ml.sentiment_scores order by 1`

func scoreOptions(l *lake.Lake, db *query.DB, s serving.Scorer, version int, run string) serving.ScoreOptions {
	return serving.ScoreOptions{
		Lake: l, DB: db, Model: "m", Version: version, RunID: run, Now: scoreClock, Log: slog.New(slog.DiscardHandler),
		Open: func(context.Context, int) (serving.Judge, error) {
			return serving.Judge{Scorer: s, Languages: []string{"en"}}, nil
		},
	}
}

func TestScoreOnlyWhatHasNoScore(t *testing.T) {
	l := scoreLake(t, t.TempDir(), nil)
	db := openDB(t)
	s := &lengths{}
	score := func(version int, run string) serving.ScoreResult {
		t.Helper()
		res, err := serving.Score(t.Context(), scoreOptions(l, db, s, version, run))
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if res := score(1, "empty"); res.Scored != 0 {
		t.Errorf("an empty table: %+v", res)
	}
	putPosts(t, l, "a", "2026-01-01", "1:x", "2:yy", "3:", "4:   ")
	putPosts(t, l, "b", "2026-01-02", "1:x")
	if res := score(1, "r1"); res.Scored != 3 || res.Empty != 1 || res.Partitions != 2 {
		t.Errorf("first: %+v, want 3 rows: posts without text have no sentiment", res)
	}
	before, err := l.Current(t.Context(), "ml.sentiment_scores")
	if err != nil {
		t.Fatal(err)
	}
	if res := score(1, "r2"); res.Scored != 0 || res.Partitions != 0 {
		t.Errorf("nothing new: %+v", res)
	}
	if after, err := l.Current(t.Context(), "ml.sentiment_scores"); err != nil || after.ID != before.ID {
		t.Errorf("nothing new made a snapshot: %v", err)
	}
	putPosts(t, l, "a", "2026-01-01", "1:x", "2:edited", "5:new") // 3 and 4 are gone
	if res := score(1, "r3"); res.Scored != 2 || res.Partitions != 1 {
		t.Errorf("an edit and a new post: %+v", res)
	}
	if res := score(2, "r4"); res.Scored != 0 || res.Partitions != 0 {
		t.Errorf("another version makes work of judged days: %+v", res)
	}
	want := []string{
		"a/1/2026-01-01/1/9dd4/r1", "a/2/2026-01-01/1/2fb1/r1", "a/2/2026-01-01/1/683d/r3", "a/4/2026-01-01/1/6286/r1/empty",
		"a/5/2026-01-01/1/22af/r3", "b/1/2026-01-02/1/9dd4/r1",
	}
	if d := cmp.Diff(want, lines(t, l, scoredRows)); d != "" {
		t.Error(d)
	}
	if got := lines(t, l, "select count(*)::varchar from ml.sentiment_scores where input_snapshot is null or confidence <> greatest(p_negative, p_neutral, p_positive) or (label is null) <> (unscored is not null) or (label is null) <> (p_negative is null)"); got[0] != "0" {
		t.Errorf("%s rows lack provenance or confidence", got[0])
	}
}

var errStop = errors.New("injected fault")

// stopAt fails storage operation i, before or after its effect, and every later
// one, as after a crash.
func stopAt(i int64, after bool, hit *atomic.Bool) lake.Interceptor {
	var n atomic.Int64
	return func(_, _ string, do func() error) error {
		at := n.Add(1) - 1
		if at < i {
			return do()
		}
		hit.Store(true)
		if at == i && after {
			_ = do()
		}
		return errStop
	}
}

// TestWholeScoreCrash stops a scoring of several commits at every storage operation,
// before and after its effect, runs it again, and wants each row once.
func TestWholeScoreCrash(t *testing.T) {
	want := []string{"a/1/2026-01-01", "a/2/2026-01-01", "b/1/2026-01-02", "b/2/2026-01-02"}
	points := 0
	for _, after := range []bool{false, true} {
		for i := int64(0); ; i++ {
			dir := t.TempDir()
			whole := scoreLake(t, dir, nil)
			putPosts(t, whole, "a", "2026-01-01", "1:x", "2:y")
			putPosts(t, whole, "b", "2026-01-02", "1:x", "2:y")
			var hit atomic.Bool
			o := scoreOptions(scoreLake(t, dir, stopAt(i, after, &hit)), openDB(t), &lengths{}, 1, "r")
			o.BatchRows = 2 // a commit after every partition
			_, err := serving.Score(t.Context(), o)
			if !hit.Load() {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			points++
			if _, err := serving.Score(t.Context(), scoreOptions(whole, openDB(t), &lengths{}, 1, "again")); err != nil {
				t.Fatalf("operation %d, after %v: again: %v", i, after, err)
			}
			if d := cmp.Diff(want, lines(t, whole, "select concat_ws('/', source, id, day) from ml.sentiment_scores order by 1")); d != "" {
				t.Errorf("operation %d, after %v: %s", i, after, d)
			}
		}
	}
	if points < 20 {
		t.Errorf("only %d crash points", points)
	}
}

// TestTwoScoringsAtOnce lets two scorings race; the slower one may lose, and no
// row is doubled.
func TestTwoScoringsAtOnce(t *testing.T) {
	l := scoreLake(t, t.TempDir(), nil)
	putPosts(t, l, "a", "2026-01-01", "1:x", "2:y")
	putPosts(t, l, "b", "2026-01-02", "1:x", "2:y")
	var wg sync.WaitGroup
	for w := range 2 {
		db := openDB(t)
		wg.Go(func() {
			o := scoreOptions(l, db, &lengths{}, 1, fmt.Sprint(w))
			o.BatchRows = 2
			if _, err := serving.Score(t.Context(), o); err != nil && !errors.Is(err, feedlake.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := lines(t, l, "select count(*) || ' ' || count(distinct (source, id)) from ml.sentiment_scores"); got[0] != "4 4" {
		t.Errorf("rows and posts: %s, want 4 4", got[0])
	}
}

// surprise is a CountModel that expects what the last 7 days say, Poisson
// distributed.
type surprise struct{}

func (surprise) Expect(_ context.Context, hours []serving.Hour) ([]serving.Expected, error) {
	out := make([]serving.Expected, len(hours))
	for i, h := range hours {
		mean := (float64(h.Posts7d) + 0.5) / 168
		tail, term := 1.0, math.Exp(-mean)
		for k := int64(0); k < h.Posts; k++ {
			tail -= term
			term *= mean / float64(k+1)
		}
		out[i] = serving.Expected{Mean: mean, PValue: max(tail, 0)}
	}
	return out, nil
}

// Describe knows the posts of the 7 days before.
func (surprise) Describe(past []serving.HourPosts, _, at []int64) []serving.Hour {
	out := make([]serving.Hour, len(at))
	for i, h := range at {
		for _, p := range past {
			if p.Hour < h && p.Hour >= h-168 {
				out[i].Posts7d += p.Posts
			}
		}
	}
	return out
}

func trendOptions(l *lake.Lake, db *query.DB, m serving.CountModel, version int) serving.TrendOptions {
	return serving.TrendOptions{
		Lake: l, DB: db, Model: "c", Version: version, Authors: 3, RunID: fmt.Sprint("r", version), Log: slog.New(slog.DiscardHandler),
		Open: func(context.Context, int) (serving.CountModel, error) { return m, nil },
	}
}

// putHours replaces a day of source a by hours of hashtags: "tag posts
// posts-of-7-days authors", at 10 o'clock.
func putHours(t *testing.T, l *lake.Lake, day string, tagPosts7d ...string) {
	t.Helper()
	var rows []string
	for _, s := range tagPosts7d {
		var tag string
		var posts, week int
		authors := 3
		if n, err := fmt.Sscanf(s, "%s %d %d %d", &tag, &posts, &week, &authors); n < 3 {
			t.Fatal(err)
		}
		rows = append(rows, fmt.Sprintf(`select 'a' as source, '%s' as hashtag, timestamptz '%s 10:00:00Z' as hour, date '%s' as day, %d::bigint as posts, %d::bigint as authors,
			0::bigint as posts_24h, %d::bigint as posts_7d, 0::bigint as posts_28d, 0::bigint as same_hour_7d, null::bigint as hours_since_last, 200::bigint as hours_known`,
			tag, day, day, posts, authors, week))
	}
	put(t, l, "features.hashtag_hourly", lake.MakePartition("source", "a", "day", day), strings.Join(rows, " union all "))
}

func TestTrends(t *testing.T) {
	l := scoreLake(t, t.TempDir(), nil)
	db := openDB(t)
	find := func(version int) serving.TrendResult {
		t.Helper()
		res, err := serving.Trends(t.Context(), trendOptions(l, db, surprise{}, version))
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if res := find(1); res.Hours != 0 {
		t.Errorf("nothing: %+v", res)
	}
	putHours(t, l, "2026-01-01", "steady 10 1680", "burst 30 168", "new 2 0")
	putHours(t, l, "2026-01-02", "steady 11 1680")
	if res := find(1); res.Partitions != 2 || res.Hours != 4 || res.Trending != 1 {
		t.Errorf("first: %+v", res)
	}
	want := []string{"2026-01-01 burst true", "2026-01-01 new false", "2026-01-01 steady false", "2026-01-02 steady false"}
	const q = "select concat_ws(' ', day, hashtag, trending) from ml.trends order by 1"
	if d := cmp.Diff(want, lines(t, l, q)); d != "" {
		t.Error(d)
	}
	if res := find(1); res.Partitions != 0 {
		t.Errorf("nothing new: %+v", res)
	}
	putHours(t, l, "2026-01-02", "steady 11 1680", "late 40 0")
	if res := find(1); res.Partitions != 1 || res.Trending != 1 {
		t.Errorf("a late burst: %+v", res)
	}
	if _, err := l.Commit(t.Context(), lake.Commit{Table: "features.hashtag_hourly", Replace: []lake.Partition{"source=a/day=2026-01-01"}}); err != nil {
		t.Fatal(err)
	}
	if res := find(1); res.Partitions != 1 || res.Hours != 0 {
		t.Errorf("a day that became empty: %+v", res)
	}
	if d := cmp.Diff([]string{"2026-01-02 late true", "2026-01-02 steady false"}, lines(t, l, q)); d != "" {
		t.Error(d)
	}
	if res := find(2); res.Partitions != 0 {
		t.Errorf("another version makes work of judged days: %+v", res)
	}
}

// TestFalseDiscoveryRate checks q-values against Benjamini and Hochberg's worked
// example (1995, section 3.3: 15 p-values, 4 rejected at 0.05).
func TestFalseDiscoveryRate(t *testing.T) {
	p := []float64{0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000}
	l := scoreLake(t, t.TempDir(), nil)
	var tags []string
	for i := range p {
		tags = append(tags, fmt.Sprintf("t%02d 9 %d", i, i))
	}
	putHours(t, l, "2026-01-01", tags...)
	model := expectFunc(func(h serving.Hour) serving.Expected { return serving.Expected{Mean: 1, PValue: p[h.Posts7d]} })
	if _, err := serving.Trends(t.Context(), trendOptions(l, openDB(t), model, 1)); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, l, "select count(*)::varchar from ml.trends where q_value <= 0.05"); got[0] != "4" {
		t.Errorf("%s rejected at 0.05, want 4", got[0])
	}
	if got := lines(t, l, "select round(q_value, 4)::varchar from ml.trends where hashtag = 't03'"); got[0] != "0.0356" {
		t.Errorf("q of 0.0095 is %s, want 0.0095·15/4 = 0.0356", got[0])
	}
}

type expectFunc func(serving.Hour) serving.Expected

func (expectFunc) Describe(_ []serving.HourPosts, _, at []int64) []serving.Hour {
	return make([]serving.Hour, len(at))
}

func (f expectFunc) Expect(_ context.Context, hours []serving.Hour) ([]serving.Expected, error) {
	out := make([]serving.Expected, len(hours))
	for i, h := range hours {
		out[i] = f(h)
	}
	return out, nil
}

// TestCompactionIsNothingToScore compacts what scoring and trends read, and what
// they write: nothing is looked at again.
func TestCompactionIsNothingToScore(t *testing.T) {
	l := scoreLake(t, t.TempDir(), nil)
	db := openDB(t)
	s := &lengths{}
	add := func(table, sql string) {
		t.Helper()
		p := lake.MakePartition("source", "a", "day", "2026-01-01")
		path, err := l.NewPath(table, p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.SQL().ExecContext(t.Context(), "copy ("+sql+") to "+query.Quote(path)+" (format parquet)"); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Commit(t.Context(), lake.Commit{Table: table, Add: []string{path}}); err != nil {
			t.Fatal(err)
		}
	}
	score := func() serving.ScoreResult {
		t.Helper()
		res, err := serving.Score(t.Context(), scoreOptions(l, db, s, 1, "r"))
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	trends := func() serving.TrendResult {
		t.Helper()
		res, err := serving.Trends(t.Context(), trendOptions(l, db, surprise{}, 1))
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	for i := range 3 {
		add("features.posts", fmt.Sprintf("select 'a' as source, '%d' as id, date '2026-01-01' as day, 'text %d' as text, md5('text %d') as text_md5, 'post' as kind, 'en' as lang", i, i, i))
		add("features.hashtag_hourly", fmt.Sprintf(`select 'a' as source, 'h%d' as hashtag, timestamptz '2026-01-01 10:00:00Z' as hour, date '2026-01-01' as day, 10::bigint as posts, 4::bigint as authors,
			0::bigint as posts_24h, 1680::bigint as posts_7d, 0::bigint as posts_28d, 0::bigint as same_hour_7d, null::bigint as hours_since_last, 200::bigint as hours_known`, i))
		score()
	}
	trends()
	rows := lines(t, l, scoredRows)
	rep, err := l.Compact(t.Context(), lake.CompactOptions{MinFiles: 2, Rewrite: db.Rewrite})
	if err != nil || len(rep.Partitions) != 3 {
		t.Fatalf("compacted %+v, %v", rep.Partitions, err)
	}
	if res := score(); res.Partitions != 0 || s.calls.Load() != 3 {
		t.Errorf("scored again: %+v", res)
	}
	if res := trends(); res.Partitions != 0 {
		t.Errorf("searched again: %+v", res)
	}
	if d := cmp.Diff(rows, lines(t, l, scoredRows)); d != "" || len(rows) != 3 {
		t.Error(d)
	}
	add("features.posts", "select 'a' as source, 'late' as id, date '2026-01-01' as day, 'late' as text, md5('late') as text_md5, 'post' as kind, 'en' as lang")
	if res := score(); res.Partitions != 1 || res.Scored != 1 {
		t.Errorf("a late post: %+v", res)
	}
}
