package files

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/feedlake/feedlake"
)

var compare = cmp.Options{cmp.AllowUnexported(state{}, tagged{}, entry{}), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(state{}, "changed")}

func TestCursorRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s state
	for i := range 300 {
		o := object{id: fmt.Sprint(i)}
		s.set(o, entry{offset: r.Int64() >> (1 + r.IntN(62)), digest: narrow(r.Uint64()), mark: r.Uint32() * r.Uint32N(2)})
		got, err := parseCursor(s.cursor())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(s, got, compare); d != "" {
			t.Fatal(d)
		}
	}
	if s.entry(object{id: "never"}) != (entry{}) || s.entry(object{id: "7"}) == (entry{}) {
		t.Error("entries are not found by name")
	}
}

func TestCursorDamaged(t *testing.T) {
	var s state
	for i := range 3 {
		s.set(object{id: fmt.Sprint(i)}, entry{offset: 5, digest: 6, mark: 7})
	}
	good := s.cursor()
	for i := range good {
		bad := good[:i] + feedlake.Cursor([]byte{good[i] ^ 1}) + good[i+1:]
		got, err := parseCursor(bad)
		if err == nil && cmp.Diff(s, got, compare) != "" {
			t.Errorf("byte %d changed: taken as %+v", i, got)
		}
		if err != nil && !errors.Is(err, feedlake.ErrConfig) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for _, c := range []feedlake.Cursor{"17", "files1:", "files1:AAAA", "files9:" + good[7:], good + "A", good[:len(good)-2]} {
		if _, err := parseCursor(c); err == nil {
			t.Errorf("%q was taken", c)
		}
	}
}

// TestPrune forgets files that are gone only where they are very many.
func TestPrune(t *testing.T) {
	var s state
	for i := range mostGone + 10 {
		s.entries = append(s.entries, tagged{path: uint64(i + 1)})
	}
	kept := object{id: "kept"}
	s.set(kept, entry{mark: markOf(kept)})
	s.prune(make([]object, 100))
	if len(s.entries) != mostGone+11 {
		t.Errorf("%d entries, pruned too early", len(s.entries))
	}
	s.prune([]object{kept})
	if len(s.entries) != 1 || !s.finished(kept, defaultMaxWindow) {
		t.Errorf("%d entries, want the file that is there", len(s.entries))
	}
}

func FuzzCursor(f *testing.F) {
	var s state
	f.Add(string(s.cursor()))
	s.set(object{id: "a"}, entry{offset: 1 << 40, digest: 5, mark: 9})
	s.set(object{id: "b"}, entry{})
	f.Add(string(s.cursor()))
	f.Add("files1:AAAA")
	f.Fuzz(func(t *testing.T, c string) {
		s, err := parseCursor(feedlake.Cursor(c))
		if err != nil {
			return
		}
		again, err := parseCursor(s.cursor())
		if err != nil || cmp.Diff(s, again, compare) != "" {
			t.Errorf("%q: %v, %s", c, err, cmp.Diff(s, again, compare))
		}
	})
}
