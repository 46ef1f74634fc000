package command

import (
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// main is the program, as it is in a process of its own.
func main() { os.Exit(Main("dev")) }

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		if os.Getenv(dieAt) != "" {
			mainThatDies()
		}
		main()
	}
	testscript.Main(m, map[string]func(){"feedlake": main})
}

// asProgram is the variable that makes the test binary be feedlake itself, so
// that a test can kill it.
const asProgram = "FEEDLAKE_TEST_AS_PROGRAM"

// TestWholeScripts runs the command line as people do; each script is one story.
func TestWholeScripts(t *testing.T) {
	t.Parallel()
	shared, err := filepath.Abs("../../../../shared")
	if err != nil {
		t.Fatal(err)
	}
	if s := os.Getenv("FEEDLAKE_SHARED"); s != "" {
		shared = s
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("FEEDLAKE_SHARED", shared)
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "shared" {
				return fileExists(filepath.Join(shared, "data", "posts")), nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"gzip":       gzipFile,
			"cut":        cutFile,
			"exitcode":   exitCodeIs,
			"cat-append": appendFile,
		},
	})
}

// gzipFile FILE writes FILE.gz.
func gzipFile(ts *testscript.TestScript, _ bool, args []string) {
	in := ts.ReadFile(args[0])
	f, err := os.Create(ts.MkAbs(args[0] + ".gz"))
	ts.Check(err)
	w := gzip.NewWriter(f)
	_, err = w.Write([]byte(in))
	ts.Check(err)
	ts.Check(w.Close())
	ts.Check(f.Close())
}

// cutFile FILE leaves the first half of FILE.
func cutFile(ts *testscript.TestScript, _ bool, args []string) {
	in := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(in[:len(in)/2]), 0o600))
}

// exitCodeIs CODE COMMAND… runs a command and wants that exit code; what it
// printed can be matched with stdout and stderr afterwards.
func exitCodeIs(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// appendFile FROM TO adds FROM's text to TO.
func appendFile(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[1]), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteString(ts.ReadFile(args[0]))
	ts.Check(err)
	ts.Check(f.Close())
}
