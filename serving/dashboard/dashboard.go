// Package dashboard serves the web page of a lake: the marts as numbers and
// charts, each with the SQL, the snapshots, the models and the runs that it
// comes from, and the same as JSON under /api/.
//
// On a loopback address nobody logs in, and only this machine is answered. On
// any other address a token is required, of every request.
package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// DefaultAddr is where the dashboard listens unless told otherwise.
const DefaultAddr = "127.0.0.1:5002"

// MinToken is the least length of a token: 16 characters drawn at random cannot
// be guessed.
const MinToken = 16

// Options says what to show, to whom, and where.
type Options struct {
	Lake    *lake.Lake
	DB      *query.DB // reads the marts; the dashboard makes its views there
	Addr    string    // host:port; "" is DefaultAddr. Port 0 takes a free one
	Token   string    // "": none, allowed on loopback only
	Hosts   []string  // further host names under which a loopback dashboard may be reached, such as a proxy's
	Command string    // the command line that answers SQL here; "" is "feedlake sql"
	Models  map[string]ModelDoc
	Dir     string // where Serve keeps a file of each month of the marts, made when missing; "": none is
	Now     func() time.Time
	Log     *slog.Logger
	Ready   func(url string) // called once when Serve listens; nil: not called
}

// ModelDoc is what a person may want to know of the SQL model that builds a
// table.
type ModelDoc struct {
	About   string            `json:"about"`
	SQL     string            `json:"sql"`
	Inputs  []string          `json:"inputs"`
	Key     []string          `json:"key"`
	Columns map[string]string `json:"columns"` // what each column means
}

// Times that bound a request; a query on the marts takes milliseconds.
const (
	headerTimeout   = 10 * time.Second
	requestTimeout  = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
)

// Handler answers the page and its API. Without a token it answers only
// requests that come from this machine and name it as their host.
func Handler(o Options) http.Handler {
	return handler(o, nil)
}

func handler(o Options, m *months) http.Handler {
	o = o.withDefaults()
	s := &server{o: o, log: o.Log, now: o.Now, months: m}
	mux := http.NewServeMux()
	s.routes(mux)
	return s.headers(http.NewCrossOriginProtection().Handler(s.guard(mux)))
}

// Serve listens on o.Addr until ctx ends, then lets requests finish. An address
// that is not loopback needs a token: feedlake.ErrConfig.
func Serve(ctx context.Context, o Options) (err error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return err
	}
	m, err := openMonths(o.Dir)
	if err != nil { // the marts are read where they lie
		o.Log.WarnContext(ctx, "dashboard keeps no months", "err", err)
	}
	defer func() { err = errors.Join(err, m.close()) }()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return feedlake.Hint(fmt.Errorf("serve dashboard: %w", err), "is another dashboard running there? choose another address with --addr")
	}
	if a, err := netip.ParseAddrPort(l.Addr().String()); o.Token == "" && (err != nil || !a.Addr().Unmap().IsLoopback()) {
		return errors.Join(fmt.Errorf("serve dashboard: %s is not loopback: %w", l.Addr(), feedlake.ErrConfig), l.Close())
	}
	srv := &http.Server{
		Handler: handler(o, m), ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	o.Log.InfoContext(ctx, "dashboard listens", "addr", l.Addr().String())
	if o.Ready != nil {
		o.Ready("http://" + l.Addr().String())
	}
	select {
	case err := <-done:
		return fmt.Errorf("serve dashboard: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		return errors.Join(fmt.Errorf("stop dashboard: %w", err), srv.Close())
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Addr == "" {
		o.Addr = DefaultAddr
	}
	if o.Command == "" {
		o.Command = "feedlake sql"
	}
	return o
}

func (o Options) validate() error {
	host, _, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return feedlake.Hint(fmt.Errorf("dashboard address %q: want host:port: %w", o.Addr, feedlake.ErrConfig), "for this machine only: --addr %s", DefaultAddr)
	}
	switch {
	case o.Token != "" && len(o.Token) < MinToken:
		return feedlake.Hint(fmt.Errorf("dashboard token: shorter than %d characters: %w", MinToken, feedlake.ErrConfig), "make one: openssl rand -hex 24")
	case o.Token == "" && !loopback(host):
		return feedlake.Hint(fmt.Errorf("dashboard address %s: not loopback, and no token is set: %w", o.Addr, feedlake.ErrConfig),
			"set serve.token in the config (openssl rand -hex 24 makes one), or keep to this machine: --addr %s", DefaultAddr)
	}
	return nil
}

// loopback reports whether host can only be reached from this machine.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// server is one dashboard.
type server struct {
	o   Options
	log *slog.Logger
	now func() time.Time
	pin pin

	months  *months // nil: none are kept
	answers answers
}

func (s *server) routes(mux *http.ServeMux) {
	s.loginRoutes(mux)
	s.apiRoutes(mux)
	staticRoutes(mux)
}
