package dashboard_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/feedlake/feedlake/serving/dashboard"
)

// paths are the questions that the page asks.
func paths() []string {
	return []string{"/api/filters", "/api/summary", "/api/volume", "/api/heatmap", "/api/sentiment", "/api/engagement", "/api/hashtags", "/api/runs"}
}

// keeping serves the world with a folder for months, and tells where, until the
// test ends.
func (w *world) keeping(t *testing.T, dir string) (base string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan string, 1), make(chan error, 1)
	o := w.options()
	o.Addr, o.Dir, o.Ready = "127.0.0.1:0", dir, func(url string) { ready <- url }
	go func() { done <- dashboard.Serve(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case base = <-ready:
		return base
	case err := <-done:
		t.Fatal(err)
		return ""
	}
}

// data asks one question.
func data(t *testing.T, url string) any {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", url, res.StatusCode, text, err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// filesRead counts the files that the dashboard's views read, by table.
func (w *world) filesRead() map[string]int {
	w.tb.Helper()
	rows, err := w.db.SQL().QueryContext(w.tb.Context(), "SELECT schema_name || '.' || view_name, sql FROM duckdb_views() WHERE NOT internal")
	if err != nil {
		w.tb.Fatal(err)
	}
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			w.tb.Fatal(err)
		}
		out[name] = strings.Count(text, ".parquet'")
	}
	if err := rows.Err(); err != nil {
		w.tb.Fatal(err)
	}
	return out
}

// TestWholeYearInFewFiles asks all that the page asks over a year of hourly marts: no
// question reads more than 50 files, and the answers are those of the
// marts' own files, but for the order in which sums were made.
func TestWholeYearInFewFiles(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 365)
	dir := filepath.Join(t.TempDir(), "months")
	base := w.keeping(t, dir)
	got := map[string]any{}
	for _, path := range paths() {
		got[path] = data(t, base+path)
	}
	for table, n := range w.filesRead() {
		if n > 50/3 { // no question reads more than three tables
			t.Errorf("%s: %d files", table, n)
		}
	}

	own := w.keeping(t, "")
	for _, path := range paths() {
		if diff := cmp.Diff(data(t, own+path), got[path], cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Errorf("%s (-files of days +files of months):\n%s", path, diff)
		}
	}
	if n := w.filesRead()["marts.volume"]; n != 365 {
		t.Errorf("%d files of days, want 365: the count counts nothing", n)
	}
}

// TestMonths follows the lake: a day that changes makes its month anew and no other,
// a folder that was emptied is filled again, a second dashboard has its own.
func TestMonths(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 40) // ends in November 2016
	dir := filepath.Join(t.TempDir(), "months")
	base := w.keeping(t, dir)
	before := data(t, base+"/api/volume")
	files := func() []string {
		list, err := filepath.Glob(filepath.Join(dir, "marts.volume", "*.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	first := files()
	if len(first) != 2 {
		t.Fatalf("%v", first)
	}
	w.fillDay(lastDay().AddDate(0, 0, -1))
	w.flush()
	if cmp.Equal(before, data(t, base+"/api/volume")) {
		t.Error("the answer did not follow the lake")
	}
	second := files()
	if len(second) != 2 || second[0] != first[0] || second[1] == first[1] {
		t.Errorf("%v, then %v", first, second)
	}
	want := data(t, base+"/api/heatmap")
	if err := os.RemoveAll(dir); err != nil { // as a takedown does
		t.Fatal(err)
	}
	if diff := cmp.Diff(data(t, base+"/api/sentiment?source=reddit"), data(t, base+"/api/sentiment?source=reddit")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, data(t, base+"/api/heatmap")); diff != "" || len(files()) != 2 {
		t.Errorf("after the folder was emptied, %v:\n%s", files(), diff)
	}
}

// TestMonthsOfTwo gives a second dashboard over one lake a folder of its own, which it
// removes.
func TestMonthsOfTwo(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 3)
	parent := t.TempDir()
	base := w.keeping(t, filepath.Join(parent, "months"))
	want := data(t, base+"/api/volume")
	t.Run("second", func(t *testing.T) {
		if diff := cmp.Diff(want, data(t, w.keeping(t, filepath.Join(parent, "months"))+"/api/volume")); diff != "" {
			t.Error(diff)
		}
		if list, err := os.ReadDir(parent); err != nil || len(list) != 2 {
			t.Errorf("%v, %v", list, err)
		}
	})
	if list, err := os.ReadDir(parent); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}
