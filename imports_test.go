package feedlake_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/feedlake/feedlake"

// stages are the folders that the data passes through. They meet in lake.
var stages = []string{"ingest", "transforms", "training", "serving", "schedules"}

// helpers are the packages below a stage that its implementations share; a
// package whose name ends in "test" is one too. Every other package below a
// stage is an implementation.
var helpers = []string{"ingest/decode", "ingest/api", "ingest/frontier", "ingest/rounds", "ingest/wire"}

// rooms are the packages of the program: each may import those before it.
var rooms = []string{"cmd/feedlake/config", "cmd/feedlake/wiring", "cmd/feedlake/command", "cmd/feedlake"}

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

// TestImportRule holds the rule of docs/architecture.md over what the packages
// import; test files are free.
func TestImportRule(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-e", "-deps", "-json=ImportPath,Standard,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("list packages: %v\n%s", err, stderr(err))
	}
	var pkgs []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if !slices.ContainsFunc(pkgs, func(p pkg) bool { return p.ImportPath == module+"/lake" }) {
		t.Fatalf("the list of %d packages does not know the lake", len(pkgs))
	}
	for _, v := range violations(pkgs) {
		t.Error(v)
	}
}

func stderr(err error) []byte {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return e.Stderr
	}
	return nil
}

// violations lists the imports that break the rule, sorted.
func violations(pkgs []pkg) []string {
	standard := map[string]bool{"C": true, "unsafe": true}
	for _, p := range pkgs {
		standard[p.ImportPath] = p.Standard
	}
	var all []string
	for _, p := range pkgs {
		from, ours := within(p.ImportPath)
		if !ours {
			continue
		}
		for _, imported := range p.Imports {
			to, first := within(imported)
			why := ""
			switch {
			case first:
				why = forbidden(from, to)
			case from == "" && !standard[imported]:
				why = "the root package imports only the standard library"
			}
			if why != "" {
				all = append(all, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imported, why))
			}
		}
	}
	slices.Sort(all)
	return all
}

// within returns the path below the module, "" for its root.
func within(importPath string) (string, bool) {
	rest, ok := strings.CutPrefix(importPath, module)
	return strings.TrimPrefix(rest, "/"), ok && (rest == "" || rest[0] == '/')
}

// stageOf returns the stage that a package belongs to, or "".
func stageOf(p string) string {
	top, _, _ := strings.Cut(p, "/")
	if slices.Contains(stages, top) {
		return top
	}
	return ""
}

// implementation returns the implementation that a package belongs to, such as
// "serving/postgres", or "".
func implementation(p string) string {
	parts := strings.Split(p, "/")
	if stageOf(p) == "" || len(parts) < 2 {
		return ""
	}
	top := path.Join(parts[:2]...)
	if slices.Contains(helpers, top) || strings.HasSuffix(parts[1], "test") {
		return ""
	}
	return top
}

// forbidden says why a package of the module may not import another, or "".
func forbidden(from, to string) string {
	inLake := to == "lake" || strings.HasPrefix(to, "lake/")
	switch stage := stageOf(from); {
	case slices.Contains(rooms, from) && slices.Contains(rooms, to):
		if slices.Index(rooms, to) > slices.Index(rooms, from) {
			return "the program's rooms go from config over wiring to command"
		}
	case strings.HasPrefix(from, "cmd/"):
		return ""
	case from == "":
		return "the root package imports only the standard library"
	case strings.HasPrefix(to, "cmd/"):
		return "commands are not imported"
	case to == "":
		return ""
	case implementation(to) != "" && implementation(to) != implementation(from):
		return "implementations are named by cmd and by tests alone"
	case from == "lake" || strings.HasPrefix(from, "lake/"):
		if !inLake {
			return "the lake knows no stage"
		}
	case stage == "schedules":
		if stageOf(to) != stage {
			return "schedules imports only the root"
		}
	case stage != "":
		if stageOf(to) != stage && to != "lake" && to != "lake/query" && to != "lake/keys" && to != "lake/filelock" && to != "lake/objects" {
			return "stages meet only in the lake"
		}
	case stageOf(to) != "":
		return "stages are named by cmd and by tests alone"
	}
	return ""
}

// TestRowsAreWrittenInOnePlace holds that lake.RowWriter alone starts Parquet
// writers: NULL stays NULL only there (docs/adr/0016-null-stays-null.md).
func TestRowsAreWrittenInOnePlace(t *testing.T) {
	t.Parallel()
	starts := regexp.MustCompile(`parquet\.(NewGenericWriter|NewWriter|NewSortingWriter|NewGenericBuffer|NewBuffer|WriteFile|Write|NewRowBuffer)\b|pqarrow\.`)
	var found []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err == nil && starts.Match(text) {
			found = append(found, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"lake/write.go"}, found); diff != "" {
		t.Errorf("files that start a Parquet writer (-want +got)\n%s", diff)
	}
}

func TestImportRuleCatches(t *testing.T) {
	const root, other = "", "github.com/robfig/cron/v3"
	for _, c := range []struct{ from, to, why string }{
		{root, other, "the root package imports only the standard library"},
		{root, module + "/lake", "the root package imports only the standard library"},
		{root, "time", ""},
		{"lake", module, ""},
		{"lake", module + "/ingest", "the lake knows no stage"},
		{"lake/query", module + "/lake", ""},
		{"lake/query", module + "/sql", "the lake knows no stage"},
		{"lake", other, ""},
		{"ingest", module, ""},
		{"ingest", module + "/lake", ""},
		{"ingest/files", module + "/ingest", ""},
		{"ingest/files", module + "/ingest/decode", ""},
		{"ingest/simulate", module + "/ingest/decode/mapping", ""},
		{"ingest/decode", module + "/ingest/files", "implementations are named by cmd and by tests alone"},
		{"ingest/files", module + "/ingest/simulate", "implementations are named by cmd and by tests alone"},
		{"ingest", module + "/ingest/files", "implementations are named by cmd and by tests alone"},
		{"ingest/sourcetest", module + "/ingest", ""},
		{"ingest/sourcetest", module + "/ingest/files", "implementations are named by cmd and by tests alone"},
		{"ingest", module + "/transforms", "stages meet only in the lake"},
		{"transforms/duckdb", module + "/lake/query", ""},
		{"serving/export", module + "/lake/filelock", ""},
		{"transforms", module + "/lake/other", "stages meet only in the lake"},
		{"transforms", module + "/sql", "stages meet only in the lake"},
		{"training", module + "/serving/postgres", "implementations are named by cmd and by tests alone"},
		{"serving/postgres", module + "/serving/postgres/pgtest", ""},
		{"schedules", module, ""},
		{"schedules", module + "/lake", "schedules imports only the root"},
		{"schedules", other, ""},
		{"sql", module + "/transforms", "stages are named by cmd and by tests alone"},
		{"sql", "embed", ""},
		{"ingest", module + "/cmd/feedlake", "commands are not imported"},
		{"cmd/feedlake/wiring", module + "/serving/postgres", ""},
		{"cmd/feedlake/wiring", module + "/cmd/feedlake/config", ""},
		{"cmd/feedlake/command", module + "/cmd/feedlake/wiring", ""},
		{"cmd/feedlake/config", module + "/cmd/feedlake/wiring", "the program's rooms go from config over wiring to command"},
		{"cmd/feedlake/wiring", module + "/cmd/feedlake/command", "the program's rooms go from config over wiring to command"},
		{"cmd/feedlake", module + "/cmd/feedlake/command", ""},
		{"lake/erasure", module + "/lake/query", ""},
		{"lake/erasure", module + "/schedules", "the lake knows no stage"},
		{"ingest", module + "extra/transforms", ""}, // another module
	} {
		pkgs := []pkg{
			{ImportPath: path.Join(module, c.from), Imports: []string{c.to}},
			{ImportPath: "time", Standard: true},
			{ImportPath: "embed", Standard: true},
			{ImportPath: other, Imports: []string{module + "/lake"}}, // not ours: may do what it wants
		}
		var want []string
		if c.why != "" {
			want = []string{fmt.Sprintf("%s imports %s: %s", path.Join(module, c.from), c.to, c.why)}
		}
		if diff := cmp.Diff(want, violations(pkgs)); diff != "" {
			t.Errorf("%q imports %q: %s", c.from, c.to, diff)
		}
	}
}
