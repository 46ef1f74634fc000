package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake/lake/query"
)

func newViewsCommand(o *options) *cobra.Command {
	at := ""
	c := &cobra.Command{
		Use:   "views",
		Short: "Print SQL that opens every table in the DuckDB command line, or in any program that runs DuckDB",
		Long: `Print CREATE VIEW statements for every table, as of the newest snapshots or of a
moment before. They name the Parquet files of that moment, so they show it until
these files expire; print them anew to see what came since. Where the warehouse is
a bucket, DuckDB reads it with its extension httpfs, and the credentials from the
environment (FEEDLAKE_S3_KEY, FEEDLAKE_S3_SECRET).`,
		Example: "  feedlake lake views > lake.sql\n  duckdb -init lake.sql -c \"select * from marts.volume\"",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := parseMoment(at)
			if err != nil {
				return err
			}
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error { return printViews(ctx, a, m) })
		},
	}
	c.Flags().StringVar(&at, "at", "", "the tables as of an instant (UTC), or at TABLE@SNAPSHOT[,…]")
	return c
}

// printViews spells the views; with --json as one object, table to statement.
func printViews(ctx context.Context, a *app, m moment) error {
	names, err := a.Lake.Tables(ctx)
	if err != nil {
		return err
	}
	views := make(map[string]string, len(names))
	schemas := map[string]bool{}
	var text strings.Builder
	fmt.Fprintf(&text, "-- Tables of %s, printed %s.\nSET TimeZone = 'UTC';\n", a.Place(), a.Now().UTC().Format(time.RFC3339))
	if bucket := a.Lake.S3(); bucket != nil {
		for _, s := range query.BucketSetupFor(bucket) {
			text.WriteString(s + ";\n")
		}
	}
	for _, name := range names {
		id, err := m.snapshot(ctx, a.Lake, name)
		if err != nil {
			return fmt.Errorf("look at %s: %w", name, err)
		}
		files, err := a.Lake.Files(ctx, name, id)
		if err != nil {
			return err
		}
		cols, err := a.Lake.Columns(ctx, name)
		if err != nil {
			return err
		}
		schema, table, _ := strings.Cut(name, ".")
		if !schemas[schema] {
			schemas[schema] = true
			text.WriteString("CREATE SCHEMA IF NOT EXISTS " + query.Ident(schema) + ";\n")
		}
		views[name] = "CREATE OR REPLACE VIEW " + query.Ident(schema) + "." + query.Ident(table) + " AS " + query.Select(cols, files)
		fmt.Fprintf(&text, "-- %s, snapshot %d\n%s;\n", name, id, views[name])
	}
	if a.o.json {
		return printJSON(a.o.env.stdout, views)
	}
	printf(a.o.env.stdout, "%s", text.String())
	return nil
}
