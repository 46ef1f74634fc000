//go:build services

package spark

import (
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// line is a TCP proxy whose connections can be cut.
type line struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &line{Listener: l}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	return p
}

// cut ends all connections of the moment and counts them.
func (p *line) cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	n := len(p.conns)
	p.conns = nil
	return n
}

// TestServiceBrokenStream cuts the connection to the server, again and again,
// while a job runs: the job goes on, and its answers are taken up.
func TestServiceBrokenStream(t *testing.T) {
	address, ok := strings.CutPrefix(os.Getenv("FEEDLAKE_TEST_SPARK"), "sc://")
	if !ok {
		t.Fatal("FEEDLAKE_TEST_SPARK does not name a Spark Connect server: make services-up")
	}
	p := newLine(t, address)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	e, err := Open(t.Context(), Options{Remote: "sc://" + p.Addr().String(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	dir := t.TempDir()
	q := endless(t, dir)
	q.Model.SQL = "select max(md5(cast(id * n as string))) as id from (select id, explode(sequence(1, 8)) as n from raw.t) x"
	ended := make(chan error, 1)
	var rows int64
	go func() {
		out, err := e.Run(t.Context(), q)
		rows = out.Rows
		ended <- err
	}()
	cuts := 0
	tick := time.NewTicker(700 * time.Millisecond)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case err := <-ended:
			if err != nil || rows != 1 || cuts < 2 {
				t.Errorf("%d rows, %d cuts: %v", rows, cuts, err)
			}
			done = true
		case <-tick.C:
			if p.cut() > 0 {
				cuts++
			}
		}
	}
}
