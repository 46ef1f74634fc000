package spark

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/feedlake/feedlake"
)

// serverError is what Spark said went wrong.
type serverError struct {
	class   string // such as "UNRESOLVED_COLUMN.WITH_SUGGESTION"
	state   string // SQLSTATE, such as "42703"
	message string // one line, without the plan that Spark appends
	line    int    // of the SQL text, from 1; 0: not known
}

// Error returns Spark's message.
func (e *serverError) Error() string { return "spark: " + e.message }

// atLine finds the line in the messages of analysis ("; line 2 pos 4"), of the
// parser ("(line 2, pos 4)") and of expressions at run time
// ("== SQL (line 2, position 8) ==").
const atLine = `\bline (\d+),? pos`

// answer turns an error of a call into a *serverError where the server spoke,
// into the context's error where that ended, and into unreachable otherwise.
func (c *client) answer(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if isUnavailable(err) {
		return c.unreachable(ctx, err)
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	se := &serverError{message: st.Message()}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			se.class, se.state = info.GetMetadata()["errorClass"], info.GetMetadata()["sqlState"]
		}
	}
	if m := regexp.MustCompile(atLine).FindStringSubmatch(se.message); m != nil {
		se.line, _ = strconv.Atoi(m[1])
	}
	se.message = short(se.message)
	return se
}

// short cuts what Spark appends to a message: SQL text, plan, stack trace. A
// job's failure carries its cause behind the stack of the task.
func short(msg string) string {
	if m := regexp.MustCompile(`(?s)Job aborted due to stage failure.*?\(TID \d+\)[^:]*: (?:[\w.$]+(?:Exception|Error): )?(.*)`).FindStringSubmatch(msg); m != nil {
		msg = m[1]
	}
	for _, end := range []string{"\n\n== SQL", "\n== SQL", "== SQL (", ";\n", "\n\tat ", "\n\nDriver stacktrace"} {
		msg, _, _ = strings.Cut(msg, end)
	}
	return strings.Join(strings.Fields(msg), " ")
}

// unreachable is the error of a server that does not answer.
func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, said := errors.AsType[*serverError](err); said {
		return err
	}
	if code := status.Code(err); code == codes.Unauthenticated || code == codes.PermissionDenied {
		return feedlake.Hint(fmt.Errorf("spark at %s refuses the credentials: %w", c.remote.addr, feedlake.ErrConfig), "check the token in the Spark address")
	}
	if !isUnavailable(err) {
		return c.answer(ctx, err)
	}
	return feedlake.Hint(fmt.Errorf("reach spark at %s: %w", c.remote.addr, &lostError{short(status.Convert(err).Message())}),
		"is a Spark Connect server running there? `make services-up` starts one for development; nothing was committed: run again")
}

// lostError says that the server went away.
type lostError struct{ cause string }

// Error returns the network's message.
func (e *lostError) Error() string { return e.cause }

// isLost reports whether err says that the server went away.
func isLost(err error) bool {
	var l *lostError
	return errors.As(err, &l)
}

// isUnavailable reports whether the server could not be reached, or went away
// in the middle of an answer.
func isUnavailable(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		return true
	case codes.Internal, codes.Unknown:
		st, _ := status.FromError(err)
		return st != nil && (strings.Contains(st.Message(), "RST_STREAM") || strings.Contains(st.Message(), "unexpected EOF"))
	}
	return false
}

// errorClass reads Spark's name of an error.
func errorClass(err error) string {
	st, ok := status.FromError(err)
	if !ok || err == nil {
		return ""
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetMetadata()["errorClass"] != "" {
			return info.GetMetadata()["errorClass"]
		}
	}
	if m := regexp.MustCompile(`^\[([A-Z_.]+)\]`).FindStringSubmatch(st.Message()); m != nil {
		return m[1]
	}
	return ""
}

// isGone reports whether the server has forgotten the session.
func isGone(err error) bool { return strings.HasPrefix(errorClass(err), "INVALID_HANDLE.SESSION_") }

// fault gives an error of Spark the model's file and, where Spark names a
// line, the line. clean undoes what the engine did to names.
func (r *run) fault(ctx context.Context, err error) error {
	file := r.q.Model.File
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", file, context.Cause(ctx))
	}
	var se *serverError
	if !errors.As(err, &se) {
		return fmt.Errorf("%s: %w", file, err)
	}
	at, msg := file, r.names.restore(se.message)
	if se.line > 1 {
		at = fmt.Sprintf("%s:%d", at, r.q.Model.Line+se.line-2)
	}
	switch {
	case strings.Contains(msg, "No space left"):
		return feedlake.Hint(fmt.Errorf("%s: spark: %s", at, msg), "the disk that Spark writes to is full: free space, then run again; nothing is lost")
	case strings.Contains(msg, "OutOfMemoryError"):
		return feedlake.Hint(fmt.Errorf("%s: spark: %s", at, msg), "give Spark's driver and executors more memory")
	case strings.HasPrefix(se.state, "42"), se.class == "INVALID_PARAMETER_VALUE":
		return fmt.Errorf("%s: spark: %s: %w", at, msg, feedlake.ErrConfig)
	}
	return fmt.Errorf("%s: spark: %s", at, msg)
}
