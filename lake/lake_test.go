package lake_test

import (
	"errors"
	"log/slog"
	"maps"
	"os"
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
	return openAt(t, lake.Config{Dir: dir}, ic)
}

func openAt(t *testing.T, c lake.Config, ic lake.Interceptor) *lake.Lake {
	t.Helper()
	c.Now, c.Log, c.Intercept = func() time.Time { return noon }, slog.New(slog.DiscardHandler), ic
	l, err := lake.Open(t.Context(), c)
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
	spec.Columns, spec.Key = append(spec.Columns, lake.Column{Name: "more", Type: "VARCHAR"}), []string{"day", "more"}
	for _, key := range [][]string{spec.Key, {"n"}, nil} { // with columns, alone, and without a word on it
		spec.Key = key
		if err := l.Ensure(ctx, spec); err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{true: "day,more", false: "n"}[len(key) == 2]
		if got, err := l.Property(ctx, "features.x", "feedlake.key"); got != want || err != nil {
			t.Errorf("key %q, want %q: %v", got, want, err)
		}
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
		if err := rows.Err(); err != nil {
			t.Fatal(err)
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
