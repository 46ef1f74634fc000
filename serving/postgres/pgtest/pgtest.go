// Package pgtest starts a real PostgreSQL server for tests, from the binaries
// that the system has, in a folder of its own and on a free port.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout bounds the wait for the server's first answer.
const startTimeout = 30 * time.Second

// Server is a running PostgreSQL server with the superuser "postgres". It stops
// when the test ends.
type Server struct {
	tb   testing.TB
	bin  string
	dir  string
	port int
	cred *syscall.Credential // nil: the server runs as this user
	proc *process
}

// process is the server's, while it runs.
type process struct {
	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// Start starts a server. It fails the test, and does not skip it, when the
// binaries are missing. A start takes about a second; share one server among
// the tests that can.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{tb: tb, bin: findBinaries(tb), proc: &process{}}
	s.dir = s.makeDir()
	tb.Cleanup(s.Stop)
	s.run("initdb", "-D", s.data(), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-locale", "--no-sync")
	hba := "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(hba), 0o644); err != nil {
		tb.Fatalf("write pg_hba.conf: %v", err)
	}
	s.port = freePort(tb)
	s.Restart()
	return s
}

// DSN is the URL of a database as the superuser, who needs no password. Every
// other user needs one.
func (s *Server) DSN(database string) string { return s.UserDSN("postgres", "", database) }

// UserDSN is the URL of a database as a user.
func (s *Server) UserDSN(name, password, database string) string {
	u := url.URL{Scheme: "postgres", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/" + database, RawQuery: "sslmode=disable", User: url.User(name)}
	if password != "" {
		u.User = url.UserPassword(name, password)
	}
	return u.String()
}

// Port is the port on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// Exec runs statements in a database as the superuser.
func (s *Server) Exec(database string, statements ...string) {
	s.tb.Helper()
	ctx := context.Background() // also called by cleanups
	conn, err := pgx.Connect(ctx, s.DSN(database))
	if err != nil {
		s.tb.Fatalf("connect: %v", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // the test has its answer
	for _, q := range statements {
		if _, err := conn.Exec(ctx, q); err != nil {
			s.tb.Fatalf("%s: %v", q, err)
		}
	}
}

// CreateDatabase makes an empty database.
func (s *Server) CreateDatabase(name string) {
	s.tb.Helper()
	s.Exec("postgres", "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
}

// Restart starts the server, again after Kill or Stop, and waits for it.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", strconv.Itoa(s.port), //nolint:gosec,noctx // the test's own binaries; Stop ends it
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+s.dir, "-c", "fsync=off", "-c", "timezone=Asia/Kolkata")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true}
	cmd.Dir, cmd.Stderr = s.dir, &log
	if err := cmd.Start(); err != nil {
		s.tb.Fatalf("start postgres: %v", err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}()
	s.proc.mu.Lock()
	s.proc.cmd, s.proc.done = cmd, done
	s.proc.mu.Unlock()
	if err := s.wait(done); err != nil {
		s.Stop()
		s.tb.Fatalf("start postgres: %v\n%s", err, log.Bytes())
	}
}

// wait tries until the server answers.
func (s *Server) wait(done <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-done:
			return errors.New("the server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("no answer in %s: %w", startTimeout, err)
		case <-tick.C:
		}
	}
}

// Stop ends the server as an administrator does: open transactions are broken
// off. A server that does not run is no error.
func (s *Server) Stop() { s.proc.end(syscall.SIGINT) }

// Kill ends the server like a power cut.
func (s *Server) Kill() { s.proc.end(syscall.SIGQUIT) }

func (p *process) end(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(sig) // it may have ended by itself
	<-p.done
	p.cmd = nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// makeDir makes the server's folder. It is not below t.TempDir, which another
// user may not enter; the server refuses to run as root.
func (s *Server) makeDir() string {
	s.tb.Helper()
	dir, err := os.MkdirTemp("", "feedlake-pg-")
	if err != nil {
		s.tb.Fatalf("make folder: %v", err)
	}
	s.tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			s.tb.Errorf("remove folder: %v", err)
		}
	})
	if os.Getuid() != 0 {
		return dir
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		s.tb.Fatalf("as root, PostgreSQL needs the user postgres: %v", err)
	}
	uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uerr, gerr, os.Chown(dir, int(uid), int(gid))); err != nil {
		s.tb.Fatalf("give folder to postgres: %v", err)
	}
	s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return dir
}

// run runs one of PostgreSQL's programs to its end.
func (s *Server) run(name string, args ...string) {
	s.tb.Helper()
	cmd := exec.Command(filepath.Join(s.bin, name), args...) //nolint:gosec,noctx // the test's own binaries, done in a second
	cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		s.tb.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// findBinaries looks where Debian, Fedora and Homebrew keep the server.
func findBinaries(tb testing.TB) string {
	tb.Helper()
	var dirs []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		slices.Reverse(found)
		dirs = append(dirs, found...)
	}
	if p, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(p))
	}
	for _, d := range dirs {
		if _, err := os.Stat(filepath.Join(d, "initdb")); err == nil {
			return d
		}
	}
	tb.Fatal("PostgreSQL's server programs (initdb, postgres) are not installed; run `make deps`")
	return ""
}

func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		tb.Fatalf("find a free port: %v", err)
	}
	defer l.Close() //nolint:errcheck // nothing was sent
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatalf("listen address is %T", l.Addr())
	}
	return addr.Port
}
