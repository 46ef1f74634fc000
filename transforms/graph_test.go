package transforms

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
)

func files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i+1 < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

func model(name, inputs string) string {
	return "-- model: " + name + "\n-- inputs: " + inputs + "\n-- key: id\n\nselect id from " + strings.Split(inputs, ",")[0]
}

func names(g *Graph) []string {
	var out []string
	for _, m := range g.Models() {
		out = append(out, m.Name)
	}
	return out
}

func TestLoadOrders(t *testing.T) {
	g, err := Load(files(
		"marts/z.sql", model("marts.a", "features.b, ml.trends"),
		"features/b.sql", model("features.b", "features.c, my.table"),
		"features/c.sql", model("features.c", "raw.posts"),
		"marts/d.sql", model("marts.d", "features.c"),
		"testdata/broken.sql", "no head",
		"README.md", "not a model",
	), "my.table")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"features.c", "features.b", "marts.a", "marts.d"}, names(g)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if m, ok := g.Model("marts.a"); !ok || m.File != "marts/z.sql" {
		t.Errorf("marts.a is %+v, %v", m, ok)
	}
	if _, ok := g.Model("raw.posts"); ok {
		t.Error("raw.posts is no model")
	}
	some, err := g.Select("marts.a", "features.c")
	if err != nil || len(some) != 2 || some[0].Name != "features.c" {
		t.Errorf("selected %v, %v: want run order", some, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  []string // parts of the message, or of the hint
	}{
		{"two broken heads", files("a.sql", "select 1", "b.sql", "-- nothing: x"), []string{"a.sql:1", "b.sql:1"}},
		{"a table made twice", files("a.sql", model("features.x", "raw.posts"), "b.sql", model("features.x", "raw.posts")), []string{"b.sql", "a.sql", "features.x"}},
		{"an input that nobody makes", files("a.sql", model("features.x", "raw.post")), []string{"a.sql", "raw.post:", "did you mean raw.posts?"}},
		{"a far input that nobody makes", files("a.sql", model("features.x", "other.things")), []string{"other.things", "the tables are features.scattered, features.x, ml.champions"}},
		{"a table read in secret", files("a.sql", model("features.x", "raw.posts")+"\njoin ml.trends t on t.id = id -- from ml.labels"), []string{"a.sql:6", "ml.trends is read but is no input"}},
		{"a cycle", files("a.sql", model("features.x", "features.y"), "b.sql", model("features.y", "features.z"), "c.sql", model("features.z", "features.y"), "d.sql", model("features.w", "raw.posts")), []string{"features.y <- features.z <- features.y"}},
		{"a model of itself", files("a.sql", model("features.x", "features.x")), []string{"features.x <- features.x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := Load(c.files)
			if !errors.Is(err, feedlake.ErrConfig) || g != nil {
				t.Fatalf("got %v, %v; want an error wrapping ErrConfig and no graph", g, err)
			}
			text := err.Error()
			if hint, ok := errors.AsType[*feedlake.HintError](err); ok {
				text += " " + hint.Hint
			}
			for _, w := range c.want {
				if !strings.Contains(text, w) {
					t.Errorf("%q lacks %q", text, w)
				}
			}
		})
	}
}
