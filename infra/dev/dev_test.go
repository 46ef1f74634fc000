// Package dev_test checks the scripts of this folder.
package dev_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAptWaitsForItsLocks has apt-get meet a lock that another process holds,
// once for each command, and then go on; any other failure ends at once.
func TestAptWaitsForItsLocks(t *testing.T) {
	const busy = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)"
	for name, c := range map[string]struct {
		says  string // what apt-get fails with, the first two times
		calls int
		fails bool
	}{
		"a lock":   {says: busy, calls: 3},
		"no space": {says: "E: You don't have enough free space", calls: 1, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "sleep"), "#!/bin/sh\n") // nobody waits in a test
			write(t, filepath.Join(dir, "apt-get"), `#!/bin/sh
echo "$*" >>"$CALLS"
[ $(wc -l <"$CALLS") -gt 2 ] || { echo "$SAYS" >&2; exit 100; }
`)
			cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", ". ./lib.sh; apt_get update")
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "SAYS="+c.says, "CALLS="+filepath.Join(dir, "calls"))
			out, err := cmd.CombinedOutput()
			if (err != nil) != c.fails || (c.fails && !strings.Contains(string(out), c.says)) {
				t.Errorf("%v: %s", err, out)
			}
			calls, err := os.ReadFile(filepath.Join(dir, "calls"))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(calls), "DPkg::Lock::Timeout=300 update"); n != c.calls {
				t.Errorf("%d calls, want %d:\n%s", n, c.calls, calls)
			}
		})
	}
}

// TestAptIsCalledInOnePlace keeps every other script from calling apt-get itself.
func TestAptIsCalledInOnePlace(t *testing.T) {
	scripts, err := filepath.Glob("*.sh")
	if err != nil || len(scripts) < 10 {
		t.Fatalf("%d scripts: %v", len(scripts), err)
	}
	for _, name := range append(scripts, "../../.ci/run", "../../Makefile") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		calls := strings.Count(string(text), "apt-get -") + strings.Count(string(text), "apt-get update") + strings.Count(string(text), "&& apt-get")
		want := 0
		if name == "lib.sh" {
			want = 1
		}
		if calls != want {
			t.Errorf("%s calls apt-get %d times, want %d: use packages of lib.sh", name, calls, want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}
