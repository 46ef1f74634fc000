package feedlake_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPlainPackagesStartNoGoroutine keeps the race detector where it can find
// something: packages that the Makefile tests without it start none.
func TestPlainPackagesStartNoGoroutine(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?m)^PLAIN +:= (.+)$`).FindSubmatch(makefile)
	if list == nil {
		t.Fatal("the Makefile names no PLAIN packages")
	}
	for dir := range strings.FieldsSeq(string(list[1])) {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no Go files: %v", dir, err)
		}
		for _, file := range files {
			for _, at := range started(t, file) {
				t.Errorf("%s starts a goroutine, so %s is no PLAIN package of the Makefile", at, dir)
			}
		}
	}
	for _, file := range []string{"ingest/batch.go", "cmd/feedlake/command/command.go"} { // a group, and the statement
		if len(started(t, file)) == 0 {
			t.Errorf("nothing is found in %s: the test is blind", file)
		}
	}
}

// started lists where a file starts goroutines, by the statement or through a
// group.
func started(t *testing.T, file string) (at []string) {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			at = append(at, set.Position(n.Pos()).String())
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Go" {
				at = append(at, set.Position(n.Pos()).String())
			}
		}
		return true
	})
	return at
}
