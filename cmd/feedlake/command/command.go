// Package command is feedlake's command line: flags, what people see, and exit
// codes. The work is the stages', wired by package wiring.
package command

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/schedules"
)

// env is the process as the commands see it, so that tests can stand in for it.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) (string, bool)
	now            func() time.Time
	stdoutTTY      bool
	stderrTTY      bool
	stdinTTY       bool
	version        string
	intercept      lake.Interceptor // sees the lake's storage operations; nil: nobody does
}

// Main runs the command line of this process, until it ends or somebody ends it,
// and returns the exit code. Version is the program's.
func Main(version string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	e := env{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.LookupEnv, now: time.Now, version: version,
		stdoutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		stderrTTY: term.IsTerminal(int(os.Stderr.Fd())),
		stdinTTY:  term.IsTerminal(int(os.Stdin.Fd())),
	}
	go func() { // a second Ctrl-C ends at once
		<-ctx.Done()
		stop()
	}()
	code := run(ctx, e, os.Args[1:])
	stop()
	return code
}

// Exit codes, the same for every command.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPartial     = 3
	exitRejected    = 4
	exitBusy        = 5
	exitInterrupted = 130
)

const exitHelp = `Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 done in part,
4 a check or gate rejected, 5 another run holds what it needs, 130 interrupted.`

// endError is the error of a run, with the state in which the ledger says that it
// ended.
type endError struct {
	state schedules.State
	err   error
}

// Error is that of the run.
func (e *endError) Error() string { return e.err.Error() }

// Unwrap returns the run's error.
func (e *endError) Unwrap() error { return e.err }

// ended gives the error of a run, if there is one, its state.
func ended(run schedules.Run, err error) error {
	if err == nil {
		return nil
	}
	return &endError{run.State, err}
}

// exitCode says how the process ends after err. It follows the state that the ledger
// has for the run; without a run, the ledger's rule for errors gives the state. Where
// the state is failed, the code says why.
func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	state := schedules.StateIn(ctx, err)
	if e, ok := errors.AsType[*endError](err); ok {
		state = e.state
	}
	switch {
	case state == schedules.Partial:
		return exitPartial
	case state == schedules.Rejected:
		return exitRejected
	case state == schedules.Cancelled:
		return exitInterrupted
	case diskFull(err):
		return exitFailed
	case errors.Is(err, feedlake.ErrConfig), errors.Is(err, feedlake.ErrForbidden), errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, feedlake.ErrBusy):
		return exitBusy
	}
	return exitFailed
}

// diskFull recognises a full disk, also where a library (SQLite, DuckDB,
// TensorFlow) tells it in words alone.
func diskFull(err error) bool {
	text := strings.ToLower(err.Error())
	return errors.Is(err, syscall.ENOSPC) || strings.Contains(text, "no space left on device") || strings.Contains(text, "disk is full")
}

// errUsage marks a command line that cannot be understood.
var errUsage = errors.New("usage")

// run executes one command line and returns the exit code.
func run(ctx context.Context, e env, args []string) int {
	root := newRootCommand(e)
	root.SetArgs(args)
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := exitCode(ctx, err)
	if code == exitInterrupted {
		printError(e.stderr, errors.New("interrupted; what was committed stays, the next run goes on from there"))
		return code
	}
	if diskFull(err) {
		err = feedlake.Hint(err, "the disk is full: free space, then run again; what was committed stays, and nothing is lost")
	}
	printError(e.stderr, err)
	if errors.Is(err, errUsage) {
		printLine(e.stderr, "see: "+cmd.CommandPath()+" --help")
	}
	return code
}

// newLogger writes text to a terminal and JSON elsewhere.
func newLogger(w io.Writer, tty bool, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if tty {
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				a.Value = slog.StringValue(a.Value.Time().Format(time.TimeOnly))
			}
			return a
		}
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}
