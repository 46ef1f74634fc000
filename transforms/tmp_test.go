package transforms_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
)

type timed struct {
	transforms.Engine
	t   testing.TB
	cpu map[string]time.Duration
}

func (e *timed) Run(ctx context.Context, q transforms.Query) (transforms.Output, error) {
	s := cpu(e.t)
	out, err := e.Engine.Run(ctx, q)
	e.cpu[q.Model.Name] += cpu(e.t) - s
	return out, err
}

func TestTmpPhases(t *testing.T) {
	r := newRig(t)
	landTweets(r, 13)
	_ = os.Getenv
	raws := map[string]time.Duration{}
	dir := t.TempDir()
	db, _ := query.Open(t.Context(), query.Options{Memory: duckdb.DefaultMemory, TempDir: filepath.Join(dir, "spill"), Setup: []string{duckdb.Macros()}})
	db.Pin(t.Context(), r.lake, nil)
	for _, m := range r.graph.Models() {
		path := filepath.Join(dir, m.Name+".parquet")
		s := cpu(t)
		if _, err := db.SQL().Exec("COPY (" + m.SQL + "\n) TO " + query.Quote(path) + " (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"); err != nil {
			t.Fatal(err)
		}
		raws[m.Name] = cpu(t) - s
		var sc, n string
		fmt.Sscanf(m.Name, "%s", &sc)
		for i := range m.Name {
			if m.Name[i] == '.' {
				sc, n = m.Name[:i], m.Name[i+1:]
			}
		}
		db.SQL().Exec("CREATE SCHEMA IF NOT EXISTS " + sc)
		db.SQL().Exec("CREATE OR REPLACE VIEW " + sc + "." + n + " AS FROM read_parquet(" + query.Quote(path) + ")")
	}
	one, _ := duckdb.Open(t.Context(), duckdb.Options{TempDir: dir})
	e := &timed{one, t, map[string]time.Duration{}}
	r.engine.Engine = e
	last := cpu(t)
	tot := map[string]time.Duration{}
	r.opts.Progress = func(p transforms.Progress) {
		if p.State != "" {
			tot[p.Model] = cpu(t) - last
		}
		last = cpu(t)
		if p.State == "" && p.Partitions > 0 {
			last -= 0
		}
	}
	marks := map[string][]time.Duration{}
	r.opts.Progress = func(p transforms.Progress) { marks[p.Model] = append(marks[p.Model], cpu(t)) }
	r.mustTransform()
	var a, b, c, d time.Duration
	for _, m := range r.graph.Models() {
		k := marks[m.Name]
		fmt.Printf("%-26s raw %6.3f engine %6.3f chunk(engine+check) %6.3f commit %6.3f\n", m.Name, raws[m.Name].Seconds(), e.cpu[m.Name].Seconds(), (k[len(k)-2] - k[0]).Seconds(), (k[len(k)-1] - k[len(k)-2]).Seconds())
		a += raws[m.Name]
		b += e.cpu[m.Name]
		c += k[len(k)-2] - k[0]
		d += k[len(k)-1] - k[len(k)-2]
	}
	fmt.Println(a, b, c, d)
}
