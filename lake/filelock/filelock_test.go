package filelock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake/filelock"
)

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // some are closed before
	return f
}

// TestTry takes a lock beside another holder.
func TestTry(t *testing.T) {
	for _, c := range []struct {
		name        string
		first, then int
		want        bool
	}{
		{"exclusive twice", filelock.Exclusive, filelock.Exclusive, false},
		{"exclusive, shared", filelock.Exclusive, filelock.Shared, false},
		{"shared, exclusive", filelock.Shared, filelock.Exclusive, false},
		{"shared twice", filelock.Shared, filelock.Shared, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			a, b := open(t, path), open(t, path)
			if ok, err := filelock.Try(a, c.first); !ok || err != nil {
				t.Fatalf("a free lock: %t, %v", ok, err)
			}
			if ok, err := filelock.Try(b, c.then); ok != c.want || err != nil {
				t.Errorf("beside a holder: %t, %v; want %t", ok, err, c.want)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			if ok, err := filelock.Try(b, c.then); !ok || err != nil {
				t.Errorf("after the holder: %t, %v", ok, err)
			}
		})
	}
}

// TestTryClosed wants an error of its own for what is no lock at all.
func TestTryClosed(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "lock"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if ok, err := filelock.Try(f, filelock.Exclusive); ok || err == nil {
		t.Errorf("a closed file was locked: %t, %v", ok, err)
	}
}

// TestOpenWaits gets the lock when its holder gives it back, and not before.
func TestOpenWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	a, err := filelock.Open(t.Context(), path, filelock.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := filelock.Open(short, path, filelock.Exclusive); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("beside a holder: %v, want the context's error", err)
	}
	got := make(chan error, 1)
	go func() {
		b, err := filelock.Open(t.Context(), path, filelock.Exclusive)
		if err == nil {
			err = b.Close()
		}
		got <- err
	}()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}
