package mapping

import (
	"archive/zip"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestAbbreviations holds the table to its rule, over the time zone database of
// the toolchain.
func TestAbbreviations(t *testing.T) {
	t.Parallel()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	offsets := map[string]map[int]bool{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		zone, err := time.LoadLocationFromTZData(f.Name, content)
		if err != nil { // a folder
			continue
		}
		for at := time.Date(2006, 1, 15, 0, 0, 0, 0, time.UTC); at.Year() < 2026; at = at.AddDate(0, 1, 0) {
			name, offset := at.In(zone).Zone()
			if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
				continue
			}
			if offsets[name] == nil {
				offsets[name] = map[int]bool{}
			}
			offsets[name][offset] = true
		}
	}
	want := map[string]int{}
	for name, all := range offsets {
		for offset := range all {
			if len(all) == 1 {
				want[name] = offset
			}
		}
	}
	if d := cmp.Diff(want, abbreviations()); d != "" || len(want) < 30 {
		t.Error(d)
	}
}
