package files_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

const archive = `{"id":1,"type":"story","by":"a","time":1175714200,"title":"one","score":3}
{"id":2,"deleted":true,"time":1175714201,"type":"comment","parent":1}
{"id":
null
{"objectID":"3","author":"b","created_at_i":1175714202,"comment_text":"<p>three","parent_id":1}
{"id":4,"type":"story","by":"a"}
`

// TestShape reads an archive of items and hits by its shape.
func TestShape(t *testing.T) {
	list := "[" + strings.Join([]string{strings.Split(archive, "\n")[0], strings.Split(archive, "\n")[1], strings.Split(archive, "\n")[4], strings.Split(archive, "\n")[5]}, ",\n") + "]"
	for _, c := range []struct {
		file, content string
		bad           []string
	}{
		{"hn.ndjson", archive, []string{"hn.ndjson:3 (byte 145): broken JSON", "hn.ndjson:6 "}},
		{"hn.ndjson.gz", gz(t, archive), []string{"hn.ndjson.gz:3 (byte 145): broken JSON", "hn.ndjson.gz:6 "}},
		{"hn.2024-01.gz", gz(t, archive), []string{"hn.2024-01.gz:3 (byte 145): broken JSON", "hn.2024-01.gz:6 "}}, // a name that tells no format, as those of Reddit's dumps
		{"hn.json", list, []string{"hn.json:4 "}},
	} {
		t.Run(c.file, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			posts, bad, _ := sourcetest.Drain(t, openSource(t, dir, "path: hn.*\nshape: hackernews"), "")
			type short struct {
				ID, Kind, Author, Text, ReplyTo, Query string
				Deleted                                bool
			}
			var got []short
			for _, p := range posts {
				got = append(got, short{p.ID, p.Kind, p.AuthorID, p.Text, p.ReplyTo, p.Query, p.Deleted})
				if p.Payload == "" || p.URI == "" || p.ObservedAt.IsZero() == p.Deleted {
					t.Errorf("half a post: %+v", p)
				}
			}
			if diff := cmp.Diff([]short{
				{"1", feedlake.KindPost, "a", "one", "", c.file, false},
				{"2", feedlake.KindComment, "", "", "1", c.file, true},
				{"3", feedlake.KindComment, "b", "three", "1", c.file, false},
			}, got); diff != "" {
				t.Error(diff)
			}
			reasons := sourcetest.Reasons(bad)
			if len(reasons) != len(c.bad) {
				t.Fatalf("rejects %q, want %q", reasons, c.bad)
			}
			for i, want := range c.bad {
				if !strings.HasPrefix(reasons[i], want) {
					t.Errorf("reject %q, want %q", reasons[i], want)
				}
			}
		})
	}
}

func TestShapeContract(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hn.ndjson"), []byte(archive), 0o600); err != nil {
		t.Fatal(err)
	}
	sourcetest.Run(t, func(t *testing.T) ingest.Source {
		return named{openSource(t, dir, "path: hn.ndjson\nshape: hackernews")}
	})
}

// TestRecordedItems lands what Firebase was seen to answer, beside its users and
// numbers, which are no posts.
func TestRecordedItems(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(shared(t), "..", "api", "hackernews", "readme_items.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "items.json"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	var all []json.RawMessage
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	posts, bad, _ := sourcetest.Drain(t, openSource(t, dir, "path: items.json\nshape: hackernews"), "")
	if len(posts) != 6 || len(posts)+len(bad) != len(all) {
		t.Errorf("%d posts and %q of %d records", len(posts), sourcetest.Reasons(bad), len(all))
	}
}

func TestShapeRejects(t *testing.T) {
	for with, says := range map[string]string{
		"shape: friendster":                              `"friendster" is not known`,
		"shape: hackernews\nmap: {id: id}":               "shape and map",
		"shape: hackernews\nunescape_html: [text]":       "shape and map",
		"shape: hackernews\nformat: csv":                 "shape with format csv",
		"shape: hackernews\nformat: parquet\npath: a.pq": "shape with format parquet",
	} {
		if !strings.Contains(with, "path:") {
			with += "\npath: a.ndjson"
		}
		env := ingest.Env{Name: "src", Base: t.TempDir(), Now: clock}
		_, err := registry().Open(t.Context(), files.Kind, env, decodeYAML(with))
		if hint, ok := errors.AsType[*feedlake.HintError](err); !errors.Is(err, feedlake.ErrConfig) || !ok || hint.Hint == "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", with, err)
		}
	}
}

// named gives posts the name of their source, as a run does.
type named struct{ ingest.Source }

func (n named) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	p, err := n.Source.Fetch(ctx, from)
	for i := range p.Posts {
		p.Posts[i].Source = "src"
	}
	return p, err
}
