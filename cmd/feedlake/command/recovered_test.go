package command

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWholeRecovered loses the catalog of a lake in which posts were erased, brings
// it back and runs the whole path over new posts, among them the erased ones once
// more. The tables are those of a lake that lost nothing: nothing is missing,
// nothing came twice, and what was erased stays so.
func TestWholeRecovered(t *testing.T) {
	t.Parallel()
	dir := killDir(t)
	at := func(name ...string) string { return filepath.Join(append([]string{dir}, name...)...) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	feedlake := func(code int, args ...string) string {
		t.Helper()
		out, err := program(t, dir, args...).CombinedOutput()
		if got := codeOf(t, err); got != code {
			t.Fatalf("%v: exit code %d, want %d\n%s", args, got, code, out)
		}
		return string(out)
	}
	must(os.WriteFile(at("feedlake.yaml"), []byte(strings.Replace(killConfig, "posts: 6000", "posts: 600", 1)), 0o600))
	runWhole(t, dir)
	before, err := os.ReadFile(at("lake", "catalog.db"))
	must(err)
	feedlake(0, "erase", "--post", "file/f7", "--post", "file/f11")
	posts, err := os.ReadFile(at("posts.ndjson"))
	must(err)
	for _, id := range []string{"f7", "f11", "new1", "new2"} {
		posts = fmt.Appendf(posts, `{"id": %q, "at": "2026-01-03T11:00:00Z", "text": "told once more #file"}`+"\n", id)
	}
	must(os.WriteFile(at("posts.ndjson"), posts, 0o600))

	// A lake's files hold absolute places: every case begins in this folder with this lake.
	begun := filepath.Join(t.TempDir(), "begun")
	must(os.CopyFS(begun, os.DirFS(at("lake"))))
	outcome := func() map[string]string {
		t.Helper()
		runWhole(t, dir)
		got := contents(t, dir)
		erased := "select count(*) filter (id in ('f7', 'f11')), count(*) filter (id like 'new%'), count(*), count(distinct id) from "
		for _, table := range []string{"raw.posts", "features.posts", "ml.sentiment_scores"} {
			got["erased, new of "+table] = feedlake(0, "sql", "--csv", erased+table+" where source = 'file'")
		}
		return got
	}
	want := outcome()
	for _, table := range []string{"raw.posts", "features.posts", "ml.sentiment_scores"} {
		if got := want["erased, new of "+table]; !strings.HasSuffix(strings.TrimSpace(got), "\n0,2,2000,2000") {
			t.Fatalf("%s, with no damage: %s", table, got)
		}
	}
	damages := map[string]func(catalog string) error{
		"lost":                             os.Remove,
		"cut":                              func(catalog string) error { return os.Truncate(catalog, int64(len(before)/2)) },
		"put back from before the erasure": func(catalog string) error { return os.WriteFile(catalog, before, 0o600) },
	}
	for _, name := range slices.Sorted(maps.Keys(damages)) {
		t.Run(name, func(t *testing.T) {
			for _, folder := range []string{at("lake"), at("publish")} {
				must(os.RemoveAll(folder))
			}
			must(os.CopyFS(at("lake"), os.DirFS(begun)))
			for _, journal := range []string{"-wal", "-shm"} {
				must(os.RemoveAll(at("lake", "catalog.db"+journal)))
			}
			must(damages[name](at("lake", "catalog.db")))
			feedlake(exitUsage, "run")
			feedlake(0, "lake", "recover")
			if d := cmp.Diff(want, outcome()); d != "" {
				t.Errorf("(-nothing lost +recovered): %s", d)
			}
		})
	}
}
