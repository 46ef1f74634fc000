package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/feedlake/feedlake"
)

// retryAfter is the pause before another try at a server that cannot be reached.
const retryAfter = 5 * time.Second

// serverSays returns the server's own error, if there is one.
func serverSays(err error) *pgconn.PgError {
	e, _ := errors.AsType[*pgconn.PgError](err)
	return e
}

// explainConnect sorts the errors of a connection attempt and adds the next
// step. The password is in none of them.
func (p *Publisher) explainConnect(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("connect to %s: %w", p.Where(), ctx.Err())
	}
	if serverSays(err) != nil {
		return p.explain(ctx, "connect", err)
	}
	cause := err
	if e, ok := errors.AsType[*net.OpError](err); ok {
		cause = e
	}
	if p.config.Password != "" && strings.Contains(cause.Error(), p.config.Password) {
		cause = errors.New("no connection")
	}
	return feedlake.Hint(&feedlake.RetryError{Err: fmt.Errorf("connect to %s: %w", p.Where(), cause), After: retryAfter},
		"is the server running there, and does it accept connections from here? try: psql -h %s -p %d -U %s %s",
		p.config.Host, p.config.Port, p.config.User, p.config.Database)
}

// explain sorts an error into the family that callers know and adds the next
// step for a person. The codes are those of PostgreSQL's appendix A.
func (p *Publisher) explain(ctx context.Context, verb string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", verb, ctx.Err())
	}
	e := serverSays(err)
	if e == nil {
		return feedlake.Hint(&feedlake.RetryError{Err: fmt.Errorf("%s: connection to %s lost, nothing was published: %w", verb, p.Where(), err), After: retryAfter},
			"the database still holds what it held before; publish again once the server is back")
	}
	wrapped := fmt.Errorf("%s at %s: %s (SQLSTATE %s)", verb, p.Where(), e.Message, e.Code)
	kind := func(kind error) error { return fmt.Errorf("%w: %w", wrapped, kind) }
	user, database := p.config.User, p.config.Database
	switch e.Code {
	case "28P01", "28000":
		return feedlake.Hint(kind(feedlake.ErrConfig), "check user %s and its password in the dsn, PGPASSWORD or ~/.pgpass, and the server's pg_hba.conf", user)
	case "3D000":
		return feedlake.Hint(kind(feedlake.ErrConfig), "create it: createdb -h %s -p %d %s", p.config.Host, p.config.Port, database)
	case "42501":
		return feedlake.Hint(kind(feedlake.ErrConfig), "as an administrator: GRANT CREATE, TEMPORARY ON DATABASE %s TO %s; or, for a schema that is there: GRANT CREATE, USAGE ON SCHEMA %s TO %s, and let %s own its tables",
			ident(database), ident(user), ident(p.schema), ident(user), ident(user))
	case "42809":
		return feedlake.Hint(kind(feedlake.ErrConfig), "something that is no table has that name in schema %s; rename it, or publish to another schema", p.schema)
	case "23505":
		return kind(feedlake.ErrRejected)
	case "53100":
		return feedlake.Hint(wrapped, "the server's disk is full; the database still holds what it held before")
	case "53300":
		return feedlake.Hint(&feedlake.RetryError{Err: wrapped, After: retryAfter}, "all connections of the server are taken; raise max_connections or close some")
	}
	switch e.Code[:2] {
	case "57", "08": // the server goes down, or the connection broke
		return feedlake.Hint(&feedlake.RetryError{Err: wrapped, After: retryAfter}, "the database still holds what it held before; publish again once the server is back")
	case "40": // serialization failure, deadlock
		return kind(feedlake.ErrConflict)
	case "22": // data that the type cannot hold
		return kind(feedlake.ErrRejected)
	}
	return wrapped
}
