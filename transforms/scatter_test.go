package transforms_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/sql"
	"github.com/feedlake/feedlake/transforms"
)

// moved gives a version of a post another day.
func moved(p feedlake.Post, days int) feedlake.Post {
	p.CreatedAt = p.CreatedAt.AddDate(0, 0, days)
	return p
}

const scatteredRows = "SELECT source, id, day, shown, copy, text FROM features.scattered ORDER BY source, id, day"

// TestScatteredFollowsRemoval drops one of two days of a post, as retention does:
// the post is in one place again, and no trace of the other stays.
func TestScatteredFollowsRemoval(t *testing.T) {
	r := newRig(t)
	r.opts.Only = []string{"features.posts"}
	first := post("a1", "01-01", "first")
	r.land(first, moved(seen(first, time.Hour, "second"), 1), post("b1", "01-01", "other"))
	r.mustTransform()
	want := []string{
		`{"source":"x","id":"a1","day":"2026-01-01","shown":false,"copy":null,"text":null}`,
		`{"source":"x","id":"a1","day":"2026-01-02","shown":true,"copy":false,"text":"second"}`,
	}
	if diff := cmp.Diff(want, r.rows(scatteredRows)); diff != "" {
		t.Fatalf("scattered (-want +got):\n%s", diff)
	}
	if _, err := r.lake.Commit(t.Context(), lake.Commit{Table: "raw.posts", Replace: []lake.Partition{"source=x/day=2026-01-02"}}); err != nil {
		t.Fatal(err)
	}
	r.mustTransform()
	if diff := cmp.Diff([]string{}, append([]string{}, r.rows(scatteredRows)...)); diff != "" {
		t.Errorf("scattered after the removal (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`{"id":"a1","text":"first"}`, `{"id":"b1","text":"other"}`}, r.rows("SELECT id, text FROM features.posts ORDER BY id")); diff != "" {
		t.Errorf("posts (-want +got):\n%s", diff)
	}
}

// TestScatteredLeavesOthers lands what has nothing to do with scattered posts:
// their partitions are not written again, and other days are not computed.
func TestScatteredLeavesOthers(t *testing.T) {
	r := newRig(t)
	r.opts.Only = []string{"features.posts"}
	first := post("a1", "01-01", "first")
	r.land(first, moved(seen(first, time.Hour, "second"), 1))
	r.mustTransform()
	before, err := r.lake.Current(t.Context(), "features.scattered")
	if err != nil {
		t.Fatal(err)
	}
	r.land(post("b1", "01-01", "same day"), post("b2", "01-09", "another day"))
	rep := r.mustTransform()
	after, err := r.lake.Current(t.Context(), "features.scattered")
	if err != nil || before.ID != after.ID {
		t.Errorf("features.scattered went from snapshot %d to %d, %v", before.ID, after.ID, err)
	}
	if diff := cmp.Diff([]lake.Partition{"source=x/day=2026-01-01", "source=x/day=2026-01-09"}, of(t, rep, "features.posts").Partitions); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
}

// TestNetworkTold joins two sources once the lake knows that their ids are of one
// network, without a new post.
func TestNetworkTold(t *testing.T) {
	r := newRig(t)
	r.opts.Only = []string{"features.posts"}
	a, b := post("a1", "01-01", "in x"), post("a1", "01-01", "in y, seen later")
	b.Source, b.ObservedAt = "y", b.ObservedAt.Add(time.Hour)
	r.land(a, b)
	r.mustTransform()
	const rows = "SELECT source, copy, text FROM features.posts ORDER BY source"
	if diff := cmp.Diff([]string{`{"source":"x","copy":false,"text":"in x"}`, `{"source":"y","copy":false,"text":"in y, seen later"}`}, r.rows(rows)); diff != "" {
		t.Fatalf("two networks (-want +got):\n%s", diff)
	}
	set := map[string]string{lake.PropertyNetwork + "x": "bluesky", lake.PropertyNetwork + "y": "bluesky"}
	if _, err := r.lake.Commit(t.Context(), lake.Commit{Table: "raw.posts", Set: set}); err != nil {
		t.Fatal(err)
	}
	r.mustTransform()
	if diff := cmp.Diff([]string{`{"source":"x","copy":false,"text":"in y, seen later"}`, `{"source":"y","copy":true,"text":"in y, seen later"}`}, r.rows(rows)); diff != "" {
		t.Errorf("one network (-want +got):\n%s", diff)
	}
}

// TestOneOrderOfVersions holds the order of versions in features.posts against the
// one of scattered posts: they are one rule.
func TestOneOrderOfVersions(t *testing.T) {
	text, err := sql.Models.ReadFile("features/posts.sql")
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.Join(strings.Fields(strings.ReplaceAll(string(text), "p.", "")), " ")
	if want := fmt.Sprintf("order by coalesce(reading, 0) desc, %s) as place", transforms.NewestOrder); !strings.Contains(plain, want) {
		t.Errorf("features/posts.sql lacks %q", want)
	}
}
