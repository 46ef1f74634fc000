package feedlake_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
)

// talk connects patiently to a server that does what serve says.
func talk(t *testing.T, silence time.Duration, serve func(net.Conn)) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			serve(c)
			_ = c.Close()
		}
	}()
	var d net.Dialer
	conn, err := feedlake.Patient(d.DialContext, silence)(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = conn.Close(), l.Close()
		<-done
	})
	return conn
}

func hang(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func TestPatientWithASilentServer(t *testing.T) {
	t.Parallel()
	conn := talk(t, 20*time.Millisecond, hang)
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent server: %v", err)
	}
}

// TestPatientKeepsDeadlines wants the user's deadline to hold, also one that is
// set, as by the end of a context, while a read is under way.
func TestPatientKeepsDeadlines(t *testing.T) {
	t.Parallel()
	conn := talk(t, time.Hour, hang)
	for _, at := range []time.Duration{-time.Second, 10 * time.Millisecond} {
		if err := conn.SetDeadline(time.Now().Add(at)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("deadline in %s: %v", at, err)
		}
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now().Add(-time.Second)) })
	defer stop()
	go cancel()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a cancelled read: %v", err)
	}
}

// TestPatientListens wants a server that speaks in time to be heard to its end.
func TestPatientListens(t *testing.T) {
	t.Parallel()
	conn := talk(t, time.Minute, func(c net.Conn) { _, _ = io.Copy(c, io.LimitReader(c, 5)) })
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		t.Errorf("heard %q, %v", got, err)
	}
}
