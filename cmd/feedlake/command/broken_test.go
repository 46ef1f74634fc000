package command

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// unbroken is a run that nothing disturbed.
type unbroken struct {
	tables map[string]string
	lines  []time.Duration // after how long it wrote each line of its log
}

// breakPoint is a moment in a run: some time after a line of its log, less than it took
// until the next.
type breakPoint struct {
	line  int
	after time.Duration
}

// breakPoint takes one of the run's by chance. It lies between two lines, so that a
// slow machine meets it, too, and before the run's last words.
func (u unbroken) breakPoint(r *rand.Rand) breakPoint {
	n := r.IntN(len(u.lines) * 9 / 10)
	return breakPoint{n, time.Duration(r.Float64() * float64(u.lines[n+1]-u.lines[n]))}
}

func runUnbroken(t *testing.T, dir string) (u unbroken) {
	t.Helper()
	cmd := program(t, dir, "run")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	log := bufio.NewScanner(io.TeeReader(pipe, &said))
	for log.Scan() {
		u.lines = append(u.lines, time.Since(began))
	}
	if err := cmd.Wait(); err != nil || log.Err() != nil || len(u.lines) < 20 {
		t.Fatalf("run: %v, %v, %d lines\n%s", err, log.Err(), len(u.lines), said.String())
	}
	if u.tables = contents(t, dir); len(u.tables) != len(killTables) {
		t.Fatalf("%d answers, want %d", len(u.tables), len(killTables))
	}
	return u
}

// killAt starts a run and kills it (SIGKILL) at a moment; whether it lived so
// long.
func killAt(t *testing.T, dir string, m breakPoint) bool {
	t.Helper()
	cmd := program(t, dir, "run")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewScanner(pipe)
	for n, more := 0, true; n <= m.line && more; n++ {
		more = log.Scan()
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, pipe)
	}()
	select {
	case <-ended:
	case <-time.After(m.after):
	}
	_ = cmd.Process.Kill() // it may have ended
	<-ended
	_ = cmd.Wait() // killed or done: both are wanted
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// TestWholeBroken breaks runs, by SIGKILL at moments taken by chance, by Ctrl-C
// and by a full disk, and wants the next run to make every table as an unbroken
// run makes it.
func TestWholeBroken(t *testing.T) {
	t.Parallel()
	whole := runUnbroken(t, killDir(t))
	mended := func(t *testing.T, dir string) {
		t.Helper()
		runWhole(t, dir)
		if d := cmp.Diff(whole.tables, contents(t, dir)); d != "" {
			t.Errorf("tables differ (-unbroken +broken): %s", d)
		}
	}
	for round := range uint64(3) {
		t.Run(fmt.Sprint("killed ", round), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, round))
			dir := killDir(t)
			kills := 0
			for range 2 {
				m := whole.breakPoint(r)
				killed := killAt(t, dir, m)
				if killed {
					kills++
				}
				t.Logf("%s after line %d of %d: killed %t", m.after, m.line, len(whole.lines), killed)
			}
			if kills == 0 {
				t.Error("every run was over before it was killed")
			}
			mended(t, dir)
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		dir := killDir(t)
		interrupt(t, dir)
		mended(t, dir)
	})
	for _, size := range []string{"1200k", "5m"} { // full while posts land, and later
		t.Run("disk of "+size, func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("mounting a small disk needs root")
			}
			t.Parallel()
			dir := killDir(t)
			fillDisk(t, filepath.Join(dir, "lake"), size, dir)
			mended(t, dir)
		})
	}
}

// interrupt sends Ctrl-C as soon as the program has begun to land posts: it ends
// with 130 and says so.
func interrupt(t *testing.T, dir string) {
	t.Helper()
	var said bytes.Buffer
	cmd := program(t, dir, "run")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for { // the log tells when the first step has begun
		n, err := pipe.Read(buf)
		said.Write(buf[:n])
		if strings.Contains(said.String(), `"step":"ingest"`) || err != nil {
			break
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := said.ReadFrom(pipe); err != nil {
		t.Fatal(err)
	}
	if code := codeOf(t, cmd.Wait()); code != exitInterrupted || !strings.Contains(said.String(), "the next run goes on from there") {
		t.Errorf("exit code %d, want %d:\n%s", code, exitInterrupted, tail(said.Bytes()))
	}
}

// fillDisk lets a run meet a disk that is full, and gives it room afterwards.
func fillDisk(t *testing.T, disk, size, dir string) {
	t.Helper()
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	out, err := program(t, dir, "run").CombinedOutput()
	code := codeOf(t, err) // partial: what needs no more room is done
	if (code != exitFailed && code != exitPartial) || !strings.Contains(string(out), "hint: the disk is full") {
		t.Errorf("exit code %d, want %d or %d with the reason and a hint:\n%s", code, exitFailed, exitPartial, tail(out))
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
}

// tail keeps the last lines of an output.
func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}
