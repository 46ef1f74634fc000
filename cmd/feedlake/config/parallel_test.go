package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/feedlake/feedlake"
)

// TestParallel wants a number from 1 with the place of a wrong one, and a word
// where it is less than was asked for.
func TestParallel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		cores int
		want  int
		note  string // part of it; "": none
		err   string // part of it; "": none
	}{
		{"", 6, 6, "", ""},
		{"log: {level: warn}", 0, 1, "", ""},
		{"parallel: 1", 6, 1, "", ""},
		{"parallel: 7", 2, 7, "", ""},
		{"parallel: 40", 16, 40, "", ""},
		{"parallel: 1000", 16, 64, "parallel is 64, not 1000", ""},
		{"parallel: 1000", 2, 16, "parallel is 16, not 1000", ""},
		{"parallel: 0", 6, 0, "", "feedlake.yaml: parallel 0"},
		{"parallel: -1", 6, 0, "", "feedlake.yaml: parallel -1"},
		{"log: {level: warn}\nparallel: many", 6, 0, "", "feedlake.yaml:2:11"},
	} {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			got, err := Parse("feedlake.yaml", t.TempDir(), []byte(c.text), os.LookupEnv)
			var hint *feedlake.HintError
			if c.err != "" {
				if !errors.Is(err, feedlake.ErrConfig) || !strings.Contains(err.Error(), c.err) || !errors.As(err, &hint) {
					t.Fatalf("got %v, want %q and a hint", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			n, note := got.AtOnce(Machine{Cores: c.cores})
			if n != c.want || c.note == "" != (note == "") || !strings.Contains(note, c.note) {
				t.Errorf("%d, %q; want %d, %q", n, note, c.want, c.note)
			}
		})
	}
}

// TestMemoryIsSharedOut wants the default of engine.memory to follow the number of
// queries, and to leave half of a container's memory to the rest.
func TestMemoryIsSharedOut(t *testing.T) {
	t.Parallel()
	const gb = 1 << 30
	for _, c := range []struct {
		memory  string
		atOnce  int
		machine int64
		want    string
		queries int
	}{
		{"", 2, 16 * gb, "700MB", 2},
		{"", 16, 16 * gb, "1120MB", 16},
		{"", 16, gb, "536MB", 7},
		{"", 2, 64 << 20, "64MB", 1},
		{"", 2, 0, "700MB", 2},
		{"2GB", 16, gb, "2GB", 16},
		{"100MB", 16, 16 * gb, "100MB", 1},
		{"80%", 4, 16 * gb, "80%", 4},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			cfg := Default()
			cfg.Engine.Memory = c.memory
			cfg.Engine.Memory = cfg.EngineMemory(c.atOnce, Machine{Memory: c.machine})
			if got := cfg.Engine.Queries(c.atOnce); cfg.Engine.Memory != c.want || got != c.queries {
				t.Errorf("%s for %d queries, want %s for %d", cfg.Engine.Memory, got, c.want, c.queries)
			}
		})
	}
}
