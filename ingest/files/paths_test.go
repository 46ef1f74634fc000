package files_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// deep are records with objects and lists inside; every 200th has a quote.
func deep(n int) string {
	var b strings.Builder
	for i := range n {
		quote := "null"
		if i%200 == 7 {
			quote = `{"id":"5"}`
		}
		fmt.Fprintf(&b, `{"id":"%d","at":%d,"by":{"id":"7","name":"zoe"},"tags":[{"name":"a"}],"links":[],"quoted":%s`, i, 1577934245+i, quote)
		if i%200 == 7 {
			b.WriteString(`,"rare":1`)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// TestPaths refuses a path of the mapping that no record has, and names the key,
// the paths that there are and the likely one; a path that few records have is a
// warning. What may lie in nothing is not judged, nor what is said to be optional.
func TestPaths(t *testing.T) {
	const base = "id: id, created_at: {path: at, time: unix}"
	csv := "id,at,te.xt,n\n1,1577934245,a,\n"
	for _, c := range []struct {
		name, file, content, mapped string
		key, meant                  string // of the refusal
		warning                     string
	}{
		{"all there", "a.ndjson", deep(3), base + ", author_id: by.id, hashtags: tags.#.name, urls: links.#.url, quote_of: quoted.id", "", "", ""},
		{"a typo", "a.ndjson", deep(3), base + ", author_id: bye", "map.author_id", `did you mean "by.id"?`, ""},
		{"a typo further down", "a.ndjson", deep(3), base + ", author_id: by.idd", "map.author_id", `did you mean "by.id"?`, ""},
		{"a typo in a list", "a.ndjson", deep(3), base + ", hashtags: tags.#.nam", "map.hashtags", "tags", ""},
		{"a typo before a list", "a.ndjson", deep(3), base + ", hashtags: tag.#.name", "map.hashtags", "tags", ""},
		{"a typo in a join", "a.ndjson", deep(3), base + ", text: {join: [by.name, by.nick]}", "map.text", `"by.nick"`, ""},
		{"a typo in the id", "a.ndjson", deep(3), "id: idd, created_at: {path: at, time: unix}", "map.id", `did you mean "id"?`, ""},
		{"optional", "a.ndjson", deep(3), base + ", author_id: {path: bye, optional: true}", "", "", ""},
		{"rare", "a.ndjson", deep(1000), base + ", likes: rare", "", "", `map.likes: only 5 of the 1000 records looked at have "rare"`},
		{"ids of a spreadsheet", "a.csv", "id,at\n1582825767519809000,1577934245\n1582825767519810000,1577934246\n1582825767519812345,1577934246\n", base, "", "", "map.id: 2 of 3 long ids end with 000"},
		{"CSV", "a.csv", csv, base + ", text: te.xt, likes: n", "", "", ""},
		{"CSV, a typo", "a.csv", csv, base + ", text: te.xd", "map.text", `did you mean "te.xt"?`, ""},
		{"CSV, a typo in the id", "a.csv", csv, "id: ids, created_at: {path: at, time: unix}", "map.id", `did you mean "id"?`, ""},
		{"Parquet", "a.parquet", parquetFile(t, 0, 5, 2), base + ", likes: nn", "map.likes", `did you mean "n"?`, ""},
		{"nothing to judge", "a.ndjson", "", base + ", text: none", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFolder(t)
			f.write(c.file, c.content)
			open := func() ingest.Source { return openSource(t, f.dir, "path: '*'\nmap: {"+c.mapped+"}\n") }
			page, err := files.Small(open()).Fetch(t.Context(), "")
			finding := open().(ingest.Prober).Probe(t.Context())[1] //nolint:errcheck,forcetypeassert // as every source of files
			if c.key == "" {
				if err != nil || !strings.HasPrefix(page.Warning, c.warning) || (c.warning == "") != (page.Warning == "") || !finding.OK || finding.Says != page.Warning {
					t.Errorf("%v, warning %q, check %+v", err, page.Warning, finding)
				}
				return
			}
			for _, err := range []error{err, finding.Err} {
				key, ok := errors.AsType[*ingest.KeyError](err)
				hint, hinted := errors.AsType[*feedlake.HintError](err)
				if !errors.Is(err, feedlake.ErrConfig) || !ok || key.Key != c.key || !hinted || !strings.Contains(hint.Hint+key.Error(), c.meant) {
					t.Errorf("%v, hint %v", err, hint)
				}
			}
		})
	}
}

// TestPathsLater lets a new record lack what others have, and warns only where
// little is left to look at; a mapping that is wrong by then is still refused.
func TestPathsLater(t *testing.T) {
	const config = "path: '*'\nmap: {id: id, created_at: {path: at, time: unix}, author_id: by.id, likes: %s}\n"
	f := newFolder(t)
	f.write("a.ndjson", deep(1200))
	_, _, end := sourcetest.Drain(t, openSource(t, f.dir, fmt.Sprintf(config, "at")), "")
	f.write("b.ndjson", `{"id":"new","at":1577934245}`+"\n")
	if got, _, _ := sourcetest.Drain(t, openSource(t, f.dir, fmt.Sprintf(config, "at")), end); len(got) != 1 {
		t.Errorf("%d posts", len(got))
	}
	if _, err := openSource(t, f.dir, fmt.Sprintf(config, "likes")).Fetch(t.Context(), end); !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("a new typo: %v", err)
	}
	f = newFolder(t) // the old file is gone
	f.write("b.ndjson", `{"id":"new","at":1577934245}`+"\n")
	page, err := openSource(t, f.dir, fmt.Sprintf(config, "at")).Fetch(t.Context(), end)
	if err != nil || len(page.Posts) != 1 || !strings.Contains(page.Warning, `map.author_id: none of the 1 records looked at has "by.id"`) {
		t.Errorf("%v, %+v", err, page)
	}
}
