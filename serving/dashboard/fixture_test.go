package dashboard_test

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/serving/dashboard"
	"github.com/feedlake/feedlake/training"
)

// The rows of the marts, with the columns that the SQL models give them.
type built struct {
	RunID  string `parquet:"_run_id,optional"`
	Model  string `parquet:"_model,optional"`
	Inputs string `parquet:"_inputs,optional"`
}

type volumeRow struct {
	Hour           time.Time `parquet:"hour,optional,timestamp(microsecond)"`
	Day            int32     `parquet:"day,optional,date"`
	Source         string    `parquet:"source,optional"`
	Lang           string    `parquet:"lang,optional"`
	Copy           bool      `parquet:"copy"`
	Posts          int64     `parquet:"posts,optional"`
	Authors        int64     `parquet:"authors,optional"`
	Replies        int64     `parquet:"replies,optional"`
	Reposts        int64     `parquet:"reposts,optional"`
	WithEngagement int64     `parquet:"with_engagement,optional"`
	built
}

type sentimentRow struct {
	Day            int32    `parquet:"day,optional,date"`
	Source         string   `parquet:"source,optional"`
	Lang           string   `parquet:"lang,optional"`
	Copy           bool     `parquet:"copy"`
	Posts          int64    `parquet:"posts"`
	Scored         int64    `parquet:"scored"`
	Negative       int64    `parquet:"negative"`
	Neutral        int64    `parquet:"neutral"`
	Positive       int64    `parquet:"positive"`
	NegativeEst    *float64 `parquet:"negative_estimate,optional"`
	NeutralEst     *float64 `parquet:"neutral_estimate,optional"`
	PositiveEst    *float64 `parquet:"positive_estimate,optional"`
	PositiveShare  *float64 `parquet:"positive_share,optional"`
	NegativeShare  *float64 `parquet:"negative_share,optional"`
	NetSentiment   *float64 `parquet:"net_sentiment,optional"`
	MeanConfidence *float64 `parquet:"mean_confidence,optional"`
	ModelVersion   *int64   `parquet:"model_version,optional"`
	built
}

// mistakes are what a version of the sentiment model is known to mistake.
func mistakes(version int64) []training.ConfusionRow {
	return []training.ConfusionRow{
		{Model: "sentiment", Version: version, Label: "negative", SpreadNegative: 0.3, SpreadNeutral: 0.5, SpreadPositive: 0.2, Doubt: 0.0004},
		{Model: "sentiment", Version: version, Label: "neutral", SpreadNegative: 0.6, SpreadNeutral: 0.9, SpreadPositive: 0.7, Doubt: 0.0002},
		{Model: "sentiment", Version: version, Label: "positive", SpreadNegative: 0.1, SpreadNeutral: 0.4, SpreadPositive: 0.3, Doubt: 0.0006},
	}
}

type engagementRow struct {
	Day            int32    `parquet:"day,optional,date"`
	Source         string   `parquet:"source,optional"`
	Lang           string   `parquet:"lang,optional"`
	Copy           bool     `parquet:"copy"`
	Posts          int64    `parquet:"posts"`
	RatedPosts     int64    `parquet:"rated_posts"`
	Likes          *int64   `parquet:"likes,optional"`
	Reposts        *int64   `parquet:"reposts,optional"`
	Replies        *int64   `parquet:"replies,optional"`
	Views          *int64   `parquet:"views,optional"`
	Total          *int64   `parquet:"total_engagement,optional"`
	Engagement     *int64   `parquet:"engagement,optional"`
	Followers      *int64   `parquet:"followers,optional"`
	EngagementRate *float64 `parquet:"engagement_rate,optional"`
	MedianRate     *float64 `parquet:"median_rate,optional"`
	built
}

type hashtagRow struct {
	Day          int32     `parquet:"day,optional,date"`
	Source       string    `parquet:"source,optional"`
	Hashtag      string    `parquet:"hashtag,optional"`
	Rank         int64     `parquet:"rank"`
	Posts        int64     `parquet:"posts"`
	Authors      int64     `parquet:"authors"`
	Expected     *float64  `parquet:"expected,optional"`
	Score        *float64  `parquet:"score,optional"`
	PeakHour     time.Time `parquet:"peak_hour,optional,timestamp(microsecond)"`
	Trending     bool      `parquet:"trending"`
	NetSentiment *float64  `parquet:"net_sentiment,optional"`
	built
}

type runRow struct {
	RunID          string    `parquet:"run_id,optional"`
	Job            string    `parquet:"job,optional"`
	StartedAt      time.Time `parquet:"started_at,optional,timestamp(microsecond)"`
	EndedAt        time.Time `parquet:"ended_at,optional,timestamp(microsecond)"`
	State          string    `parquet:"state,optional"`
	Posts          int64     `parquet:"posts"`
	Rejects        int64     `parquet:"rejects"`
	Seconds        *float64  `parquet:"seconds,optional"`
	PostsPerSecond *float64  `parquet:"posts_per_second,optional"`
	Steps          int64     `parquet:"steps"`
	Scored         int64     `parquet:"scored"`
	Error          string    `parquet:"error,optional"`
	built
}

type trendRow struct {
	Source        string    `parquet:"source,optional"`
	Hashtag       string    `parquet:"hashtag,optional"`
	Hour          time.Time `parquet:"hour,optional,timestamp(microsecond)"`
	Day           int32     `parquet:"day,optional,date"`
	Observed      int64     `parquet:"observed"`
	Expected      float64   `parquet:"expected"`
	PValue        float64   `parquet:"p_value"`
	QValue        float64   `parquet:"q_value"`
	Score         float64   `parquet:"score"`
	Trending      bool      `parquet:"trending"`
	Model         string    `parquet:"model,optional"`
	ModelVersion  int64     `parquet:"model_version"`
	InputSnapshot int64     `parquet:"input_snapshot"`
	RunID         string    `parquet:"run_id,optional"`
	ExpectedDay   *float64  `parquet:"expected_day,optional"`
}

func columns(pairs ...string) []lake.Column {
	pairs = append(pairs, "_run_id", "VARCHAR", "_model", "VARCHAR", "_inputs", "VARCHAR")
	var out []lake.Column
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, lake.Column{Name: pairs[i], Type: pairs[i+1]})
	}
	return out
}

func marts() []lake.Spec {
	byDay := []string{"day"}
	return []lake.Spec{
		{Name: "marts.volume", Partition: byDay, Key: []string{"hour", "source", "lang", "copy"}, Columns: columns("hour", "TIMESTAMPTZ", "day", "DATE", "source", "VARCHAR", "lang", "VARCHAR", "copy", "BOOLEAN",
			"posts", "BIGINT", "authors", "BIGINT", "replies", "BIGINT", "reposts", "BIGINT", "with_engagement", "BIGINT")},
		{Name: "marts.daily_sentiment", Partition: byDay, Key: []string{"day", "source", "lang", "copy"}, Columns: columns("day", "DATE", "source", "VARCHAR", "lang", "VARCHAR", "copy", "BOOLEAN",
			"posts", "BIGINT", "scored", "BIGINT", "negative", "BIGINT", "neutral", "BIGINT", "positive", "BIGINT",
			"negative_estimate", "DOUBLE", "neutral_estimate", "DOUBLE", "positive_estimate", "DOUBLE", "positive_share", "DOUBLE", "negative_share", "DOUBLE",
			"net_sentiment", "DOUBLE", "mean_confidence", "DOUBLE", "model_version", "BIGINT")},
		{Name: "marts.engagement", Partition: byDay, Key: []string{"day", "source", "lang", "copy"}, Columns: columns("day", "DATE", "source", "VARCHAR", "lang", "VARCHAR", "copy", "BOOLEAN",
			"posts", "BIGINT", "rated_posts", "BIGINT", "likes", "BIGINT", "reposts", "BIGINT", "replies", "BIGINT", "views", "BIGINT", "total_engagement", "BIGINT",
			"engagement", "BIGINT", "followers", "BIGINT", "engagement_rate", "DOUBLE", "median_rate", "DOUBLE")},
		{Name: "marts.trending_hashtags", Partition: byDay, Key: []string{"day", "source", "hashtag"}, Columns: columns("day", "DATE", "source", "VARCHAR", "hashtag", "VARCHAR",
			"rank", "BIGINT", "posts", "BIGINT", "authors", "BIGINT", "expected", "DOUBLE", "score", "DOUBLE", "peak_hour", "TIMESTAMPTZ", "trending", "BOOLEAN", "net_sentiment", "DOUBLE")},
		{Name: "marts.pipeline_runs", Key: []string{"run_id"}, Columns: columns("run_id", "VARCHAR", "job", "VARCHAR", "started_at", "TIMESTAMPTZ", "ended_at", "TIMESTAMPTZ", "state", "VARCHAR",
			"posts", "BIGINT", "rejects", "BIGINT", "seconds", "DOUBLE", "posts_per_second", "DOUBLE", "steps", "BIGINT", "scored", "BIGINT", "error", "VARCHAR")},
		lake.Trends(), lake.Confusion(),
	}
}

// world is a lake with marts of invented posts, and what reads it.
type world struct {
	tb   testing.TB
	lake *lake.Lake
	db   *query.DB
	now  time.Time
	rng  *rand.Rand
	next map[string]*lake.Commit // what flush commits, by table
}

const (
	firstRun = "run-2016-11-14"
	inputs   = "features.posts@4711"
)

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{tb: tb, now: time.Date(2016, 11, 14, 12, 0, 0, 0, time.UTC), rng: rand.New(rand.NewPCG(1, 2)), next: map[string]*lake.Commit{}}
	log := slog.New(slog.DiscardHandler)
	// The lake's clock is the real one: snapshots of one table need an order.
	l, err := lake.Open(tb.Context(), lake.Config{Dir: tb.TempDir(), Now: time.Now, Log: log})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	db, err := query.Open(tb.Context(), query.Options{Threads: 2})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	w.lake, w.db = l, db
	return w
}

// options is a dashboard of the world that looks for newer snapshots each time.
func (w *world) options() dashboard.Options {
	var ticks atomic.Int64
	return dashboard.Options{
		Lake: w.lake, DB: w.db, Log: slog.New(slog.NewTextHandler(w.tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Now:    func() time.Time { return w.now.Add(time.Duration(ticks.Add(1)) * time.Minute) },
		Models: map[string]dashboard.ModelDoc{"marts.volume": {About: "posts per hour, source and language", SQL: "select hour, count(*) as posts\nfrom features.posts\ngroup by hour"}},
	}
}

func (w *world) ensure() {
	w.tb.Helper()
	for _, s := range marts() {
		if err := w.lake.Ensure(w.tb.Context(), s); err != nil {
			w.tb.Fatal(err)
		}
	}
}

func date(t time.Time) int32 { return int32(t.Unix() / 86400) }

// put replaces the partition of a day, or with no day the whole table, at the
// next flush.
func put[T any](w *world, table, day string, rows []T) {
	w.tb.Helper()
	c := w.next[table]
	if c == nil {
		c = &lake.Commit{Table: table, Summary: map[string]string{lake.SummaryRunID: firstRun}}
		w.next[table] = c
	}
	var p lake.Partition
	switch {
	case table == "ml.trends":
		p = lake.MakePartition("source", "tweets", "day", day)
		c.Replace = append(c.Replace, p)
	case day != "":
		p = lake.MakePartition("day", day)
		c.Replace = append(c.Replace, p)
	default:
		c.ReplaceAll = true
	}
	path, err := lake.WriteRows(w.tb.Context(), w.lake, table, p, rows)
	if err != nil {
		w.tb.Fatal(err)
	}
	c.Add = append(c.Add, path)
}

// flush commits what was put, one snapshot a table.
func (w *world) flush() {
	w.tb.Helper()
	for table, c := range w.next {
		if _, err := w.lake.Commit(w.tb.Context(), *c); err != nil {
			w.tb.Fatal(err)
		}
		delete(w.next, table)
	}
}

func by(table string) built {
	return built{RunID: firstRun, Model: table + "@0123456789ab", Inputs: inputs}
}

// places are the sources and languages of the world, with their usual posts an
// hour and the mood of their writers. Copies are posts that another source brings
// too.
type place struct {
	source, lang string
	copy         bool
	usual, mood  float64
}

func places() []place {
	return []place{
		{"tweets", "en", false, 34, 0.1},
		{"tweets", "de", false, 9, -0.05},
		{"tweets", "ja", false, 14, 0.2},
		{"tweets", "und", false, 3, 0},
		{"tweets", "en", true, 4, -0.3},
		{"reddit", "en", false, 21, -0.15},
		{"reddit", "und", false, 2, -0.1},
		{"mastodon", "en", false, 5, 0.05},
		{"mastodon", "de", false, 6, 0.12},
	}
}

// fill makes days of marts that end with last.
func (w *world) fill(last time.Time, days int) {
	w.tb.Helper()
	w.ensure()
	for d := days - 1; d >= 0; d-- {
		w.fillDay(last.AddDate(0, 0, -d))
	}
	w.fillRuns(14)
	put(w, "ml.confusion", "", mistakes(3))
	w.flush()
}

func (w *world) fillDay(day time.Time) {
	w.tb.Helper()
	name := day.Format(time.DateOnly)
	var volume []volumeRow
	var sentiment []sentimentRow
	var engagement []engagementRow
	for _, p := range places() {
		var posts int64
		for h := range 24 {
			wave := 1 + 0.75*math.Sin(float64(h-9)/24*2*math.Pi) + 0.2*math.Sin(float64(day.Weekday()))
			n := int64(p.usual * wave * (0.7 + 0.6*w.rng.Float64()))
			if n == 0 {
				continue
			}
			posts += n
			hour := day.Add(time.Duration(h) * time.Hour)
			volume = append(volume, volumeRow{Hour: hour, Day: date(day), Source: p.source, Lang: p.lang, Copy: p.copy, Posts: n, Authors: n/2 + 1, Replies: n / 3, Reposts: n / 5, WithEngagement: n, built: by("marts.volume")})
		}
		if posts == 0 {
			continue
		}
		sentiment = append(sentiment, w.sentimentOf(day, p, posts))
		engagement = append(engagement, w.engagementOf(day, p, posts))
	}
	put(w, "marts.volume", name, volume)
	put(w, "marts.daily_sentiment", name, sentiment)
	put(w, "marts.engagement", name, engagement)
	put(w, "marts.trending_hashtags", name, w.hashtagsOf(day))
	put(w, "ml.trends", name, []trendRow{{Source: "tweets", Hashtag: "debate", Day: date(day), Model: "trends", ModelVersion: 2}})
}

func (w *world) sentimentOf(day time.Time, p place, posts int64) sentimentRow {
	r := sentimentRow{Day: date(day), Source: p.source, Lang: p.lang, Copy: p.copy, Posts: posts, built: by("marts.daily_sentiment")}
	if p.lang == "und" { // nobody scored these
		return r
	}
	mood := p.mood + 0.12*math.Sin(float64(day.YearDay())/5) + 0.1*(w.rng.Float64()-0.5)
	r.Scored = posts - posts/20
	r.Positive = int64(float64(r.Scored) * (0.3 + mood/2))
	r.Negative = int64(float64(r.Scored) * (0.3 - mood/2))
	r.Neutral = r.Scored - r.Positive - r.Negative
	r.NegativeEst, r.PositiveEst = new(0.8*float64(r.Negative)), new(1.1*float64(r.Positive)) // it says negative too often
	r.NeutralEst = new(float64(r.Scored) - *r.NegativeEst - *r.PositiveEst)
	share := func(n int64) *float64 { v := float64(n) / float64(r.Scored); return &v }
	r.PositiveShare, r.NegativeShare, r.NetSentiment = share(r.Positive), share(r.Negative), share(r.Positive-r.Negative)
	r.MeanConfidence, r.ModelVersion = new(0.71), new(int64(3))
	return r
}

func (w *world) engagementOf(day time.Time, p place, posts int64) engagementRow {
	r := engagementRow{Day: date(day), Source: p.source, Lang: p.lang, Copy: p.copy, Posts: posts, built: by("marts.engagement")}
	if p.source == "reddit" { // counts likes, knows no followers
		r.Likes, r.Total = new(posts*11), new(posts*11)
		return r
	}
	rate := 0.004 + 0.05*p.mood*p.mood + 0.006*w.rng.Float64()
	if p.source == "mastodon" {
		rate *= 3.4
	}
	r.RatedPosts = posts - posts/10
	r.Likes, r.Reposts, r.Replies, r.Total = new(posts*6), new(posts*2), new(posts), new(posts*9)
	r.Engagement, r.Followers = new(r.RatedPosts*9), new(int64(float64(r.RatedPosts*9)/rate))
	r.EngagementRate, r.MedianRate = new(float64(*r.Engagement)/float64(*r.Followers)), &rate
	return r
}

func (w *world) hashtagsOf(day time.Time) []hashtagRow {
	var out []hashtagRow
	for _, s := range []string{"tweets", "reddit", "mastodon"} {
		for i, tag := range []string{"debate", "climate", "football", "nowplaying", "日本", "aveclongnom_très_très_très_long_pour_voir", "monday", "ai", "vote", "caturday"} {
			expected := 40.0 / float64(i+1) * (0.8 + 0.4*w.rng.Float64())
			posts := int64(expected * (0.6 + 0.8*w.rng.Float64()))
			hot := (day.Day()+3*i+len(s))%23 == 0
			if hot {
				posts = int64(expected*6) + 20
			}
			score := math.Max(0, float64(posts)-expected) / math.Sqrt(expected+1)
			r := hashtagRow{
				Day: date(day), Source: s, Hashtag: tag, Rank: int64(i + 1), Posts: posts, Authors: posts/2 + 1, Expected: &expected, Score: &score,
				PeakHour: day.Add(time.Duration(8+i) * time.Hour), Trending: hot, NetSentiment: new(0.5 - w.rng.Float64()), built: by("marts.trending_hashtags"),
			}
			if tag == "ai" { // too new for a baseline
				r.Expected, r.Score, r.Trending = nil, nil, false
			}
			out = append(out, r)
		}
	}
	return out
}

func (w *world) fillRuns(n int) {
	w.tb.Helper()
	var rows []runRow
	for i := range n {
		start := w.now.Add(-time.Duration(n-i) * 8 * time.Hour)
		r := runRow{
			RunID: fmt.Sprintf("r%05d", 100+i), Job: "run", StartedAt: start, State: "done", Posts: int64(4000 + 37*i), Rejects: int64(i % 3),
			Steps: 9, Scored: int64(3900 + 30*i), built: by("marts.pipeline_runs"),
		}
		switch i {
		case n - 1: // the newest was killed
			r.State, r.Error = "abandoned", "process 7 on host died without finishing the run"
		case n - 2: // the one before found nothing
			r.Posts, r.Scored = 0, 0
		case n - 4:
			r.State, r.Error, r.Posts = "failed", "ingest reddit: open posts-07.ndjson.gz: unexpected end of gzip data", 0
		case n - 5:
			r.State = "partial"
		}
		secs := 9.5 + 0.31*float64(i)
		r.EndedAt, r.Seconds = start.Add(time.Duration(secs*float64(time.Second))), &secs
		r.PostsPerSecond = new(float64(r.Posts) / secs)
		rows = append(rows, r)
	}
	put(w, "marts.pipeline_runs", "", rows)
}
