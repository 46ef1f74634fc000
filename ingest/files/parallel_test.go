package files_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/lake"
)

// mixed is a folder with files of every format, some of them broken, whose posts
// lie on many days.
func mixed(t testing.TB) *folder {
	t.Helper()
	f := newFolder(t)
	spread := strings.NewReplacer(`"at":15779`, `"at":15679`)
	f.write("a.ndjson", ndjson(0, 40)+"{broken\n"+spread.Replace(ndjson(40, 80)))
	f.write("b.ndjson.gz", gz(t, ndjson(80, 120)+`{"id":"x","at":"never"}`+"\n"+spread.Replace(ndjson(120, 140))))
	f.write("c.json", array(140, 170))
	f.write("d.csv", table(170, 200)+"1,2\n"+table(200, 210)[len("at,id,t,n\r\n"):])
	f.write("e.parquet", parquetFile(t, 210, 240, 7))
	f.write("f.bson", dump(t, 240, 260))
	f.write("g.ndjson.gz", "no gzip")
	return f
}

// landedBy is what a run leaves when so many goroutines do it: files with their
// contents, places, rejects.
func landedBy(t *testing.T, f *folder, parallel int) string {
	t.Helper()
	l := openLake(t, t.TempDir())
	src := files.Small(openSource(t, f.dir, "path: '*'\n"+plain))
	res, err := ingest.Run(t.Context(), ingest.Options{
		Name: "src", RunID: "r", Source: src, Lake: l, Now: clock, Log: slog.New(slog.DiscardHandler), BatchRows: 50, Parallel: parallel,
	})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%d posts, %d rejects, %d commits\n", res.Posts, res.Rejects, res.Commits)
	for _, name := range []string{lake.RawPosts().Name, lake.RawRejects().Name} {
		all, err := l.Snapshots(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			live, err := l.Files(t.Context(), name, s.ID)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%s, a snapshot of %d files:\n", name, len(live))
			seen := map[string]int{}
			for _, file := range live {
				text, err := os.ReadFile(file.Path)
				if err != nil {
					t.Fatal(err)
				}
				seen[fmt.Sprintf("%s %d %x", file.Partition, len(text), sha256.Sum256(text))]++
			}
			fmt.Fprintln(&out, seen)
		}
	}
	cursor, err := l.Property(t.Context(), lake.RawPosts().Name, "feedlake.cursor.src")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&out, cursor)
	return out.String()
}

// TestParallelLandsTheSame wants the same files, byte for byte, commits, cursors and
// rejects, whatever the number of goroutines.
func TestParallelLandsTheSame(t *testing.T) {
	f := mixed(t)
	want := landedBy(t, f, 1)
	if !strings.Contains(want, "260 posts, 4 rejects, 6 commits") {
		t.Fatal(want)
	}
	for _, n := range []int{2, 7} {
		if d := cmp.Diff(want, landedBy(t, f, n)); d != "" {
			t.Errorf("%d goroutines: %s", n, d)
		}
	}
}

// TestParallelEnds leaves no goroutine behind when a run is cancelled, or its lake
// fails, in the middle.
func TestParallelEnds(t *testing.T) {
	f := mixed(t)
	boom := errors.New("boom")
	before := runtime.NumGoroutine()
	for i := range 12 {
		l, err := lake.Open(t.Context(), lake.Config{Dir: t.TempDir(), Now: clock, Log: slog.New(slog.DiscardHandler), Intercept: func(op, _ string, do func() error) error {
			if op == "close" && i%2 == 0 {
				return boom
			}
			return do()
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		pages := 0
		_, err = ingest.Run(ctx, ingest.Options{
			Name: "src", RunID: "r", Source: files.Small(openSource(t, f.dir, "path: '*'\n"+plain)), Lake: l, Now: clock, Log: slog.New(slog.DiscardHandler), BatchRows: 20, Parallel: 5,
			Progress: func(ingest.Progress, ingest.Result) {
				if pages++; i%2 == 1 && pages == i {
					cancel()
				}
			},
		})
		cancel()
		if err == nil {
			t.Errorf("run %d: no error", i)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 { // what the lake itself keeps ends soon
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if strings.Contains(string(stacks), "ingest.(*reader)") || strings.Contains(string(stacks), "ingest.(*run)") {
		t.Errorf("goroutines are left:\n%s", stacks)
	}
}

// TestUnsortedArchive lands an archive in no order of time, whose every batch has
// posts of all days: a file a day, and the same posts whatever the number of
// goroutines.
func TestUnsortedArchive(t *testing.T) {
	f := newFolder(t)
	var b strings.Builder
	const days, posts = 80, 1200
	for i := range posts {
		fmt.Fprintf(&b, `{"id":"%d","at":%d,"t":"text"}`+"\n", i, 1577934245+i*37%days*86400)
	}
	f.write("a.ndjson", b.String()+"{broken\n")
	want := ""
	for _, n := range []int{1, 2, 7} {
		l := openLake(t, t.TempDir())
		res, err := ingest.Run(t.Context(), ingest.Options{
			Name: "src", RunID: "r", Source: files.Small(openSource(t, f.dir, "path: '*'\n"+plain)), Lake: l, Now: clock, Log: slog.New(slog.DiscardHandler), BatchRows: 200, Parallel: n,
		})
		if err != nil {
			t.Fatal(err)
		}
		all, err := l.Files(t.Context(), lake.RawPosts().Name, res.Snapshot)
		if err != nil {
			t.Fatal(err)
		}
		rows, got := int64(0), ""
		for _, file := range all {
			text, err := os.ReadFile(file.Path)
			if err != nil {
				t.Fatal(err)
			}
			rows += file.Rows
			got += fmt.Sprintf("%s %x\n", file.Partition, sha256.Sum256(text))
		}
		if len(all) != days || rows != posts || res.Posts != posts || res.Rejects != 1 || res.Commits != 1 {
			t.Errorf("%d goroutines: %d files of %d rows, %+v", n, len(all), rows, res)
		}
		if want == "" {
			want = got
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d goroutines: %s", n, d)
		}
	}
}
