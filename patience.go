package feedlake

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Dial makes a connection, as net.Dialer.DialContext does.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)

// Patient is dial, for connections to a server whose reads and writes end with
// os.ErrDeadlineExceeded when nothing moves for as long as silence: a server that
// hangs keeps a connection alive and says nothing.
func Patient(dial Dial, silence time.Duration) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &patientConn{Conn: conn, silence: silence}, nil
	}
}

// patientConn is a connection whose reads and writes end after a silence, or at
// the deadline that its user sets, whichever is first.
type patientConn struct {
	net.Conn
	silence time.Duration

	mu       sync.Mutex // orders the deadlines of the user with those of silence
	deadline time.Time  // the user's; zero: none
}

// SetDeadline bounds reads and writes, also those under way.
func (c *patientConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline is SetDeadline: the users of this connection set both.
func (c *patientConn) SetReadDeadline(t time.Time) error { return c.SetDeadline(t) }

// SetWriteDeadline is SetDeadline: the users of this connection set both.
func (c *patientConn) SetWriteDeadline(t time.Time) error { return c.SetDeadline(t) }

// Read reads, or fails when nothing comes.
func (c *patientConn) Read(p []byte) (int, error) {
	if err := c.begin(c.Conn.SetReadDeadline); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	return n, c.explain(err)
}

// Write writes, or fails when nothing is taken.
func (c *patientConn) Write(p []byte) (int, error) {
	if err := c.begin(c.Conn.SetWriteDeadline); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	return n, c.explain(err)
}

// begin sets the deadline of an operation.
func (c *patientConn) begin(set func(time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := time.Now().Add(c.silence) //nolint:forbidigo // deadlines of sockets are by the system's clock
	if !c.deadline.IsZero() && c.deadline.Before(end) {
		end = c.deadline
	}
	return set(end)
}

// explain says that it was silence that ended an operation.
func (c *patientConn) explain(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && os.IsTimeout(err) && (c.deadline.IsZero() || time.Now().Before(c.deadline)) { //nolint:forbidigo // as above
		return fmt.Errorf("the server said nothing for %s: %w", c.silence, err)
	}
	return err
}
