package spark

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/sql"
	"github.com/feedlake/feedlake/transforms"
)

func TestNamesReplaceTables(t *testing.T) {
	n := newNames([]transforms.Input{{Table: "raw.posts"}, {Table: "ml.x1"}}, 7)
	for _, c := range []struct{ name, sql, want string }{
		{"plain", "select * from raw.posts", "select * from `raw.posts#7`"},
		{"alias", "from raw.posts p join ml.x1 as x", "from `raw.posts#7` p join `ml.x1#7` as x"},
		{"case", "FROM RAW.Posts", "FROM `raw.posts#7`"},
		{"column of it", "raw.posts.id = ml.x1.id", "`raw.posts#7`.id = `ml.x1#7`.id"},
		{"spaces", "raw . posts,raw.\n posts\nx", "`raw.posts#7`,`raw.posts#7`\n\nx"},
		{"brackets", "(raw.posts)", "(`raw.posts#7`)"},
		{"longer names", "raw.posts2, xraw.posts, raw.posts_old, my.raw.posts, _raw.posts, ml.x12", "raw.posts2, xraw.posts, raw.posts_old, my.raw.posts, _raw.posts, ml.x12"},
		{"other tables", "features.posts, raw.rejects", "features.posts, raw.rejects"},
		{"literal", `'raw.posts' || 'it''s raw.posts' || 'a\' raw.posts'`, `'raw.posts' || 'it''s raw.posts' || 'a\' raw.posts'`},
		{"double quotes", `"raw.posts"`, `"raw.posts"`},
		{"quoted name", "`raw.posts`", "`raw.posts`"},
		{"comments", "-- raw.posts 'x\nraw.posts /* raw.posts\n' */ raw.posts", "-- raw.posts 'x\n`raw.posts#7` /* raw.posts\n' */ `raw.posts#7`"},
		{"numbers", "1.5e0*raw.posts.n+2.raw", "1.5e0*`raw.posts#7`.n+2.raw"},
		{"open literal", "raw.posts 'raw.posts", "`raw.posts#7` '`raw.posts#7`"}, // Spark refuses it anyway
		{"other letters", "éraw.posts, raw.postsé 'é'", "éraw.posts, raw.postsé 'é'"},
		{"minus", "raw.posts.a-raw.posts.b", "`raw.posts#7`.a-`raw.posts#7`.b"},
	} {
		got := n.replace(c.sql)
		if got != c.want {
			t.Errorf("%s: %s became %s, want %s", c.name, c.sql, got, c.want)
		}
		if strings.Count(got, "\n") != strings.Count(c.sql, "\n") {
			t.Errorf("%s: the number of lines changed", c.name)
		}
	}
	if got := n.restore("column `raw.posts#7`.`x`"); got != "column `raw.posts`.`x`" {
		t.Errorf("restored to %s", got)
	}
}

// TestNamesInModels wants every input of every model found in its text.
func TestNamesInModels(t *testing.T) {
	g, err := transforms.Load(sql.Models)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range g.Models() {
		n := newNames(m.Inputs, 1)
		text := n.replace(m.SQL)
		for table, view := range n.views {
			if !strings.Contains(text, view) {
				t.Errorf("%s does not read %s", m.File, table)
			}
		}
	}
}

func FuzzNamesKeepTheRest(f *testing.F) {
	f.Add("select 'raw.posts' from raw.posts -- x")
	f.Add("raw.posts.raw.posts `raw.posts` \"")
	n := newNames([]transforms.Input{{Table: "raw.posts"}}, 7)
	f.Fuzz(func(t *testing.T, text string) {
		got := n.replace(text)
		if !strings.Contains(strings.ToLower(text), "raw") && got != text {
			t.Errorf("%q became %q", text, got)
		}
		if strings.Count(got, "\n") != strings.Count(text, "\n") {
			t.Errorf("%q became %q: another number of lines", text, got)
		}
	})
}

func TestWithin(t *testing.T) {
	posts := lake.RawPosts().Columns
	days := func(source string, list ...string) (out []lake.Partition) {
		for _, d := range list {
			out = append(out, lake.MakePartition("source", source, "day", d))
		}
		return out
	}
	for _, c := range []struct {
		name  string
		table string
		cols  []lake.Column
		parts []lake.Partition
		want  string
	}{
		{
			"runs of days of a time", "raw.posts", posts,
			append(days("x", "2026-02-28", "2026-03-01", "2026-03-03"), days("it's", "2026-01-01")...),
			"((`source` IN (CAST('x' AS STRING)) AND ((`created_at` >= TIMESTAMP '2026-02-28 00:00:00 UTC' AND `created_at` < TIMESTAMP '2026-03-02 00:00:00 UTC') OR " +
				"(`created_at` >= TIMESTAMP '2026-03-03 00:00:00 UTC' AND `created_at` < TIMESTAMP '2026-03-04 00:00:00 UTC'))) OR " +
				"(`source` IN (CAST('it\\'s' AS STRING)) AND (`created_at` >= TIMESTAMP '2026-01-01 00:00:00 UTC' AND `created_at` < TIMESTAMP '2026-01-02 00:00:00 UTC')))",
		},
		{
			"a day column", "features.posts",
			[]lake.Column{{Name: "source", Type: "VARCHAR"}, {Name: "day", Type: "DATE"}},
			days("x", "2026-01-02", "2026-01-01"),
			"((`source` IN (CAST('x' AS STRING)) AND (`day` >= DATE '2026-01-01' AND `day` <= DATE '2026-01-02')))",
		},
		{
			"no value", "raw.posts", posts, days("__null__", "__null__"),
			"((`source` IS NULL AND `created_at` IS NULL))",
		},
		{
			"one column", "ml.labels", lake.Labels().Columns,
			[]lake.Partition{lake.MakePartition("dataset", "b"), lake.MakePartition("dataset", `a\`)},
			"((`dataset` IN (CAST('a\\\\' AS STRING), CAST('b' AS STRING))))",
		},
	} {
		got := within(inputKeys(c.table, c.cols, c.parts[0]), c.parts)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
