package transforms_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms"
)

// work is what a run read and wrote of one table.
type work struct {
	FilesRead, PartitionsReplaced, FilesWritten int
	RowsRead, RowsWritten                       int64
}

func counters(rep transforms.Report) (map[string]work, int64) {
	out := map[string]work{}
	var bytes int64
	for _, m := range rep.Models {
		out[m.Model] = work{m.InputFiles, len(m.Partitions), m.Files, m.InputRows, m.Rows}
		bytes += m.InputBytes
	}
	return out, bytes
}

// history is a lake of so many days, all alike, that ends on 2026-02-28.
func history(t *testing.T, days int) *rig {
	t.Helper()
	r := newRig(t)
	r.ensure(lake.Fixed()...)
	var posts []feedlake.Post
	for back := range days {
		for i := range 3 {
			posts = append(posts, onDay(-back, fmt.Sprintf("d%03d-%d", back, i), "hello #go"))
		}
	}
	r.land(posts...)
	r.mustTransform()
	return r
}

// onDay makes a post of a day counted from 2026-02-28.
func onDay(days int, id, text string) feedlake.Post {
	p := post(id, "02-28", text)
	p.CreatedAt, p.ObservedAt = p.CreatedAt.AddDate(0, 0, days), p.ObservedAt.AddDate(0, 0, days)
	return p
}

// TestWholeNightCostsTheNight lets the same things happen to a lake of 60 days and to
// one of twice as many: a new day, a late post, an edit, a deletion. The runs
// after them must read the same files and replace the same partitions, whatever
// the age of the lake. (The look-back of 28 days ends within both.)
func TestWholeNightCostsTheNight(t *testing.T) {
	t.Parallel()
	nights := []struct {
		name  string
		posts []feedlake.Post
		want  map[string]work // of some tables, in full
	}{
		{"a new day", []feedlake.Post{onDay(1, "new-1", "hello #go"), onDay(1, "new-2", "hello #rust")}, map[string]work{
			"features.posts":          {1, 1, 1, 2, 2},
			"features.text_stats":     {1, 1, 1, 2, 2},
			"features.hashtag_hourly": {2 * 29, 1, 1, 2 * (28*3 + 2), 2}, // two inputs, a look-back of 28 days
			"marts.volume":            {1, 1, 1, 2, 1},
		}},
		{"a late post", []feedlake.Post{onDay(-20, "late-1", "late #go")}, map[string]work{
			"features.posts":      {1, 1, 1, 1, 1}, // the new post alone
			"features.entities":   {1, 1, 1, 1, 1},
			"features.text_stats": {1, 1, 1, 1, 1},
			"marts.volume":        {2, 1, 1, 4, 1},
		}},
		{"an edit", []feedlake.Post{seen(onDay(-10, "d010-1", ""), time.Hour, "edited #zig")}, map[string]work{
			"features.posts": {2, 1, 1, 4, 3},
			"marts.volume":   {1, 0, 0, 3, 0}, // another text makes no other number of posts
		}},
		{"a deletion", []feedlake.Post{deleted(onDay(-5, "d005-1", ""), time.Hour)}, map[string]work{
			"features.posts": {2, 1, 1, 4, 2},
			"marts.volume":   {1, 1, 1, 2, 1},
		}},
		{"nothing", nil, map[string]work{"features.posts": {}, "features.hashtag_hourly": {}, "marts.volume": {}}},
	}
	small, large := history(t, 60), history(t, 120)
	for _, n := range nights {
		t.Run(n.name, func(t *testing.T) {
			var got [2]map[string]work
			var bytes [2]int64
			for i, r := range []*rig{small, large} {
				if n.posts != nil {
					r.land(n.posts...)
				}
				got[i], bytes[i] = counters(r.mustTransform())
			}
			if d := cmp.Diff(got[0], got[1]); d != "" {
				t.Errorf("a lake twice as old does other work (-60 days +120 days):\n%s", d)
			}
			for table, want := range n.want {
				if d := cmp.Diff(want, got[1][table]); d != "" {
					t.Errorf("%s (-want +got):\n%s", table, d)
				}
			}
			if bytes[1] > bytes[0]+bytes[0]/20 {
				t.Errorf("it reads %d bytes, the younger one %d", bytes[1], bytes[0])
			}
		})
	}
}
