package keys_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/keys"
)

func entries(s *keys.Set, p lake.Partition, names ...string) []keys.Entry {
	out := make([]keys.Entry, len(names))
	for i, n := range names {
		out[i] = keys.Entry{Hash: keys.Hash(n), Part: s.Part(p)}
	}
	return out
}

// found spells where some keys are.
func found(t *testing.T, s *keys.Set, names ...string) []string {
	t.Helper()
	byHash := map[uint64]string{}
	list := make([]uint64, len(names))
	for i, n := range names {
		list[i] = keys.Hash(n)
		byHash[list[i]] = n
	}
	got, err := s.Find(list)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, e := range got {
		out = append(out, byHash[e.Hash]+" in "+string(s.Partition(e.Part)))
	}
	slices.Sort(out)
	return out
}

// TestSetAgainstMap adds random keys in portions of all sizes, saves and opens
// anew now and then, and wants what a map says.
func TestSetAgainstMap(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(19, 1))
	dir := filepath.Join(t.TempDir(), "keys")
	s, want := keys.Open(dir), map[string][]string{}
	for round := range 60 {
		p := lake.Partition(fmt.Sprint("day=", rnd.IntN(5)))
		var names []string
		for range 1 + rnd.IntN(1+rnd.IntN(20_000)) {
			n := fmt.Sprint("key-", rnd.IntN(300_000))
			names = append(names, n)
			if place := n + " in " + string(p); !slices.Contains(want[n], place) {
				want[n] = append(want[n], place)
			}
		}
		if err := s.Add(entries(s, p, names...)); err != nil {
			t.Fatal(err)
		}
		if round%7 == 0 {
			if err := s.Save(int64(round)); err != nil {
				t.Fatal(err)
			}
			if s = keys.Open(dir); s.Snapshot() != int64(round) {
				t.Fatalf("opened snapshot %d, want %d", s.Snapshot(), round)
			}
		}
		for _, n := range []int{1, 40, 3000} { // few are looked up, many read through
			var ask, expect []string
			for range n {
				ask = append(ask, fmt.Sprint("key-", rnd.IntN(400_000)))
			}
			slices.Sort(ask)
			ask = slices.Compact(ask)
			for _, a := range ask {
				expect = append(expect, want[a]...)
			}
			slices.Sort(expect)
			if diff := cmp.Diff(append([]string{}, expect...), found(t, s, ask...)); diff != "" {
				t.Fatalf("round %d (-want +got):\n%s", round, diff)
			}
		}
	}
}

// TestBrokenSet: what cannot be read is empty or an error, never an answer.
func TestBrokenSet(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	fill := func() {
		s := keys.Open(dir)
		if err := s.Reset(); err != nil {
			t.Fatal(err)
		}
		if err := s.Add(entries(s, "day=1", "a", "b")); err != nil {
			t.Fatal(err)
		}
		if err := s.Save(7); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	runs, err := filepath.Glob(filepath.Join(dir, "*.run"))
	if err != nil || len(runs) != 1 {
		t.Fatalf("runs %v, %v", runs, err)
	}
	if err := os.Truncate(runs[0], 12); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(dir).Find([]uint64{1}); err == nil {
		t.Error("a run that lost a key was searched")
	}
	if err := os.Remove(runs[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(dir).Find([]uint64{1}); err == nil {
		t.Error("a run that is gone was searched")
	}
	fill()
	for _, text := range []string{"", "{", `{"format":"md5","snapshot":7}`} {
		if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s := keys.Open(dir); s.Snapshot() != 0 || s.Keys() != 0 {
			t.Errorf("%q gave snapshot %d with %d keys", text, s.Snapshot(), s.Keys())
		}
	}
}

// TestUnsavedIsForgotten: what was added without a Save is not there for others.
func TestUnsavedIsForgotten(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	s := keys.Open(dir)
	if err := s.Add(entries(s, "day=1", "a")); err != nil {
		t.Fatal(err)
	}
	if got := found(t, keys.Open(dir), "a"); len(got) != 0 {
		t.Errorf("found %v before the Save", got)
	}
	if err := s.Save(3); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a in day=1"}, found(t, keys.Open(dir), "a")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
