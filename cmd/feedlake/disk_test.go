package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk lets a run meet a disk that is full, gives it room, and wants the
// next run to make what an unbroken one makes.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	whole := killDir(t)
	runWhole(t, whole)
	want := contents(t, whole)
	for _, size := range []string{"1200k", "5m"} { // full while posts land, and later
		dir := killDir(t)
		disk := filepath.Join(dir, "lake")
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
		code := codeOf(t, err)
		if code != exitFailed || !strings.Contains(string(out), "hint: the disk is full") {
			t.Errorf("disk of %s: exit code %d, want %d with the reason and a hint:\n%s", size, code, exitFailed, tail(out))
		}
		if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=256m"); err != nil {
			t.Fatal(err)
		}
		runWhole(t, dir)
		for name, v := range contents(t, dir) {
			if v != want[name] {
				t.Errorf("disk of %s: %s is %s, want %s", size, name, v, want[name])
			}
		}
	}
}

// tail keeps the last lines of an output.
func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}
