package schedules

import (
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// way is the way to a server: a proxy that breaks connections.
type way struct {
	dsn string

	mu      sync.Mutex
	conns   map[net.Conn]bool
	blocked bool
	cut     bool // at the next commit
	heard   bool // the server hears of that
	stays   bool // and no way is left after it
}

// newWay opens a way to the server of a DSN.
func newWay(t *testing.T, dsn string) *way {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	target := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.Host = l.Addr().String()
	w := &way{dsn: u.String(), conns: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil || !w.add(client, server) {
				_ = client.Close()
				continue
			}
			all.Go(func() { w.pass(client, server, true) })
			all.Go(func() { w.pass(server, client, false) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.block(true)
		all.Wait()
	})
	return w
}

func (w *way) add(client, server net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.blocked {
		_ = server.Close()
		return false
	}
	w.conns[client], w.conns[server] = true, true
	return true
}

// pass hands on what one side sends, until a side closes.
func (w *way) pass(from, to net.Conn, toServer bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if toServer && strings.Contains(string(buf[:n]), "commit\x00") {
			if cut, heard := w.cuts(); cut {
				if heard {
					_ = from.Close() // first, so that no answer arrives
					_, _ = to.Write(buf[:n])
					_, _ = io.Copy(io.Discard, to)
				}
				return
			}
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cuts reports whether this commit is the one to break.
func (w *way) cuts() (cut, heard bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	cut, w.cut = w.cut, false
	w.blocked = w.blocked || cut && w.stays
	return cut, w.heard
}

func (w *way) cutAtCommit(heard, stays bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut, w.heard, w.stays = true, heard, stays
}

func (w *way) hasCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.cut
}

// block breaks all connections and takes no new ones, or takes them again.
func (w *way) block(blocked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blocked = blocked
	for c := range w.conns {
		_ = c.Close()
		delete(w.conns, c)
	}
}
