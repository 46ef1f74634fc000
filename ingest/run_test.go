package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"go.uber.org/goleak"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
)

var noon = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// fake yields total records, page by page; every third is a reject.
type fake struct{ total, page int }

func (f fake) Fetch(_ context.Context, from feedlake.Cursor) (ingest.Page, error) {
	i, _ := strconv.Atoi(string(from))
	var p ingest.Page
	for ; i < f.total && len(p.Posts)+len(p.Rejects) < f.page; i++ {
		if i%3 == 2 {
			p.Rejects = append(p.Rejects, feedlake.Reject{Reason: "third", Position: fmt.Sprint(i)})
			continue
		}
		p.Posts = append(p.Posts, post(i))
	}
	p.Next, p.Done = feedlake.Cursor(fmt.Sprint(i)), i == f.total
	return p, nil
}

func post(i int) feedlake.Post {
	return feedlake.Post{Source: "fake", ID: fmt.Sprint(i), CreatedAt: noon.Add(-time.Duration(i%2) * 24 * time.Hour), ObservedAt: noon, Text: "text"}
}

func open(t testing.TB, dir string, ic lake.Interceptor) *lake.Lake {
	t.Helper()
	l, err := lake.Open(context.WithoutCancel(t.Context()), lake.Config{Dir: dir, Now: clock, Log: slog.New(slog.DiscardHandler), Intercept: ic})
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

func options(l *lake.Lake, s ingest.Source) ingest.Options {
	return ingest.Options{Name: "fake", RunID: "r1", Source: s, Lake: l, Now: clock, Log: slog.New(slog.DiscardHandler)}
}

// rows reads a table's current rows from its Parquet files.
func rows[T any](t testing.TB, l *lake.Lake, table string) []T {
	t.Helper()
	s, err := l.Current(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	files, err := l.Files(t.Context(), table, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	var out []T
	for _, f := range files {
		part, err := parquet.ReadFile[T](f.Path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, part...)
	}
	return out
}

// landed counts how often each record is in the lake.
func landed(t testing.TB, l *lake.Lake) map[string]int {
	t.Helper()
	got := map[string]int{}
	for _, p := range rows[feedlake.Post](t, l, "raw.posts") {
		got[p.ID]++
	}
	for _, r := range rows[feedlake.Reject](t, l, "raw.rejects") {
		got["reject "+r.Position]++
	}
	return got
}

func exactly(total int) map[string]int {
	want := map[string]int{}
	for i := range total {
		if i%3 == 2 {
			want["reject "+fmt.Sprint(i)]++
		} else {
			want[fmt.Sprint(i)]++
		}
	}
	return want
}

func TestRun(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	o := options(l, fake{100, 7})
	o.BatchRows = 20
	var shown []ingest.Result
	o.Progress = func(_ ingest.Progress, r ingest.Result) { shown = append(shown, r) }
	got, err := ingest.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Current(t.Context(), "raw.posts")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ingest.Result{Posts: 67, Rejects: 33, Commits: 5, Snapshot: s.ID}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(exactly(100), landed(t, l)); d != "" {
		t.Error(d)
	}
	if len(shown) != 15 || shown[14].Posts != 67 || shown[0].Posts != 5 || shown[0].Rejects != 2 || shown[0].Commits != 0 {
		t.Errorf("progress %+v", shown)
	}
	if s.Summary["feedlake.source"] != "fake" || s.Summary[lake.SummaryRunID] != "r1" {
		t.Errorf("summary %v", s.Summary)
	}
	again, err := ingest.Run(t.Context(), o)
	if err != nil || again != (ingest.Result{}) {
		t.Errorf("second run: %+v, %v", again, err)
	}
	for _, p := range rows[feedlake.Post](t, l, "raw.posts") {
		if p.RunID != "r1" {
			t.Errorf("post %s of run %q", p.ID, p.RunID)
		}
	}
	for _, r := range rows[feedlake.Reject](t, l, "raw.rejects") {
		if r.Source != "fake" || r.RunID != "r1" || r.RejectedAt.IsZero() || r.Reason != "third" {
			t.Errorf("reject %+v", r)
		}
	}
}

// TestRunFiles wants one file for each partition and batch, rows in the order of
// arrival.
func TestRunFiles(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	if _, err := ingest.Run(t.Context(), options(l, fake{9000, 1000})); err != nil {
		t.Fatal(err)
	}
	s, err := l.Current(t.Context(), "raw.posts")
	if err != nil {
		t.Fatal(err)
	}
	files, err := l.Files(t.Context(), "raw.posts", s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 {
		t.Errorf("%d files, want one for each of 2 days", len(files))
	}
	for i, f := range files {
		if want := lake.MakePartition("source", "fake", "day", noon.AddDate(0, 0, i-1).Format(time.DateOnly)); f.Partition != want {
			t.Errorf("partition %s, want %s", f.Partition, want)
		}
		posts, err := parquet.ReadFile[feedlake.Post](f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(posts, func(a, b feedlake.Post) int { return number(a.ID) - number(b.ID) }) {
			t.Errorf("%s is out of order", f.Partition)
		}
	}
}

func number(s string) int { n, _ := strconv.Atoi(s); return n }

var errInjected = errors.New("injected fault")

// mode says how a storage operation fails: before or after its effect, alone or
// with all that follow, as in a crash.
type mode struct{ after, crash bool }

func failAt(i int, m mode, hit *atomic.Bool) lake.Interceptor {
	var n atomic.Int64
	return func(_, _ string, do func() error) error {
		at := int(n.Add(1)) - 1
		if at < i || (at > i && !m.crash) {
			return do()
		}
		hit.Store(true)
		if at == i && m.after {
			_ = do()
		}
		return errInjected
	}
}

// TestWholeRunCrash fails every storage operation in turn, in every mode, runs again,
// with pages and batches of another size too, and wants every post and every
// reject exactly once.
func TestWholeRunCrash(t *testing.T) {
	for _, m := range []mode{{false, false}, {true, false}, {false, true}, {true, true}} {
		t.Run(fmt.Sprintf("%+v", m), func(t *testing.T) {
			t.Parallel()
			at := 0
			for crashOnce(t, at, m) {
				at++
			}
			t.Log("crash points:", at)
			if at < 30 {
				t.Errorf("only %d crash points: the interceptor sees too little", at)
			}
		})
	}
}

// crashOnce breaks one run at an operation and runs again; false means that the
// run has no such operation.
func crashOnce(t *testing.T, at int, m mode) bool {
	t.Helper()
	dir := t.TempDir()
	var hit atomic.Bool
	o := options(open(t, dir, failAt(at, m, &hit)), fake{8, 2})
	o.BatchRows = 4
	if _, err := ingest.Run(t.Context(), o); !hit.Load() {
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	whole := open(t, dir, nil)
	o = options(whole, fake{8, 2 + at%3})
	o.BatchRows = 3 + at%4
	if _, err := ingest.Run(t.Context(), o); err != nil {
		t.Fatalf("operation %d: second run: %v", at, err)
	}
	if d := cmp.Diff(exactly(8), landed(t, whole)); d != "" {
		t.Errorf("operation %d: %s", at, d)
	}
	return true
}

// TestRunCrashAgain breaks run after run at random places until one gets through.
func TestRunCrashAgain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		dir := t.TempDir()
		for range 200 {
			var hit atomic.Bool
			o := options(open(t, dir, failAt(r.IntN(60), mode{r.IntN(2) == 0, r.IntN(2) == 0}, &hit)), fake{30, 1 + r.IntN(5)})
			o.BatchRows = 1 + r.IntN(9)
			if _, err := ingest.Run(t.Context(), o); err == nil {
				break
			}
		}
		l := open(t, dir, nil)
		if _, err := ingest.Run(t.Context(), options(l, fake{30, 10})); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(exactly(30), landed(t, l)); d != "" {
			t.Fatal(d)
		}
	}
}

// TestRunLostRejects takes away the file of rejects that a broken run has left
// undelivered: the source must not be stuck on it.
func TestRunLostRejects(t *testing.T) {
	dir := t.TempDir()
	commits := 0
	broken := open(t, dir, func(op, _ string, do func() error) error {
		if op == "commit" {
			if commits++; commits > 1 {
				return errInjected
			}
		}
		return do()
	})
	if _, err := ingest.Run(t.Context(), options(broken, fake{6, 6})); err == nil {
		t.Fatal("the second commit did not fail")
	}
	l := open(t, dir, nil)
	box, err := l.Property(t.Context(), "raw.posts", "feedlake.rejects.fake")
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ Files []string }
	if err := json.Unmarshal([]byte(box), &out); err != nil || len(out.Files) != 1 {
		t.Fatalf("outbox %q, %v", box, err)
	}
	if err := os.Remove(out.Files[0]); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o := options(l, fake{12, 6})
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	if _, err := ingest.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	want := exactly(12)
	delete(want, "reject 2")
	delete(want, "reject 5")
	if d := cmp.Diff(want, landed(t, l)); d != "" {
		t.Error(d)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), out.Files[0]) {
		t.Errorf("the loss was not logged: %s", log.String())
	}
}

// TestRunRace lets runs with pages and batches of other sizes drain one source
// into one lake at the same time, some of them crashing, and wants every record
// exactly once.
func TestRunRace(t *testing.T) {
	for round := range 3 {
		dir := t.TempDir()
		l := open(t, dir, nil)
		var wg sync.WaitGroup
		for w, size := range []int{2, 3, 5} {
			r := rand.New(rand.NewPCG(uint64(round), uint64(w)))
			wg.Go(func() {
				for range 1000 {
					var hit atomic.Bool
					mine := l
					if r.IntN(3) == 0 {
						mine = open(t, dir, failAt(r.IntN(40), mode{r.IntN(2) == 0, true}, &hit))
					}
					o := options(mine, fake{40, size})
					o.BatchRows = 1 + r.IntN(12)
					_, err := ingest.Run(t.Context(), o)
					if err == nil {
						return
					}
					if !errors.Is(err, feedlake.ErrConflict) && !hit.Load() {
						t.Error(err)
						return
					}
				}
				t.Error("no run came to its end")
			})
		}
		wg.Wait()
		if d := cmp.Diff(exactly(40), landed(t, l)); d != "" {
			t.Fatal(d)
		}
	}
}

// TestRunConflict moves the cursor under a run and wants it to stop.
func TestRunConflict(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	src := funcSource(func(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
		if from == "2" {
			if _, err := ingest.Run(ctx, options(l, fake{10, 10})); err != nil {
				return ingest.Page{}, err
			}
		}
		return fake{10, 2}.Fetch(ctx, from)
	})
	o := options(l, src)
	o.BatchRows = 8
	got, err := ingest.Run(t.Context(), o)
	if !errors.Is(err, feedlake.ErrConflict) || got != (ingest.Result{}) {
		t.Errorf("%+v, %v, want a conflict", got, err)
	}
	if d := cmp.Diff(exactly(10), landed(t, l)); d != "" {
		t.Error(d)
	}
}

type funcSource func(context.Context, feedlake.Cursor) (ingest.Page, error)

func (f funcSource) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	return f(ctx, from)
}

// TestRunOwn lands what is a record's own, whatever the source says: no reactions
// of a repost, and of a deletion a time at which the post was gone.
func TestRunOwn(t *testing.T) {
	dead := post(3)
	dead.Deleted, dead.ObservedAt = true, time.Time{}
	told := post(4)
	told.Deleted, told.ObservedAt = true, noon.Add(-time.Hour)
	archived := post(5)
	archived.ObservedAt = time.Time{}
	posts := []feedlake.Post{dead, told, archived}
	for i, kind := range []string{feedlake.KindRepost, feedlake.KindQuote} {
		p := post(i)
		p.Kind, p.Likes, p.Reposts, p.Replies, p.Views = kind, new(int64(1)), new(int64(2)), new(int64(3)), new(int64(4))
		posts = append(posts, p)
	}
	l := open(t, t.TempDir(), nil)
	_, err := ingest.Run(t.Context(), options(l, funcSource(func(context.Context, feedlake.Cursor) (ingest.Page, error) {
		return ingest.Page{Posts: posts, Next: "1", Done: true}, nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range rows[feedlake.Post](t, l, "raw.posts") {
		got[p.ID] = "not seen"
		if !p.ObservedAt.IsZero() {
			got[p.ID] = p.ObservedAt.UTC().Format("15:04")
		}
		for _, n := range []*int64{p.Likes, p.Reposts, p.Replies, p.Views} {
			if n != nil {
				got[p.ID] += fmt.Sprintf(" %d", *n)
			}
		}
	}
	if d := cmp.Diff(map[string]string{"0": "12:00", "1": "12:00 1 2 3 4", "3": "12:00", "4": "11:00", "5": "not seen"}, got); d != "" {
		t.Error(d)
	}
}

// TestRunCancel ends a run in the middle: what is committed stays, and the next
// run goes on.
func TestRunCancel(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	if err := l.Ensure(t.Context(), lake.RawPosts()); err != nil { // the catalog's own goroutines run now
		t.Fatal(err)
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx, stop := context.WithCancel(t.Context())
	src := funcSource(func(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
		if number(string(from)) >= 50 {
			stop()
			return ingest.Page{}, ctx.Err()
		}
		return fake{100, 5}.Fetch(ctx, from)
	})
	o := options(l, src)
	o.BatchRows = 20
	got, err := ingest.Run(ctx, o)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%+v, %v", got, err)
	}
	if n := len(landed(t, l)); int64(n) != got.Posts+got.Rejects || n == 0 || n > 50 {
		t.Errorf("%d records landed, the run says %+v", n, got)
	}
	if _, err := ingest.Run(t.Context(), options(l, fake{100, 9})); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(exactly(100), landed(t, l)); d != "" {
		t.Error(d)
	}
}

// TestRunRetries asks a source again when it says so, and waits as it says.
func TestRunRetries(t *testing.T) {
	tests := []struct {
		name   string
		faults int
		err    error
		waits  []time.Duration
		want   string
	}{
		{"passes", 2, &feedlake.RetryError{Err: errInjected}, []time.Duration{time.Second, 2 * time.Second}, ""},
		{"waits as asked", 2, &feedlake.RetryError{Err: errInjected, After: time.Minute}, []time.Duration{time.Minute, time.Minute}, ""},
		{"wrapped", 1, fmt.Errorf("x: %w", &feedlake.RetryError{Err: errInjected}), []time.Duration{time.Second}, ""},
		{"gives up", 99, &feedlake.RetryError{Err: errInjected}, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9}, "fetch fake from its start: injected fault"},
		{"final", 99, errInjected, nil, "fetch fake from its start: injected fault"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := open(t, t.TempDir(), nil)
			calls := 0
			o := options(l, funcSource(func(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
				if calls++; calls <= tt.faults {
					return ingest.Page{}, tt.err
				}
				return fake{6, 6}.Fetch(ctx, from)
			}))
			var waits []time.Duration
			o.Sleep = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
			o.Jitter = func(d time.Duration) time.Duration { return d }
			_, err := ingest.Run(t.Context(), o)
			if d := cmp.Diff(tt.waits, waits); d != "" {
				t.Error(d)
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want || !errors.Is(err, errInjected)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestRunStopsWaiting(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	o := options(open(t, t.TempDir(), nil), funcSource(func(context.Context, feedlake.Cursor) (ingest.Page, error) {
		stop()
		return ingest.Page{}, &feedlake.RetryError{Err: errInjected, After: time.Hour}
	}))
	if _, err := ingest.Run(ctx, o); err == nil {
		t.Error("no error")
	}
}

// TestRunValidates turns posts that may not enter the lake into rejects.
func TestRunValidates(t *testing.T) {
	bad := map[string]func(*feedlake.Post){
		"post without source or id":           func(p *feedlake.Post) { p.ID = "" },
		"post fake/1 without creation time":   func(p *feedlake.Post) { p.CreatedAt = time.Time{} },
		"post fake/1 created at 1901":         func(p *feedlake.Post) { p.CreatedAt = time.Date(1901, 1, 1, 0, 0, 0, 0, time.UTC) },
		"text: not valid UTF-8":               func(p *feedlake.Post) { p.Text = "\xff" },
		"payload: not valid UTF-8":            func(p *feedlake.Post) { p.Payload = "\xff" + strings.Repeat("x", 100_000) },
		"hashtags: not valid UTF-8":           func(p *feedlake.Post) { p.Hashtags = []string{"a", "\xff"} },
		"post fake/1 created at 2026-01-13T1": func(p *feedlake.Post) { p.CreatedAt = noon.AddDate(0, 0, 3) },
	}
	for want, change := range bad {
		l := open(t, t.TempDir(), nil)
		p := post(1)
		p.Source, p.Query = "", "where"
		change(&p)
		got, err := ingest.Run(t.Context(), options(l, funcSource(func(context.Context, feedlake.Cursor) (ingest.Page, error) {
			return ingest.Page{Posts: []feedlake.Post{post(0), p}, Next: "1", Done: true}, nil
		})))
		if err != nil || got.Posts != 1 || got.Rejects != 1 {
			t.Fatalf("%s: %+v, %v", want, got, err)
		}
		r := rows[feedlake.Reject](t, l, "raw.rejects")[0]
		if !strings.HasPrefix(r.Reason, want) || r.Position != "where" || len(r.Payload) > feedlake.MaxRejectPayload || strings.Contains(r.Payload, "\xff") {
			t.Errorf("reject %q at %q, want %q", r.Reason, r.Position, want)
		}
	}
}

// TestRunEmptyPage commits a cursor that moves without records.
func TestRunEmptyPage(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	from := []feedlake.Cursor{}
	src := funcSource(func(_ context.Context, c feedlake.Cursor) (ingest.Page, error) {
		from = append(from, c)
		return ingest.Page{Next: "end", Done: true}, nil
	})
	for range 2 {
		if _, err := ingest.Run(t.Context(), options(l, src)); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]feedlake.Cursor{"", "end"}, from); d != "" {
		t.Error(d)
	}
}

// TestRunCursorMustMove refuses pages that would be landed for ever.
func TestRunCursorMustMove(t *testing.T) {
	for _, page := range []ingest.Page{{Posts: []feedlake.Post{post(1)}, Done: true}, {}} {
		_, err := ingest.Run(t.Context(), options(open(t, t.TempDir(), nil), funcSource(func(context.Context, feedlake.Cursor) (ingest.Page, error) {
			return page, nil
		})))
		if err == nil || !strings.Contains(err.Error(), "did not move the cursor") {
			t.Errorf("%+v: %v", page, err)
		}
	}
}

// TestRunKeepsSourcesApart lands two sources into one lake.
func TestRunKeepsSourcesApart(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	for _, name := range []string{"a", "b", "a"} {
		o := options(l, fake{9, 4})
		o.Name = name
		if _, err := ingest.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	want := exactly(9)
	for k := range want {
		want[k] = 2
	}
	if d := cmp.Diff(want, landed(t, l)); d != "" {
		t.Error(d)
	}
}

// TestRunLandsLargeBatches holds the bound in bytes.
func TestRunBatchBytes(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	o := options(l, fake{30, 3})
	o.BatchBytes = 20 // 5 posts of 4 bytes
	got, err := ingest.Run(t.Context(), o)
	if err != nil || got.Commits != 4 {
		t.Errorf("%+v, %v", got, err)
	}
	if d := cmp.Diff(exactly(30), landed(t, l)); d != "" {
		t.Error(d)
	}
}

func TestRegistry(t *testing.T) {
	type config struct{ N int }
	r := ingest.Registry{}
	ingest.Add(r, "fake", func(_ context.Context, _ ingest.Env, c config) (ingest.Source, error) {
		if c.N == 0 {
			return nil, feedlake.ErrConfig
		}
		return fake{c.N, c.N}, nil
	})
	with := func(n int, err error) ingest.Decoder {
		return func(v any) error { v.(*config).N = n; return err } //nolint:errcheck // the test's own type
	}
	if s, err := r.Open(t.Context(), "fake", ingest.Env{Name: "x"}, with(3, nil)); err != nil || s != (fake{3, 3}) {
		t.Errorf("%v, %v", s, err)
	}
	for what, err := range map[string]error{
		"decode": second(r.Open(t.Context(), "fake", ingest.Env{Name: "x"}, with(3, errInjected))),
		"open":   second(r.Open(t.Context(), "fake", ingest.Env{Name: "x"}, with(0, nil))),
		"kind":   second(r.Open(t.Context(), "fako", ingest.Env{Name: "x"}, with(3, nil))),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "source x: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if d := cmp.Diff([]string{"fake"}, r.Kinds()); d != "" {
		t.Error(d)
	}
	defer func() {
		if recover() == nil {
			t.Error("a kind could be added twice")
		}
	}()
	ingest.Add(r, "fake", func(context.Context, ingest.Env, config) (ingest.Source, error) { return nil, nil })
}

func second[T any](_ T, err error) error { return err }

func TestCutPayload(t *testing.T) {
	tests := map[string]string{
		"":                                 "",
		"a\xffb":                           "a\uFFFDb",
		"ä\xc3":                            "ä\uFFFD",
		strings.Repeat("ä", 40_000):        strings.Repeat("ä", 32<<10),
		"x" + strings.Repeat("ä", 40_000):  "x" + strings.Repeat("ä", 32<<10-1),
		strings.Repeat("\xff", 100_000):    strings.Repeat("\uFFFD", 1),
		strings.Repeat("a\xff\xfe", 40000): "",
	}
	for in, want := range tests {
		got := ingest.CutPayload(in)
		if len(got) > feedlake.MaxRejectPayload || !bytes.Equal([]byte(got), bytes.ToValidUTF8([]byte(got), nil)) {
			t.Errorf("%d bytes become %d, not fit", len(in), len(got))
		}
		if want != "" && got != want {
			t.Errorf("%.20q… becomes %.20q… of %d bytes, want %d", in, got, len(got), len(want))
		}
	}
}
