package files_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// wrapped is a document with a list inside, and other lists before it.
func wrapped(from, to int) string {
	return `{"kind":"list","before":{"data":[1,{"children":[2]}],"text":"\"{[" },"data":{"after":null,"children":` + array(from, to) + `},"more":[{"id":"no"}]}` + "\n"
}

// TestRecords reads the list inside a document, whatever lies around it, also
// packed, in small pages, and by another run from any place.
func TestRecords(t *testing.T) {
	const config = "path: '*'\nformat: json\nrecords: data.children\n" + plain
	for name, content := range map[string]string{
		"a.json": wrapped(0, 30), "mark.json": "\uFEFF " + wrapped(0, 30), "a.json.gz": gz(t, wrapped(0, 30)), "indented.json": strings.ReplaceAll(wrapped(0, 30), `"data":{`, "\n \"data\" : {\n"),
	} {
		f := newFolder(t)
		f.write(name, content)
		open := func() ingest.Source { return openSource(t, f.dir, config) }
		for _, src := range []ingest.Source{open(), files.Small(open())} {
			got, bad, _ := sourcetest.Drain(t, src, "")
			if d := cmp.Diff(numbers(0, 30), ids(got)); d != "" || len(bad) > 0 {
				t.Errorf("%s: %s; rejects %q", name, d, sourcetest.Reasons(bad))
			}
		}
		sourcetest.Run(t, func(*testing.T) ingest.Source { return files.Small(open()) })
	}
}

// TestRecordsGrow reads what a document's list has gained.
func TestRecordsGrow(t *testing.T) {
	const config = "path: '*'\nrecords: items\n" + plain
	f := newFolder(t)
	f.write("a.json", `{"items":`+strings.TrimSuffix(array(0, 9), "\n]\n")+"\n]}")
	got, _, end := sourcetest.Drain(t, files.Small(openSource(t, f.dir, config)), "")
	f.write("a.json", `{"items":`+strings.TrimSuffix(array(0, 9), "\n]\n")+"\n,"+strings.TrimSpace(array(9, 12)[1:])+"}")
	more, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, config), end)
	if d := cmp.Diff(numbers(0, 12), append(ids(got), ids(more)...)); d != "" || len(bad) > 0 {
		t.Errorf("%s; rejects %q", d, sourcetest.Reasons(bad))
	}
}

// TestRecordsMissing wants a reject for a document without the list, and an error
// where records make no sense.
func TestRecordsMissing(t *testing.T) {
	for content, why := range map[string]string{
		`{"items":{}}`: "want a list, got {", `{"other":[]}`: `the object has no "items"`, `[1]`: `want an object with "items", got [`,
		``: "EOF", `{"items"`: "EOF", `{"a":"` + strings.Repeat("x", 70_000): "unexpected EOF",
	} {
		f := newFolder(t)
		f.write("a.json", content)
		got, bad, end := sourcetest.Drain(t, openSource(t, f.dir, "path: '*'\nrecords: items\n"+plain), "")
		if content == "" {
			if len(got)+len(bad) > 1 {
				t.Errorf("an empty file: %d posts, rejects %q", len(got), sourcetest.Reasons(bad))
			}
			continue
		}
		if len(got) != 0 || len(bad) != 1 || !strings.Contains(bad[0].Reason, "no list of records at items") || !strings.Contains(bad[0].Reason, why) {
			t.Errorf("%.20s: %d posts, rejects %q, want %s", content, len(got), sourcetest.Reasons(bad), why)
		}
		if _, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: '*'\nrecords: items\n"+plain), end); len(bad) > 0 {
			t.Errorf("%.20s: rejected again", content)
		}
	}
	f := newFolder(t)
	f.write("a.ndjson", ndjson(0, 1))
	if _, err := openSource(t, f.dir, "path: '*'\nrecords: items\n"+plain).Fetch(t.Context(), ""); !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("records of NDJSON: %v", err)
	}
}

// TestRecordsTwice reads the last list where a key stands twice, and says so when
// that leaves records out.
func TestRecordsTwice(t *testing.T) {
	list := strings.TrimSpace(array(0, 9))
	other := strings.TrimSpace(array(50, 52))
	for content, left := range map[string]bool{
		`{"data":{"items":[],"items":` + list + `}}`:                                           false,
		`{"data":{"items":null,"items":` + list + `}}`:                                         false,
		`{"data":{"items": [ ] ,"n":{"items":[1]},"items":` + list + `},"items":[2]}`:          false,
		`{"data":{"items":` + list + `,"items":[]}}`:                                           false,
		`{"data":7,"data":{"x":["data",{"items":[3]}],"it\u0065ms":` + list + `,"items":"n"}}`: false,
		`{"data":{"items":` + other + `},"data":{"items":` + list + `}}`:                       true,
		`{"data":{"items":` + other + `,"items":` + list + `}}`:                                true,
	} {
		f := newFolder(t)
		f.write("a.json", content)
		src := openSource(t, f.dir, "path: '*'\nrecords: data.items\n"+plain)
		for _, src := range []ingest.Source{src, files.Small(src)} {
			got, bad, _ := sourcetest.Drain(t, src, "")
			reasons := strings.Join(sourcetest.Reasons(bad), "\n")
			if d := cmp.Diff(numbers(0, 9), ids(got)); d != "" || strings.Contains(reasons, "more than once") != left || len(bad) > 1 {
				t.Errorf("%.60s: %s; rejects %q", content, d, reasons)
			}
		}
	}
}

// TestOutboxTwice reads an outbox that is one record the same way.
func TestOutboxTwice(t *testing.T) {
	const announce = `{"id":"https://m.example/%d","type":"Announce","actor":"https://m.example/users/a","published":"2022-11-08T03:07:14Z","to":["as:Public"],"object":"https://o.example/2"}`
	item := func(n string) string { return strings.ReplaceAll(announce, "%d", n) }
	for content, rejects := range map[string]int{
		`{"orderedItems":[],"orderedItems":[` + item("1") + `]}`:                  0,
		`{"orderedItems":[` + item("1") + `],"orderedItems":[]}`:                  0,
		`{"orderedItems":[` + item("2") + `],"orderedItems":[` + item("1") + `]}`: 1,
	} {
		f := newFolder(t)
		f.write("a.ndjson", content+"\n")
		got, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: '*'\nshape: mastodon\n"), "")
		if len(got) != 1 || got[0].ID != "https://m.example/1" || len(bad) != rejects {
			t.Errorf("%.60s: %v, rejects %q", content, ids(got), sourcetest.Reasons(bad))
		}
	}
}
