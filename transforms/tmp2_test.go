package transforms_test

import (
	"fmt"
	"testing"
	"os"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
)

func TestTmpVolume(t *testing.T) {
	r := newRig(t)
	landTweets(r, 1)
	r.opts.Only = []string{"features.posts"}
	r.mustTransform()
	one, _ := duckdb.Open(t.Context(), duckdb.Options{Threads: 1, TempDir: t.TempDir()})
	m, _ := r.graph.Model(os.Getenv("MODEL"))
	cur, _ := r.lake.Current(t.Context(), "features.posts")
	files, _ := r.lake.Files(t.Context(), "features.posts", cur.ID)
	cols, _ := r.lake.Columns(t.Context(), "features.posts")
	q := transforms.Query{Model: m, Inputs: map[string][]lake.File{"features.posts": files}, Columns: map[string][]lake.Column{"features.posts": cols},
		Staging: func(p lake.Partition) (string, error) { return r.lake.NewPath(m.Name, p) }}
	s := cpu(t)
	const n = 30
	for range n {
		if _, err := one.Run(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println(m.Name, (cpu(t) - s) / n)
}
