package transforms

import (
	"strings"
	"testing"
)

// TestMacrosAreInTheHash changes the text of macros: a model that calls one, itself
// or through another, gets another hash, and so is built anew; others do not.
func TestMacrosAreInTheHash(t *testing.T) {
	t.Parallel()
	head := "-- inputs: raw.posts\n-- key: id\n\n"
	fsys := files(
		"a.sql", "-- model: features.direct\n"+head+"select Size (id) as id from raw.posts",
		"b.sql", "-- model: features.through\n"+head+"select longest(id) as id from raw.posts",
		"c.sql", "-- model: features.none\n"+head+"select id, 'size(' as size from raw.posts -- size(id)",
	)
	const text = "-- What models may call.\n" +
		"create or replace macro size(x) as len(x);\n" +
		"create or replace macro longest(x) as\n  greatest(size(x), 0);\n" +
		"create or replace macro ring(x) as ring(x);\n"
	hashes := func(macros string) map[string]string {
		g, err := LoadWith(fsys, macros)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, m := range g.Models() {
			out[m.Name] = m.Hash
		}
		return out
	}
	all := hashes(text)
	for name, c := range map[string]struct {
		text    string
		changed string
	}{
		"as it was":      {text, ""},
		"a comment":      {"-- Another word.\n" + text, ""},
		"other lines":    {strings.ReplaceAll(text, " as\n  greatest", " as greatest"), ""},
		"the inner":      {strings.Replace(text, "len(x)", "len(x) + 1", 1), "features.direct features.through"},
		"the outer":      {strings.Replace(text, ", 0)", ", 1)", 1), "features.through"},
		"the last of it": {strings.Replace(text, "(size(x), 0);", "(size(x), 0) + 1;", 1), "features.through"},
		"one unused":     {strings.Replace(text, "as ring(x)", "as size(x)", 1), ""},
		"none":           {"", "features.direct features.through"},
	} {
		var changed []string
		for model, hash := range hashes(c.text) {
			if hash != all[model] {
				changed = append(changed, model)
			}
		}
		if len(changed) == 2 && changed[0] > changed[1] {
			changed[0], changed[1] = changed[1], changed[0]
		}
		if got := strings.Join(changed, " "); got != c.changed {
			t.Errorf("%s: %q changed, want %q", name, got, c.changed)
		}
	}
}
