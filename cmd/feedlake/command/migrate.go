package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/schedules"
)

// Places that `lake migrate` knows.
const (
	toPostgres = "postgres"
	toSQLite   = "sqlite"
)

func newMigrateCommand(o *options) *cobra.Command {
	to, dsnEnv := "", "FEEDLAKE_DSN"
	c := &cobra.Command{
		Use:   "migrate --to postgres|sqlite",
		Short: "Move catalog and history to PostgreSQL, or back to SQLite; no table file is copied",
		Long: `Move the catalog and the history of runs from where the config says to PostgreSQL,
whose DSN is taken from the environment, or back to SQLite in the lake's folder.
The tables' files stay where they are, and so does every snapshot. Afterwards the
old catalog refuses to be opened and says where the lake is; set lake.catalog in
the config accordingly. Interrupted, the same command goes on.`,
		Example: "  FEEDLAKE_DSN=postgres://… feedlake lake migrate --to postgres\n  feedlake lake migrate --to sqlite --config service.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to != toPostgres && to != toSQLite {
				return usage("--to %q: postgres or sqlite", to)
			}
			dsn := ""
			if to == toPostgres {
				var ok bool
				if dsn, ok = o.env.getenv(dsnEnv); !ok || dsn == "" {
					return feedlake.Hint(usage("variable %s is not set", dsnEnv), "export %s=postgres://user:password@host:5432/database, or name another variable with --dsn-env", dsnEnv)
				}
			}
			return o.migrate(cmd.Context(), dsn)
		},
	}
	c.Flags().StringVar(&to, "to", "", "postgres or sqlite")
	c.Flags().StringVar(&dsnEnv, "dsn-env", dsnEnv, "variable that holds the DSN")
	return c
}

// migrated is what `lake migrate` reports.
type migrated struct {
	Tables int    `json:"tables"`
	Runs   int64  `json:"runs"`
	From   string `json:"from"`
	To     string `json:"to"`
}

// migrate moves the history first: it can be copied again, while the catalog is
// given up only once.
func (o *options) migrate(ctx context.Context, dsn string) error {
	c, err := o.load()
	if err != nil {
		return err
	}
	if c.Lake.Catalog == dsn {
		return feedlake.Hint(fmt.Errorf("migrate: the config names the same catalog: %w", feedlake.ErrConfig), "run it with the config of the old place")
	}
	return o.withApp(ctx, func(ctx context.Context, a *app) (err error) {
		target := c
		target.Lake.Catalog = dsn
		at, err := target.LakeAt()
		if err != nil {
			return err
		}
		at.Now, at.Log, at.Receiving = o.env.now, a.Log, true
		to, err := lake.Open(ctx, at)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, to.Close()) }()
		history, err := wiring.OpenLedger(ctx, &target, to.Dir(), o.stages(a.Log))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, history.Close()) }()
		rep := migrated{From: a.Lake.Catalog(), To: to.Catalog()}
		if rep.Runs, err = schedules.Copy(ctx, a.Ledger, history); err != nil {
			return err
		}
		if rep.Tables, err = a.Lake.MoveCatalog(ctx, to); err != nil {
			return err
		}
		if o.json {
			return printJSON(o.env.stdout, rep)
		}
		printf(o.env.stdout, "moved %s and %s from %s to %s\n", feedlake.Plural(int64(rep.Tables), "table"), feedlake.Plural(rep.Runs, "run"), rep.From, rep.To)
		if dsn == "" {
			printLine(o.env.stdout, "now remove lake.catalog from the config")
		} else {
			printLine(o.env.stdout, "now set lake.catalog in the config to the DSN, such as ${FEEDLAKE_DSN}")
		}
		return nil
	})
}
