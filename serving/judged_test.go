package serving_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving"
)

// TestDayKeepsItsVersion judges days with one version, puts another in use, and
// adds posts: who judged a day first judges what comes late to it, until its
// files are gone; judging again replaces the days that are asked for.
func TestDayKeepsItsVersion(t *testing.T) {
	t.Parallel()
	l, db := scoreLake(t, t.TempDir(), nil), openDB(t)
	gone := map[int]error{}
	score := func(version int, again *serving.Days) serving.ScoreResult {
		t.Helper()
		o := scoreOptions(l, db, &lengths{}, version, fmt.Sprint("r", version))
		open := o.Open
		o.Open = func(ctx context.Context, v int) (serving.Judge, error) {
			if gone[v] != nil {
				return serving.Judge{}, gone[v]
			}
			return open(ctx, v)
		}
		o.Again = again
		res, err := serving.Score(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	judged := func(want ...string) {
		t.Helper()
		if d := cmp.Diff(want, lines(t, l, "select concat_ws(' ', day, id, model_version) from ml.sentiment_scores order by 1")); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	}
	putPosts(t, l, "a", "2026-01-01", "1:x")
	score(1, nil)
	putPosts(t, l, "a", "2026-01-02", "2:x")
	if res := score(2, nil); res.Partitions != 1 {
		t.Errorf("a new version and a new day: %+v", res)
	}
	putPosts(t, l, "a", "2026-01-01", "1:x", "3:late")
	score(2, nil)
	judged("2026-01-01 1 1", "2026-01-01 3 1", "2026-01-02 2 2")
	for i, err := range []error{feedlake.ErrNotFound, feedlake.ErrConfig} {
		gone[1] = err
		ids := []string{"1:x", "3:late", "4:later", "5:latest"}
		putPosts(t, l, "a", "2026-01-01", ids[:3+i]...)
		score(2, nil)
	}
	judged("2026-01-01 1 1", "2026-01-01 3 1", "2026-01-01 4 2", "2026-01-01 5 2", "2026-01-02 2 2")
	if res := score(3, &serving.Days{Last: "2026-01-01"}); res.Partitions != 1 || res.Scored != 4 {
		t.Errorf("judged again: %+v", res)
	}
	judged("2026-01-01 1 3", "2026-01-01 3 3", "2026-01-01 4 3", "2026-01-01 5 3", "2026-01-02 2 2")
	if res := score(3, nil); res.Partitions != 0 {
		t.Errorf("then nothing: %+v", res)
	}
	if res := score(4, &serving.Days{First: "2026-01-03"}); res.Partitions != 0 {
		t.Errorf("no such day: %+v", res)
	}
}

// TestWhatIsNotScored looks at posts that say nothing, in whatever sense.
func TestWhatIsNotScored(t *testing.T) {
	t.Parallel()
	l, db := scoreLake(t, t.TempDir(), nil), openDB(t)
	putPosts(t, l, "a", "2026-01-01", "1:x", "2/post/fr:x", "3/post/EN-us:x", "4/post/und:x", "5/repost/en:x", "6/reply/fr: ", "7/quote/en: ", "8:")
	res, err := serving.Score(t.Context(), scoreOptions(l, db, &lengths{}, 1, "r"))
	if err != nil || res.Scored != 3 || res.Language != 1 || res.Empty != 2 {
		t.Errorf("%+v, %v", res, err)
	}
	want := []string{"1 positive ", "2  language", "3 positive ", "4 positive ", "6  empty", "7  empty"}
	if d := cmp.Diff(want, lines(t, l, "select id || ' ' || coalesce(label, '') || ' ' || coalesce(unscored, '') from ml.sentiment_scores order by 1")); d != "" {
		t.Error(d)
	}
}

// TestOlderShapeIsJudgedAgain opens scores and trends of a program in which every
// version judged every day.
func TestOlderShapeIsJudgedAgain(t *testing.T) {
	t.Parallel()
	l, db := scoreLake(t, t.TempDir(), nil), openDB(t)
	putPosts(t, l, "a", "2026-01-01", "1:x")
	putHours(t, l, "2026-01-01", "burst 30 168")
	old := func() {
		t.Helper()
		if _, err := serving.Score(t.Context(), scoreOptions(l, db, &lengths{}, 1, "old")); err != nil {
			t.Fatal(err)
		}
		if _, err := serving.Trends(t.Context(), trendOptions(l, db, surprise{}, 1)); err != nil {
			t.Fatal(err)
		}
	}
	old()
	for table, key := range map[string]string{"ml.sentiment_scores": "feedlake.scored.m", "ml.trends": "feedlake.trends"} {
		state, err := l.Property(t.Context(), table, key)
		if err != nil {
			t.Fatal(err)
		}
		state = strings.Replace(state, `,"shape":2`, "", 1)
		if _, err := l.Commit(t.Context(), lake.Commit{Table: table, Set: map[string]string{key: state}}); err != nil {
			t.Fatal(err)
		}
	}
	if res, err := serving.Score(t.Context(), scoreOptions(l, db, &lengths{}, 2, "new")); err != nil || res.Scored != 1 {
		t.Errorf("scores: %+v, %v", res, err)
	}
	if res, err := serving.Trends(t.Context(), trendOptions(l, db, surprise{}, 2)); err != nil || res.Partitions != 1 {
		t.Errorf("trends: %+v, %v", res, err)
	}
	got := lines(t, l, "select 's' || model_version from ml.sentiment_scores union all select 't' || model_version from ml.trends order by 1")
	if d := cmp.Diff([]string{"s2", "t1"}, got); d != "" { // the count model can still be opened
		t.Error(d)
	}
}

// TestTrendsOfManyAuthors wants at least three authors behind a trend, where the
// source tells authors at all.
func TestTrendsOfManyAuthors(t *testing.T) {
	t.Parallel()
	l, db := scoreLake(t, t.TempDir(), nil), openDB(t)
	putHours(t, l, "2026-01-01", "advert 60 0 1", "pair 60 0 2", "crowd 60 0 3", "untold 60 0 0", "few 4 0 4")
	if _, err := serving.Trends(t.Context(), trendOptions(l, db, surprise{}, 1)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"crowd", "untold"}, lines(t, l, "select hashtag from ml.trends where trending order by 1")); d != "" {
		t.Error(d)
	}
	o := trendOptions(l, db, surprise{}, 1)
	o.Authors, o.Again = 1, &serving.Days{}
	if _, err := serving.Trends(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"advert", "crowd", "pair", "untold"}, lines(t, l, "select hashtag from ml.trends where trending order by 1")); d != "" {
		t.Error(d)
	}
}

// TestExpectedDay wants the expectation of a day to cover the hours without
// posts, from the one in which the source began, for the hashtags that lead.
func TestExpectedDay(t *testing.T) {
	t.Parallel()
	l, db := scoreLake(t, t.TempDir(), nil), openDB(t)
	// 28 days before, so that each silent hour of the first of them counts these posts.
	half := expectFunc(func(serving.Hour) serving.Expected { return serving.Expected{Mean: 0.5, PValue: 1} })
	put(t, l, "features.hashtag_hourly", lake.MakePartition("source", "a", "day", "2026-01-01"), `
		select 'a' as source, tag as hashtag, timestamptz '2026-01-01 10:00:00Z' + to_hours(h) as hour, date '2026-01-01' as day, posts::bigint as posts, 1::bigint as authors,
			0::bigint as posts_24h, 0::bigint as posts_7d, 0::bigint as posts_28d, 0::bigint as same_hour_7d, null::bigint as hours_since_last, (4 + h)::bigint as hours_known
		from (values ('go', 0, 1), ('go', 3, 2), ('rust', 0, 1)) v(tag, h, posts)
		union all select 'a', 'z' || i, timestamptz '2026-01-01 10:00:00Z', date '2026-01-01', 1, 1, 0, 0, 0, 0, null, 4 from range(60) r(i)`)
	putHours(t, l, "2026-01-02", "go 2 3")
	if _, err := serving.Trends(t.Context(), trendOptions(l, db, half, 1)); err != nil {
		t.Fatal(err)
	}
	// The source began at 6 o'clock: 18 hours of the first day, 24 of the second.
	want := []string{"2026-01-01 go 9.0", "2026-01-01 go 9.0", "2026-01-01 rust 9.0", "2026-01-02 go 12.0"}
	const q = "select concat_ws(' ', day, hashtag, expected_day) from ml.trends where hashtag not like 'z%' order by 1"
	if d := cmp.Diff(want, lines(t, l, q)); d != "" {
		t.Error(d)
	}
	if got := lines(t, l, "select count(expected_day)::varchar from ml.trends where day = date '2026-01-01'"); got[0] != "51" { // go has two rows
		t.Errorf("%s rows of the first day have an expectation of it, want those of %d hashtags", got[0], serving.LeadingTags)
	}
	// What the model is told of silent hours follows from the days before.
	o := trendOptions(l, db, surprise{}, 1)
	o.Again = &serving.Days{}
	if _, err := serving.Trends(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	// 23 silent hours that see the 3 posts of the day before, those after 10 o'clock
	// also the 2 of that hour, and the hour with posts itself.
	if d := cmp.Diff([]string{fmt.Sprintf("%.6f", (10*3.5+13*5.5+3.5)/168)}, lines(t, l, "select printf('%.6f', expected_day) from ml.trends where day = date '2026-01-02'")); d != "" {
		t.Error(d)
	}
}
