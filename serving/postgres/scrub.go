package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Scrub makes the server let go of rows that were replaced in the published
// tables: until a VACUUM they lie in its files, though nobody can read them.
func (p *Publisher) Scrub(ctx context.Context) error {
	conn, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer p.close(ctx, conn)
	rows, err := conn.Query(ctx, `SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tableowner = current_user ORDER BY 1`, p.schema)
	if err != nil {
		return p.explain(ctx, "list tables of "+p.schema, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return p.explain(ctx, "list tables of "+p.schema, err)
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, "VACUUM (ANALYZE) "+p.name(name)); err != nil {
			return p.explain(ctx, "vacuum "+name, err)
		}
	}
	return nil
}
