package files_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
)

// drained reads a source to its end and returns the ids of its posts.
func drained(t *testing.T, s ingest.Source, from feedlake.Cursor) (ids []string, at feedlake.Cursor, err error) {
	t.Helper()
	for at = from; ; {
		p, err := s.Fetch(t.Context(), at)
		if err != nil {
			return ids, at, err
		}
		for _, post := range p.Posts {
			ids = append(ids, post.ID)
		}
		if at = p.Next; p.Done {
			return ids, at, nil
		}
	}
}

// TestUnreadable reads a folder with a file, and with an archive, that cannot be
// opened: the others land, the end is partial and names it, each time, and it is
// read once it can be.
func TestUnreadable(t *testing.T) {
	for _, bad := range []string{"b.ndjson", "b.zip"} {
		t.Run(bad, func(t *testing.T) {
			f := newFolder(t)
			line := func(id string) string {
				return fmt.Sprintf(`{"id":%q,"at":"2026-01-01T00:00:00Z","text":"t"}`+"\n", id)
			}
			f.write("a.ndjson", line("1"))
			f.write("c.ndjson", line("3"))
			if bad == "b.zip" {
				f.write(bad, zipOf(t, "b.ndjson", line("2")))
			} else {
				f.write(bad, line("2"))
			}
			open := func(broken bool) ingest.Source {
				s := openSource(t, f.dir, "path: '*'\nmap: {id: id, created_at: at, text: text}\n")
				if broken {
					return files.Broken(s, bad, &fs.PathError{Op: "open", Path: bad, Err: fs.ErrPermission})
				}
				return s
			}
			at := feedlake.Cursor("")
			for n := range 2 {
				ids, next, err := drained(t, open(true), at)
				if want := [][]string{{"1", "3"}, nil}[n]; !slices.Equal(ids, want) || !errors.Is(err, feedlake.ErrPartial) || !strings.Contains(err.Error(), bad) {
					t.Errorf("time %d: posts %v, want %v; %v", n, ids, want, err)
				}
				at = next
			}
			ids, _, err := drained(t, open(false), at)
			if err != nil || !slices.Equal(ids, []string{"2"}) {
				t.Errorf("readable again: %v, %v", ids, err)
			}
		})
	}
}
