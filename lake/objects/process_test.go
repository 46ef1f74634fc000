package objects

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain lets the test binary be the other processes of the tests below.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "cache-child" {
		if err := child(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child does what a test wants of another process.
func child(task, dir string) error {
	c, err := OpenCache(CacheConfig{Dir: dir, Limit: 350})
	if err != nil {
		return err
	}
	ctx := context.Background()
	switch task {
	case "hold": // leases, and dies with them
		if _, _, err := c.Fetch(ctx, &maker{}, wants(100, "held1", "held2")); err != nil {
			return err
		}
	case "half": // dies in the middle of a download
		_, _, err := c.Fetch(ctx, halfway{}, wants(100, "half"))
		return err
	case "many": // fetches everything, in any order, often
		if c, err = OpenCache(CacheConfig{Dir: dir}); err != nil {
			return err
		}
		for range 3 {
			w := many()
			rand.Shuffle(len(w), func(i, j int) { w[i], w[j] = w[j], w[i] })
			paths, release, err := c.Fetch(ctx, noter{dir + ".log"}, w)
			if err != nil {
				return err
			}
			for i, p := range paths {
				if b, err := os.ReadFile(p); err != nil || string(b) != string(content(w[i].Key, 100)) {
					return fmt.Errorf("%s: %d bytes, %w", w[i].Key, len(b), err)
				}
			}
			release()
		}
		return nil
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin) // until it is killed
	return err
}

func many() (w []Want) {
	for i := range 150 {
		w = append(w, wants(100, strconv.Itoa(i))...)
	}
	return w
}

// noter is a maker that writes down what it was asked for.
type noter struct{ log string }

func (n noter) Get(ctx context.Context, key, path string, size int64) error {
	f, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(key + "\n")
	return errors.Join(err, f.Close(), (&maker{}).Get(ctx, key, path, size))
}

// halfway writes the half and waits for the end of its process.
type halfway struct{}

func (halfway) Get(_ context.Context, key, path string, size int64) error {
	if err := os.WriteFile(path, content(key, size/2), 0o600); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// start runs a child until it is ready; kill is kill -9.
func start(t *testing.T, task, dir string) (kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "cache-child", task, dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // "killed"
		_ = in.Close()
	}
}

func TestKilledHolder(t *testing.T) {
	dir, m := t.TempDir(), &maker{}
	kill := start(t, "hold", dir)
	c := openCache(t, dir, 350)
	for _, key := range []string{"a", "b", "c"} {
		tick(t, dir)
		fetch(t, c, m, wants(100, key)...)()
	}
	if d := cmp.Diff([]string{"c", "held1", "held2"}, has(t, dir, "files")); d != "" {
		t.Errorf("while it lives: %s", d)
	}
	kill()
	for _, key := range []string{"d", "e"} {
		tick(t, dir)
		fetch(t, c, m, wants(100, key)...)()
	}
	if d := cmp.Diff([]string{"c", "d", "e"}, has(t, dir, "files")); d != "" {
		t.Errorf("after its end: %s", d)
	}
	tidy(t, dir)
}

func TestKilledDownload(t *testing.T) {
	dir, m := t.TempDir(), &maker{}
	kill := start(t, "half", dir)
	c := openCache(t, dir, 350)
	ctx, stop := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() {
		_, _, err := c.Fetch(ctx, m, wants(100, "half"))
		waiting <- err
	}()
	for len(has(t, dir, "leases")) < 2 { // it waits for the other process now, or soon
		tick(t, dir)
	}
	stop()
	if err := <-waiting; !errors.Is(err, context.Canceled) || m.gets.Load() != 0 {
		t.Errorf("error %v after %d downloads, want to have waited", err, m.gets.Load())
	}
	kill()
	fetch(t, c, m, wants(100, "half")...)()
	tidy(t, dir)
}

func TestSweptDownload(t *testing.T) {
	dir := t.TempDir()
	start(t, "half", dir)()
	if got := has(t, dir, "work"); len(got) != 1 {
		t.Fatalf("nothing half written to begin with: %q", got)
	}
	fetch(t, openCache(t, dir, 0), &maker{}, wants(100, "another")...)()
	tidy(t, dir)
}

func TestManyProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	cmds := make([]*exec.Cmd, 4)
	outs := make([]strings.Builder, len(cmds))
	for i := range cmds {
		cmds[i] = exec.CommandContext(t.Context(), os.Args[0], "cache-child", "many", dir)
		cmds[i].Stderr = &outs[i]
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, outs[i].String())
		}
	}
	log, err := os.ReadFile(dir + ".log")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range strings.Lines(string(log)) {
		seen[line]++
	}
	for key, n := range seen {
		if n > 1 {
			t.Errorf("%s was downloaded %d times", key, n)
		}
	}
	if len(seen) != len(many()) {
		t.Errorf("%d objects were downloaded, want %d", len(seen), len(many()))
	}
	tidy(t, dir)
}
