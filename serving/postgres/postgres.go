// Package postgres publishes tables to a PostgreSQL database, for Tableau, Power
// BI, Superset and whatever else speaks to one. Every table is replaced window
// by window, each batch in one transaction, so that a reader never sees a part.
//
// The publishing role needs CREATE on the database (or on the schema, once it is
// there) and TEMPORARY, which every role has by default. Readers need, once:
//
//	GRANT USAGE ON SCHEMA marts TO reader;
//	GRANT SELECT ON ALL TABLES IN SCHEMA marts TO reader;
//	ALTER DEFAULT PRIVILEGES FOR ROLE feedlake IN SCHEMA marts GRANT SELECT ON TABLES TO reader;
//
// Tables are altered, never dropped, so grants and views on them stay. The table
// feedlake_published beside them says which snapshot of the lake each one holds,
// and so does the comment of every table.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/serving"
)

// Options says where the database is.
type Options struct {
	DSN    string // URL or key=value string, as for psql; PGPASSFILE and the PG* variables count too. Never logged
	Schema string // the schema for the tables; "" is "marts"
	Log    *slog.Logger
}

// Publisher publishes to one schema of one database. It connects anew for every
// call, so a restarted server needs no restart here. It is safe for concurrent
// use, by several processes too.
type Publisher struct {
	config *pgx.ConnConfig
	schema string
	log    *slog.Logger
}

var _ serving.Publisher = (*Publisher)(nil)

const (
	defaultSchema  = "marts"
	ledger         = "feedlake_published"
	staging        = "feedlake_staging"
	connectTimeout = 10 * time.Second
	closeTimeout   = 5 * time.Second
	commitTimeout  = time.Minute
)

// New reads the options; it does not connect. An unreadable DSN is
// feedlake.ErrConfig, and the error does not repeat it.
func New(o Options) (*Publisher, error) {
	config, err := pgx.ParseConfig(o.DSN)
	if err != nil { // its text may hold a piece of the password
		return nil, feedlake.Hint(fmt.Errorf("read postgres dsn: not a URL or key=value string: %w", feedlake.ErrConfig),
			"write postgres://user:password@host:5432/database; percent-encode special characters of the password, or put it into PGPASSWORD or ~/.pgpass")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.RuntimeParams["timezone"] = "UTC"
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "feedlake"
	}
	p := &Publisher{config: config, schema: o.Schema, log: o.Log}
	if p.schema == "" {
		p.schema = defaultSchema
	}
	return p, nil
}

// Where names the database without its secrets: host, port, database, schema.
func (p *Publisher) Where() string {
	return fmt.Sprintf("%s:%d/%s schema %s", p.config.Host, p.config.Port, p.config.Database, p.schema)
}

// Published says what the database holds of a table.
func (p *Publisher) Published(ctx context.Context, table string) (serving.Published, error) {
	conn, err := p.connect(ctx)
	if err != nil {
		return serving.Published{}, err
	}
	defer p.close(ctx, conn)
	held, err := p.held(ctx, conn, table)
	if err != nil {
		return held, p.explain(ctx, "read "+ledger, err)
	}
	return held, nil
}

// querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// held reads the ledger; a ledger that is not there holds nothing.
func (p *Publisher) held(ctx context.Context, q querier, table string) (serving.Published, error) {
	var h serving.Published
	var there bool
	if err := q.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, p.name(ledger)).Scan(&there); err != nil || !there {
		return h, err
	}
	err := q.QueryRow(ctx, `SELECT batch_id, snapshot_id, model, run_id, published_at, rows FROM `+p.name(ledger)+
		` WHERE table_name = $1`, p.table(table)).
		Scan(&h.BatchID, &h.Snapshot, &h.Model, &h.RunID, &h.PublishedAt, &h.Rows)
	if errors.Is(err, pgx.ErrNoRows) {
		return serving.Published{}, nil
	}
	h.PublishedAt = h.PublishedAt.UTC()
	return h, err
}

// table is the name, without schema, of a lake table in the database:
// marts.volume is volume, ml.trends is ml_trends.
func (p *Publisher) table(name string) string {
	if mart, ok := strings.CutPrefix(name, defaultSchema+"."); ok {
		return mart
	}
	return strings.ReplaceAll(name, ".", "_")
}

// name spells a table of the schema in SQL.
func (p *Publisher) name(table string) string {
	return pgx.Identifier{p.schema, table}.Sanitize()
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

func (p *Publisher) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, p.config)
	if err != nil {
		return nil, p.explainConnect(ctx, err)
	}
	return conn, nil
}

func (p *Publisher) close(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = conn.Close(ctx) // the transaction has ended either way
}
