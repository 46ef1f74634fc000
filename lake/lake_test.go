package lake_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

var noon = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string, ic lake.Interceptor) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler), Intercept: ic})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func posts(source string, day time.Time, ids ...string) []feedlake.Post {
	n := int64(7)
	var out []feedlake.Post
	for i, id := range ids {
		out = append(out, feedlake.Post{
			Source: source, ID: id, CreatedAt: day.Add(time.Duration(i) * time.Second), ObservedAt: noon,
			Text: "text of " + id, Hashtags: []string{"a", "ä"}, Likes: &n,
		})
	}
	return out
}

func write(t *testing.T, l *lake.Lake, source string, day time.Time, ids ...string) string {
	t.Helper()
	p := lake.MakePartition("source", source, "day", day.Format(time.DateOnly))
	path, err := lake.WriteRows(t.Context(), l, "raw.posts", p, posts(source, day, ids...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func ids(t *testing.T, l *lake.Lake) []string {
	t.Helper()
	db, err := query.Open(t.Context(), query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Pin(t.Context(), l, nil); err != nil {
		t.Fatal(err)
	}
	rows, err := db.SQL().QueryContext(t.Context(), "select source || '/' || id from raw.posts order by all")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
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

func TestPostsKeepEveryColumn(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	if err := l.Ensure(t.Context(), lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	n := int64(3)
	full := feedlake.Post{
		Source: "a source of more than sixteen letters/ä", ID: "1", URI: "https://x/1", Kind: feedlake.KindReply, AuthorID: "u1", AuthorName: "Ann",
		AuthorFollowers: &n, CreatedAt: noon, ObservedAt: noon.Add(time.Hour), Text: "héllo 😀", Lang: "en", Hashtags: []string{"a"}, Mentions: []string{},
		URLs: nil, ReplyTo: "0", RepostOf: "r", QuoteOf: "q", Likes: &n, Deleted: true, Query: "q", Payload: `{"a":1}`, RunID: "run",
	}
	p := lake.MakePartition("source", full.Source, "day", "2026-01-10")
	path, err := lake.WriteRows(t.Context(), l, "raw.posts", p, []feedlake.Post{full})
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Commit(t.Context(), lake.Commit{Table: "raw.posts", ID: "c1", Add: []string{path}, Summary: map[string]string{"feedlake.run-id": "run"}})
	if err != nil {
		t.Fatal(err)
	}
	files, err := l.Files(t.Context(), "raw.posts", s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || files[0].Partition != p || files[0].Rows != 1 || files[0].Path != path {
		t.Errorf("files %+v, want one of %s at %s", files, p, path)
	}
	if v, ok := files[0].Partition.Value("source"); !ok || v != full.Source {
		t.Errorf("partition value %q, %v", v, ok)
	}
	if s.Summary["feedlake.run-id"] != "run" {
		t.Errorf("summary %v lacks the run", s.Summary)
	}
	db, err := query.Open(t.Context(), query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Pin(t.Context(), l, nil); err != nil {
		t.Fatal(err)
	}
	var got string
	q := `select to_json({k: kind, f: author_followers, c: created_at, o: observed_at, t: text, h: hashtags, m: mentions, u: urls, l: likes, r: reposts, d: deleted, p: payload})::varchar from raw.posts`
	if err := db.SQL().QueryRowContext(t.Context(), q).Scan(&got); err != nil {
		t.Fatal(err)
	}
	want := `{"k":"reply","f":3,"c":"2026-01-10 12:00:00+00","o":"2026-01-10 13:00:00+00","t":"héllo 😀","h":["a"],"m":[],"u":null,"l":3,"r":null,"d":true,"p":"{\"a\":1}"}`
	if got != want {
		t.Errorf("row\n got %s\nwant %s", got, want)
	}
}

func TestCommitReplacesWholePartitions(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	ctx := t.Context()
	if err := l.Ensure(ctx, lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	day2 := noon.AddDate(0, 0, 1)
	base, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", ID: "1", Add: []string{write(t, l, "a", noon, "1", "2"), write(t, l, "b", noon, "1"), write(t, l, "a", day2, "9")}})
	if err != nil {
		t.Fatal(err)
	}
	p := lake.MakePartition("source", "a", "day", "2026-01-10")
	for range 2 { // the second time it is a no-op: same ID
		if _, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", ID: "2", Replace: []lake.Partition{p}, Base: base.ID, Add: []string{write(t, l, "a", noon, "3")}}); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]string{"a/3", "a/9", "b/1"}, ids(t, l)); d != "" {
		t.Error(d)
	}
	_, err = l.Commit(ctx, lake.Commit{Table: "raw.posts", ID: "3", Replace: []lake.Partition{p}, Base: base.ID})
	if !errors.Is(err, feedlake.ErrConflict) {
		t.Errorf("replace computed from an older snapshot: %v, want a conflict", err)
	}
	cur, err := l.Current(ctx, "raw.posts")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", ID: "4", Replace: []lake.Partition{p}, Base: cur.ID}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a/9", "b/1"}, ids(t, l)); d != "" {
		t.Error("emptied partition:", d)
	}
	before, err := l.Files(ctx, "raw.posts", base.ID)
	if err != nil {
		t.Fatal(err)
	}
	cur, err = l.Current(ctx, "raw.posts")
	if err != nil {
		t.Fatal(err)
	}
	after, err := l.Files(ctx, "raw.posts", cur.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]lake.Partition{p}, lake.Diff(before, after)); d != "" {
		t.Error(d)
	}
}

func TestExpectGuardsTheCursor(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	ctx := t.Context()
	if err := l.Ensure(ctx, lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	step := func(from, to string, add ...string) error {
		_, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", ID: from + ">" + to, Add: add, Set: map[string]string{"feedlake.cursor.x": to}, Expect: map[string]string{"feedlake.cursor.x": from}})
		return err
	}
	if err := step("", "1", write(t, l, "a", noon, "1")); err != nil {
		t.Fatal(err)
	}
	if err := step("", "1b", write(t, l, "a", noon, "1")); !errors.Is(err, feedlake.ErrConflict) {
		t.Errorf("second writer from the same cursor: %v, want a conflict", err)
	}
	if err := step("1", "2"); err != nil { // no rows: the cursor moves alone
		t.Fatal(err)
	}
	if err := step("1", "3"); !errors.Is(err, feedlake.ErrConflict) {
		t.Errorf("stale move without rows: %v, want a conflict", err)
	}
	if got, err := l.Property(ctx, "raw.posts", "feedlake.cursor.x"); got != "2" || err != nil {
		t.Errorf("cursor %q, %v", got, err)
	}
	if d := cmp.Diff([]string{"a/1"}, ids(t, l)); d != "" {
		t.Error(d)
	}
}

var errInjected = errors.New("injected fault")

// failAt fails operation i, before or after its effect, and every later one, as
// after a crash.
func failAt(i int, after bool, hit *atomic.Bool) lake.Interceptor {
	var mu sync.Mutex
	n := 0
	return func(_, _ string, do func() error) error {
		mu.Lock()
		at := n
		n++
		mu.Unlock()
		if at < i {
			return do()
		}
		hit.Store(true)
		if at == i && after {
			_ = do()
		}
		return errInjected
	}
}

// TestCommitCrash stops a replacing commit at every storage operation, before
// and after its effect, repeats it, and wants it to have happened once.
func TestCommitCrash(t *testing.T) {
	points := 0
	for _, after := range []bool{false, true} {
		for i := 0; ; i++ {
			dir := t.TempDir()
			l := open(t, dir, nil)
			if err := l.Ensure(t.Context(), lake.RawPosts()); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Commit(t.Context(), lake.Commit{Table: "raw.posts", ID: "1", Add: []string{write(t, l, "a", noon, "1"), write(t, l, "b", noon, "1")}}); err != nil {
				t.Fatal(err)
			}
			c := lake.Commit{
				Table: "raw.posts", ID: "2", Replace: []lake.Partition{lake.MakePartition("source", "a", "day", "2026-01-10")},
				Add: []string{write(t, l, "a", noon, "2")}, Set: map[string]string{"feedlake.cursor.x": "2"}, Expect: map[string]string{"feedlake.cursor.x": ""},
			}
			var hit atomic.Bool
			broken := open(t, dir, failAt(i, after, &hit))
			_, err := broken.Commit(t.Context(), c)
			if !hit.Load() {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			points++
			if _, err := l.Commit(t.Context(), c); err != nil {
				t.Fatalf("operation %d, after %v: again: %v", i, after, err)
			}
			if d := cmp.Diff([]string{"a/2", "b/1"}, ids(t, l)); d != "" {
				t.Errorf("operation %d, after %v: %s", i, after, d)
			}
		}
	}
	if points < 4 {
		t.Errorf("only %d crash points: the interceptor sees too little", points)
	}
}

// TestWritersOfSeveralProcesses starts this test binary three times; each
// appends to one table, and nothing is lost or doubled.
func TestWritersOfSeveralProcesses(t *testing.T) {
	const each = 20
	if dir := os.Getenv("FEEDLAKE_TEST_WRITER_DIR"); dir != "" {
		l := open(t, dir, nil)
		for i := range each {
			id := fmt.Sprintf("%s-%d", os.Getenv("FEEDLAKE_TEST_WRITER_ID"), i)
			if _, err := l.Commit(t.Context(), lake.Commit{Table: "raw.posts", ID: id, Add: []string{write(t, l, "a", noon, id)}}); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	dir := t.TempDir()
	l := open(t, dir, nil)
	if err := l.Ensure(t.Context(), lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWritersOfSeveralProcesses$")
			cmd.Env = append(os.Environ(), "FEEDLAKE_TEST_WRITER_DIR="+dir, fmt.Sprintf("FEEDLAKE_TEST_WRITER_ID=w%d", w))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("writer %d: %v\n%s", w, err, out)
			}
		})
	}
	wg.Wait()
	got := ids(t, l)
	if n := len(slices.Compact(slices.Clone(got))); len(got) != 3*each || n != 3*each {
		t.Errorf("%d rows, %d different, want %d", len(got), n, 3*each)
	}
}

func TestEnsureAddsColumns(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	ctx := t.Context()
	spec := lake.Spec{Name: "features.x", Columns: []lake.Column{{Name: "day", Type: "DATE"}, {Name: "n", Type: "BIGINT"}, {Name: "tags", Type: "VARCHAR[]"}}, Partition: []string{"day"}}
	if err := l.Ensure(ctx, spec); err != nil {
		t.Fatal(err)
	}
	copyOut := func(sql string) string {
		t.Helper()
		db, err := query.Open(ctx, query.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		path, err := l.NewPath("features.x", "day=2026-01-10")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.SQL().ExecContext(ctx, "copy ("+sql+") to "+query.Quote(path)+" (format parquet)"); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if _, err := l.Commit(ctx, lake.Commit{Table: "features.x", Add: []string{copyOut("select date '2026-01-10' as day, 1::bigint as n, ['a'] as tags")}}); err != nil {
		t.Fatal(err)
	}
	spec.Columns = append(spec.Columns, lake.Column{Name: "more", Type: "VARCHAR"})
	if err := l.Ensure(ctx, spec); err != nil {
		t.Fatal(err)
	}
	show := func() []string {
		t.Helper()
		db, err := query.Open(ctx, query.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Pin(ctx, l, nil); err != nil {
			t.Fatal(err)
		}
		rows, err := db.SQL().QueryContext(ctx, "select x::varchar from (select (day, n, tags, more) as x from features.x) order by 1")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var out []string
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		return out
	}
	if d := cmp.Diff([]string{"(2026-01-10, 1, [a], NULL)"}, show()); d != "" {
		t.Error("only old files:", d)
	}
	if _, err := l.Commit(ctx, lake.Commit{Table: "features.x", Add: []string{copyOut("select date '2026-01-10' as day, 2::bigint as n, null::varchar[] as tags, 'm' as more")}}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"(2026-01-10, 1, [a], NULL)", "(2026-01-10, 2, NULL, m)"}, show()); d != "" {
		t.Error("old and new files:", d)
	}
	spec.Columns[1].Type = "VARCHAR"
	if err := l.Ensure(ctx, spec); !errors.Is(err, feedlake.ErrConflict) {
		t.Errorf("changed type: %v, want a conflict", err)
	}
}

func TestTimeTravelAndListing(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	ctx := context.Background()
	for _, s := range lake.Fixed() {
		if err := l.Ensure(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	names, err := l.Tables(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(names) || len(names) != len(lake.Fixed()) {
		t.Errorf("tables %v", names)
	}
	if _, err := l.Current(ctx, "raw.nothing"); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("missing table: %v", err)
	}
	if s, err := l.Current(ctx, "raw.posts"); err != nil || s.ID != 0 {
		t.Errorf("empty table: %+v, %v", s, err)
	}
	first, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", Add: []string{write(t, l, "a", noon, "1")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", Add: []string{write(t, l, "a", noon, "2")}}); err != nil {
		t.Fatal(err)
	}
	db, err := query.Open(ctx, query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for at, want := range map[int64]int{first.ID: 1, 0: 0} {
		if _, err := db.Pin(ctx, l, map[string]int64{"raw.posts": at}); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := db.SQL().QueryRowContext(ctx, "select count(*) from raw.posts").Scan(&n); err != nil || n != want {
			t.Errorf("at %d: %d rows, %v, want %d", at, n, err, want)
		}
	}
	if _, err := l.Files(ctx, "raw.posts", 12345); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("missing snapshot: %v", err)
	}
	snaps, err := l.Snapshots(ctx, "raw.posts")
	if err != nil || len(snaps) != 2 || snaps[0].ID != first.ID {
		t.Errorf("snapshots %+v, %v", snaps, err)
	}
}

func TestUnusableFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := lake.Open(t.Context(), lake.Config{Dir: filepath.Join(file, "lake"), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	var hint *feedlake.HintError
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint, "--lake") {
		t.Errorf("lake below a file: %v, want a hint", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x", "catalog.db"), []byte(strings.Repeat("no database ", 999)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = lake.Open(t.Context(), lake.Config{Dir: filepath.Join(dir, "x"), Now: time.Now, Log: slog.New(slog.DiscardHandler)}); !errors.As(err, &hint) {
		t.Errorf("broken catalog: %v, want a hint", err)
	}
}

func TestPartitionNames(t *testing.T) {
	for _, want := range []map[string]string{{"source": "a/b=c%", "day": "2026-01-10"}, {"source": "ä ", "day": ""}} {
		p := lake.MakePartition("source", want["source"], "day", want["day"])
		got := map[string]string{}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			got[k], _ = p.Value(k)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", p, d)
		}
	}
	if _, ok := lake.Partition("").Value("day"); ok {
		t.Error("the unpartitioned table has a day")
	}
}
