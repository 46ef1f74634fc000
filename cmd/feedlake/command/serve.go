package command

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/serving/dashboard"
	"github.com/feedlake/feedlake/transforms"
)

func newServeCommand(o *options) *cobra.Command {
	addr := ""
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the dashboard (http://localhost:5002)",
		Long: `Serve the dashboard until Ctrl-C. On this machine's own address nobody logs in; on
any other address serve.token of the config is required.`,
		Example: "  feedlake serve --addr 127.0.0.1:5002",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error {
				if addr != "" {
					a.Config.Serve.Addr = addr
				}
				return a.serve(ctx)
			})
		},
	}
	c.Flags().StringVar(&addr, "addr", "", "host:port, instead of serve.addr of the config")
	return c
}

// serve runs the dashboard until ctx ends; that end is no error.
func (a *app) serve(ctx context.Context) (err error) {
	graph, err := wiring.LoadModels()
	if err != nil {
		return err
	}
	db, err := a.DuckDB(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return dashboard.Serve(ctx, dashboard.Options{
		Lake: a.Lake, DB: db, Addr: a.Config.Serve.Addr, Token: a.Config.Serve.Token, Command: a.sqlCommand(),
		Dir: filepath.Join(a.Lake.Dir(), "tmp", "dashboard"), Models: modelDocs(graph), Now: a.Now, Log: a.Log,
		Ready: func(url string) {
			printLine(a.o.env.stderr, "dashboard: "+strings.Replace(url, "127.0.0.1", "localhost", 1)+"  (Ctrl-C ends it)")
		},
	})
}

// sqlCommand is the command line that answers SQL over this lake.
func (a *app) sqlCommand() string {
	s := "feedlake sql"
	if a.Config.File != "" {
		s += " --config " + a.Config.File
	}
	if a.Config.File == "" || a.o.lake != "" {
		s += " --lake " + a.Lake.Dir()
	}
	return s
}

// modelDocs is what the dashboard shows about the SQL behind a number.
func modelDocs(g *transforms.Graph) map[string]dashboard.ModelDoc {
	docs := map[string]dashboard.ModelDoc{}
	for _, m := range g.Models() {
		d := dashboard.ModelDoc{About: m.About, SQL: m.SQL, Key: m.Key, Columns: m.Columns}
		for _, in := range m.Inputs {
			d.Inputs = append(d.Inputs, in.Table)
		}
		docs[m.Name] = d
	}
	return docs
}
