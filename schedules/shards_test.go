package schedules

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/feedlake/feedlake"
)

// TestShards leaves a step incomplete until every shard is done, or the whole.
func TestShards(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		l := openTest(t, place(t))
		run := func(s Shard, fails error) {
			t.Helper()
			r := Runner{Ledger: l}
			job := Job{Name: "score " + s.String(), Kind: "score", Shard: s, Run: func(context.Context, feedlake.Window) error { return fails }}
			if _, err := r.Run(t.Context(), Run{Job: "score", Lock: Unlocked}, []Job{job}); (err == nil) != (fails == nil) {
				t.Fatal(err)
			}
		}
		missing := func(want string) {
			t.Helper()
			all, err := l.Incomplete(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, i := range all {
				got += i.Step + fmt.Sprint(i.Missing)
				if !errors.Is(i.Error(), feedlake.ErrPartial) {
					t.Error(i.Error())
				}
			}
			if got != want {
				t.Errorf("missing %q, want %q", got, want)
			}
		}
		missing("")
		run(Shard{0, 3}, nil)
		missing("score[1/3 2/3]")
		run(Shard{2, 3}, errors.New("broken"))
		missing("score[1/3 2/3]")
		run(Shard{1, 3}, nil)
		run(Shard{2, 3}, nil)
		missing("")
		run(Shard{1, 2}, nil)
		missing("score[0/2]")
		run(Shard{1, 3}, nil) // another number of shards begins anew
		missing("score[0/3 2/3]")
		run(Shard{}, errors.New("broken"))
		missing("score[0/3 2/3]")
		run(Shard{}, nil)
		missing("")
	})
}
