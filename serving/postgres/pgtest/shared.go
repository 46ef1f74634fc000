package pgtest

import (
	"slices"
	"sync"
	"testing"
)

// Shared is one server for all tests of a binary. TestMain stops it after the
// tests. The zero value is ready.
type Shared struct {
	mu     sync.Mutex
	server *Server
	undo   []func()
}

// Server returns the server as seen by a test, which fails when the server
// does. The first call starts it; it goes on when the test ends.
func (s *Shared) Server(tb testing.TB) *Server {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		s.server = Start(keeping{tb, s})
	}
	view := *s.server
	view.tb = tb
	return &view
}

// Stop ends the server and removes its folder, if it was started.
func (s *Shared) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range slices.Backward(s.undo) {
		f()
	}
	s.server, s.undo = nil, nil
}

// keeping is a test that leaves its cleanups to Shared.Stop.
type keeping struct {
	testing.TB
	shared *Shared
}

// Cleanup keeps f for Shared.Stop. The caller, Shared.Server, holds the lock.
func (k keeping) Cleanup(f func()) { k.shared.undo = append(k.shared.undo, f) }
