package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// TestProbe tells files that are there from a path that leads to none.
func TestProbe(t *testing.T) {
	env := sourcetest.NewClock().Env(t, "dump")
	env.Base = t.TempDir()
	if err := os.WriteFile(filepath.Join(env.Base, "RC_2024-01.ndjson"), []byte("{}\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"RC_*.ndjson": "1, of 6 bytes", "RS_*.zst": ""} {
		src, err := files.Open(t.Context(), env, files.Config{Path: path, Shape: "reddit"})
		if err != nil {
			t.Fatal(err)
		}
		p, ok := src.(ingest.Prober)
		if !ok {
			t.Fatal("the source cannot be probed")
		}
		got := p.Probe(t.Context())
		switch {
		case len(got) != 1 || got[0].OK != (want != ""):
			t.Errorf("%s: %+v", path, got)
		case want != "" && got[0].Says != want:
			t.Errorf("%s: %q, want %q", path, got[0].Says, want)
		case want == "" && !strings.Contains(got[0].Hint, path):
			t.Errorf("%s: hint %q does not tell where was looked", path, got[0].Hint)
		}
	}
}
