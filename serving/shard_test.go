package serving_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/serving"
)

const whoScored = "select concat_ws('/', source, id, day, label) from ml.sentiment_scores order by 1"

// TestScoreShards scores a lake in shards at once, and in another whole: the rows
// are equal, and nothing is left for the whole to do. A shard that is missing leaves
// its posts to it.
func TestScoreShards(t *testing.T) {
	for _, missing := range []int{-1, 1} {
		t.Run(fmt.Sprintf("without shard %d", missing), func(t *testing.T) {
			whole, parts := scoreLake(t, t.TempDir(), nil), scoreLake(t, t.TempDir(), nil)
			for day := 1; day <= 9; day++ {
				putPosts(t, whole, "a", fmt.Sprintf("2026-01-%02d", day), "x:some text", "y:another one")
				putPosts(t, parts, "a", fmt.Sprintf("2026-01-%02d", day), "x:some text", "y:another one")
			}
			if _, err := serving.Score(t.Context(), scoreOptions(whole, openDB(t), &lengths{}, 1, "whole")); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for i := range 3 {
				if i == missing {
					continue
				}
				o := scoreOptions(parts, openDB(t), &lengths{}, 1, fmt.Sprint("shard ", i))
				o.Shard = serving.Shard{Index: i, Of: 3}
				all.Go(func() {
					if _, err := serving.Score(t.Context(), o); err != nil {
						t.Errorf("shard %d: %v", i, err)
					}
				})
			}
			all.Wait()
			left := &lengths{}
			res, err := serving.Score(t.Context(), scoreOptions(parts, openDB(t), left, 1, "whole"))
			if err != nil {
				t.Fatal(err)
			}
			if done := left.calls.Load() == 0 && res.Partitions == 0; done != (missing < 0) {
				t.Errorf("the whole scored %d posts in %d partitions", left.calls.Load(), res.Partitions)
			}
			if diff := cmp.Diff(lines(t, whole, whoScored), lines(t, parts, whoScored)); diff != "" {
				t.Errorf("rows (-whole +shards):\n%s", diff)
			}
			if props, err := parts.Properties(t.Context(), "ml.sentiment_scores", "feedlake.scored.m.shard-"); err != nil || len(props) > 0 {
				t.Errorf("the shards are still told of: %v, %v", props, err)
			}
		})
	}
}

// TestScoreShardBesideWhole lets a shard and the whole score at once, as two processes
// of which one was taken for dead: no row is doubled.
func TestScoreShardBesideWhole(t *testing.T) {
	l := scoreLake(t, t.TempDir(), nil)
	for day := 1; day <= 6; day++ {
		putPosts(t, l, "a", fmt.Sprintf("2026-01-%02d", day), "x:some text", "y:another one")
	}
	beside := scoreOptions(l, openDB(t), &lengths{}, 1, "beside")
	for _, c := range []struct{ slow, beside serving.Shard }{
		{serving.Shard{}, serving.Shard{Index: 0, Of: 1}}, {serving.Shard{Index: 0, Of: 1}, serving.Shard{}},
	} {
		for day := 1; day <= 6; day++ {
			putPosts(t, l, "a", fmt.Sprintf("2026-01-%02d", day), "x:some text", "y:another one", fmt.Sprintf("z%d:more", c.slow.Of))
		}
		slow := scoreOptions(l, openDB(t), nil, 1, "slow")
		slow.Shard, beside.Shard = c.slow, c.beside
		slow.Open = func(context.Context, int) (serving.Judge, error) {
			_, err := serving.Score(t.Context(), beside)
			return serving.Judge{Scorer: &lengths{}, Languages: []string{"en"}}, err
		}
		if _, err := serving.Score(t.Context(), slow); !errors.Is(err, feedlake.ErrConflict) {
			t.Errorf("the slower one, shard %v: %v", c.slow, err)
		}
		got := lines(t, l, "select count(*) - count(distinct (source, id, day)) || ' of ' || count(*) from ml.sentiment_scores")
		if want := fmt.Sprintf("0 of %d", 18+6*c.slow.Of); got[0] != want {
			t.Errorf("twice: %s, want %s", got[0], want)
		}
	}
}
