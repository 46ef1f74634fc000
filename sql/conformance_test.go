package sql_test

import (
	"encoding/csv"
	"flag"
	"fmt"
	"html"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// The texts of twitter-text's conformance files are a golden case of
// features.entities, so every engine runs them. This test holds the case's input
// and answer against the files.
const (
	conformance = "testdata/conformance/"
	texts       = "testdata/features.entities/conformance/"
)

// check is one expectation: what entities of a kind a text has.
type check struct {
	section, name, id, text, kind string

	want  map[string]int // how often each
	valid *bool          // instead of want: whether the text as a whole is one entity
}

// String names the check as docs/texts.md does.
func (c check) String() string { return c.section + ": " + c.name }

// holds reports whether the entities found are right.
func (c check) holds(got map[string]int) bool {
	if c.valid == nil {
		return maps.Equal(got, c.want)
	}
	word := strings.TrimLeft(c.text, "#＃@＠")
	if c.kind == "url" {
		word = host(c.text)
	}
	return maps.Equal(got, map[string]int{lower(word): 1}) == *c.valid
}

func TestConformance(t *testing.T) {
	checks := conformanceChecks(t)
	if flag.Lookup("update").Value.String() == "true" {
		writeTexts(t, checks)
	}
	texts, found := readTexts(t)
	count := map[string]int{}
	exceptions := conformanceExceptions(t)
	for _, c := range checks {
		count[c.kind]++
		if texts[c.id] != c.text {
			t.Errorf("%s: the golden case has %q as text %s, want %q: run with -update", c, texts[c.id], c.id, c.text)
		}
		got := found[c.id+" "+c.kind]
		ok, excepted := c.holds(got), slices.Contains(exceptions, c.String())
		switch {
		case !ok && !excepted:
			t.Errorf("%s: %q has %vs %v, want %v", c, c.text, c.kind, got, c.want)
		case ok && excepted:
			t.Errorf("%s: holds, but docs/texts.md names it as an exception", c)
		case !ok && c.kind == "hashtag":
			t.Errorf("%s: no exception is allowed for hashtags", c)
		}
		exceptions = slices.DeleteFunc(exceptions, func(s string) bool { return excepted && s == c.String() })
	}
	if diff := cmp.Diff(map[string]int{"hashtag": 163, "mention": 76, "url": 225}, count); diff != "" {
		t.Errorf("checks of each kind (-want +got):\n%s", diff)
	}
	for _, s := range exceptions {
		t.Errorf("docs/texts.md names an exception that no check has: %s", s)
	}
}

// conformanceExceptions are the checks that docs/texts.md names: its list items
// in backquotes.
func conformanceExceptions(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/texts.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^- `([a-z][a-z ]*: [^`]*)`").FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}

// entry is a test of the files; expected is a list, a text or a bool.
type entry struct {
	Description string `yaml:"description"`
	Text        string `yaml:"text"`
	Expected    any    `yaml:"expected"`
}

func conformanceChecks(t *testing.T) (out []check) {
	t.Helper()
	for _, s := range []struct{ file, sections, kind string }{
		{"extract", "mentions mentions_with_indices mentions_or_lists_with_indices", "mention"},
		{"extract", "urls tco_urls_with_params urls_with_indices urls_with_directional_markers", "url"},
		{"extract", "hashtags hashtags_from_astral hashtags_with_indices", "hashtag"},
		{"validate", "hashtags", "hashtag"},
		{"validate", "usernames", "mention"},
		{"validate", "urls urls_without_protocol", "url"},
		{"autolink", "usernames lists all", "mention"},
		{"autolink", "hashtags all", "hashtag"},
		{"autolink", "urls all", "url"},
	} {
		var f struct {
			Tests map[string][]entry `yaml:"tests"`
		}
		data, err := os.ReadFile(conformance + s.file + ".yml")
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(data, &f); err != nil {
			t.Fatal(err)
		}
		for section := range strings.FieldsSeq(s.sections) {
			for i, e := range f.Tests[section] {
				c := check{
					section: s.file + " " + strings.ReplaceAll(section, "_", " "), name: strings.TrimSpace(e.Description),
					id: fmt.Sprintf("%s/%s/%d", s.file, section, i), text: e.Text, kind: s.kind, want: map[string]int{},
				}
				c.expect(t, e.Expected)
				out = append(out, c)
			}
		}
	}
	return out
}

func (c *check) expect(t *testing.T, expected any) {
	t.Helper()
	switch x := expected.(type) {
	case bool:
		c.valid = &x
	case string: // HTML with links
		for _, m := range regexp.MustCompile(`(?s)<a ([^>]*)>(.*?)</a>`).FindAllStringSubmatch(x, -1) {
			if kind, entity := anchor(m[1], m[2]); kind == c.kind {
				c.want[lower(entity)]++
			}
		}
	case []any:
		for _, v := range x {
			if m, ok := v.(map[string]any); ok {
				v = m[map[string]string{"mention": "screen_name", "hashtag": "hashtag", "url": "url"}[c.kind]]
			}
			entity := fmt.Sprint(v)
			if c.kind == "url" {
				entity = host(entity)
			}
			c.want[lower(entity)]++
		}
	default:
		t.Fatalf("%s: expected is a %T", c, expected)
	}
}

// anchor reads an HTML link.
func anchor(attributes, inner string) (kind, entity string) {
	attribute := func(name string) string {
		m := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(attributes)
		if m == nil {
			return ""
		}
		return html.UnescapeString(m[1])
	}
	inner = html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(inner, ""))
	switch class := attribute("class"); {
	case strings.Contains(class, "username"), strings.Contains(class, "list-slug"):
		name, _, _ := strings.Cut(inner, "/")
		return "mention", name
	case strings.Contains(class, "hashtag"):
		return "hashtag", strings.TrimLeft(inner, "#＃")
	case strings.Contains(class, "cashtag"):
		return "", ""
	}
	return "url", host(attribute("href"))
}

// host is the host of an address, with or without a scheme.
func host(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	if i := strings.IndexAny(address, "/?#"); i >= 0 {
		address = address[:i]
	}
	address = address[strings.LastIndexByte(address, '@')+1:]
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		address = address[:i]
	}
	return address
}

func lower(s string) string {
	return strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(s, "İ", "i")), "ς", "σ")
}

// writeTexts writes the input of the golden case.
func writeTexts(t *testing.T, checks []check) {
	t.Helper()
	var b strings.Builder
	b.WriteString("source:VARCHAR,id:VARCHAR,kind:VARCHAR,day:DATE,hour:TIMESTAMPTZ,author_id:VARCHAR,lang:VARCHAR,text:VARCHAR," +
		"hashtags:VARCHAR[],mentions:VARCHAR[],urls:VARCHAR[]\n")
	seen := map[string]bool{}
	for _, c := range checks {
		if !seen[c.id] {
			_, _ = fmt.Fprintf(&b, "c,%s,post,2026-01-01,2026-01-01 10:00:00+00,u,en,\"%s\",,,\n", c.id, strings.ReplaceAll(c.text, `"`, `""`))
		}
		seen[c.id] = true
	}
	if err := os.WriteFile(texts+"in.features.posts.csv", []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// readTexts reads the golden case: the text of each post, and its entities of
// each kind.
func readTexts(t *testing.T) (text map[string]string, found map[string]map[string]int) {
	t.Helper()
	text, found = map[string]string{}, map[string]map[string]int{}
	for _, r := range readCSV(t, texts+"in.features.posts.csv") {
		text[r["id"]] = r["text"]
	}
	for _, r := range readCSV(t, texts+"want.csv") {
		n, err := strconv.Atoi(r["occurrences"])
		if err != nil {
			t.Fatal(err)
		}
		key := r["id"] + " " + r["kind"]
		if found[key] == nil {
			found[key] = map[string]int{}
		}
		found[key][r["entity"]] += n
	}
	return text, found
}

// readCSV reads a file of a golden case by the names of its columns.
func readCSV(t *testing.T, path string) (out []map[string]string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(data))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows[1:] {
		row := map[string]string{}
		for i, name := range rows[0] {
			name, _, _ = strings.Cut(name, ":")
			row[name] = r[i]
		}
		out = append(out, row)
	}
	return out
}
