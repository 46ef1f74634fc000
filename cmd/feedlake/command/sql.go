package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/peterh/liner"
	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake/query"
)

// maxShown bounds the rows of a table on a screen; --json and --csv show all.
const maxShown = 500

func newSQLCommand(o *options) *cobra.Command {
	csv, at := false, ""
	c := &cobra.Command{
		Use:   "sql [QUERY]",
		Short: "Query every table by its plain name, or open a shell",
		Long: `Query every table of the lake by its plain name (raw.posts, features.hashtag_hourly,
marts.daily_sentiment …) with DuckDB, as of the newest snapshots, or of a moment
before. Without a query it reads statements from the terminal, or from standard
input.`,
		Example: `  feedlake sql "select source, count(*) from raw.posts group by all"
  feedlake sql --json "select * from marts.volume order by hour desc limit 5"
  feedlake sql --at 2026-01-05T06:00:00Z "select count(*) from raw.posts"
  feedlake sql --at raw.posts@4711 "select count(*) from raw.posts"
  echo "describe features.posts" | feedlake sql`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := parseMoment(at)
			if err != nil {
				return err
			}
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) (err error) {
				s, err := newShell(ctx, a, csv, m)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, s.db.Close()) }()
				if release, herr := a.Lake.Hold(ctx); herr == nil { // a lake that cannot be written to is read all the same
					defer func() { err = errors.Join(err, release()) }()
				}
				if len(args) == 1 {
					return s.execute(ctx, args[0])
				}
				return s.loop(ctx)
			})
		},
	}
	c.Flags().BoolVar(&csv, "csv", false, "print CSV")
	c.Flags().StringVar(&at, "at", "", "see the tables as of an instant (UTC), or at TABLE@SNAPSHOT[,…]")
	return c
}

// shell runs statements against the pinned tables.
type shell struct {
	a      *app
	db     *query.DB
	csv    bool
	tables []string
	at     moment
	pinned map[string]bool // views that are made
}

func newShell(ctx context.Context, a *app, csv bool, at moment) (*shell, error) {
	db, err := a.DuckDB(ctx)
	if err != nil {
		return nil, err
	}
	tables, err := a.Lake.Tables(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	for name := range at.snapshots {
		if !slices.Contains(tables, name) {
			return nil, errors.Join(feedlake.Hint(fmt.Errorf("table %s: %w", name, feedlake.ErrNotFound), "the lake has: %s", strings.Join(tables, ", ")), db.Close())
		}
	}
	return &shell{a: a, db: db, csv: csv, tables: tables, at: at, pinned: map[string]bool{}}, nil
}

// execute runs one statement and prints its result.
func (s *shell) execute(ctx context.Context, text string) error {
	if err := s.pinFor(ctx, text); err != nil {
		return err
	}
	rows, err := s.db.SQL().QueryContext(ctx, text)
	if err != nil && len(s.pinned) < len(s.tables) { // it may need a table that it does not name openly
		if err := s.pin(ctx, s.tables); err != nil {
			return err
		}
		rows, err = s.db.SQL().QueryContext(ctx, text)
	}
	if err != nil {
		return s.explain(ctx, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	switch w := s.a.o.env.stdout; {
	case s.a.o.json:
		err = writeJSONRows(w, rows)
	case s.csv:
		err = writeCSVRows(w, rows)
	default:
		err = writeTableRows(w, rows, maxShown)
	}
	if err != nil {
		return s.explain(ctx, err)
	}
	return nil
}

// explain turns DuckDB's error into one for a person.
func (s *shell) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("query: %w", ctx.Err())
	}
	e := fmt.Errorf("query: %w: %w", err, feedlake.ErrConfig)
	if strings.Contains(err.Error(), "Table with name") {
		return feedlake.Hint(e, "the lake has: %s", strings.Join(s.tables, ", "))
	}
	return e
}

// loop reads statements until the input ends.
func (s *shell) loop(ctx context.Context) error {
	if !s.a.o.env.stdinTTY {
		return s.script(ctx)
	}
	ln := liner.NewLiner()
	defer ln.Close() //nolint:errcheck // the terminal is given back as well as can be
	ln.SetCtrlCAborts(true)
	ln.SetCompleter(s.complete)
	history := filepath.Join(s.a.Lake.Dir(), "sql_history")
	if f, err := os.Open(history); err == nil {
		_, _ = ln.ReadHistory(f)
		_ = f.Close()
	}
	printLine(s.a.o.env.stdout, "DuckDB over "+feedlake.Plural(int64(len(s.tables)), "table")+" of "+s.a.Lake.Dir()+"; end a statement with ;  .tables lists, .quit leaves")
	var pending string
	for ctx.Err() == nil {
		prompt := "feedlake> "
		if pending != "" {
			prompt = "     ...> "
		}
		line, err := ln.Prompt(prompt)
		if errors.Is(err, liner.ErrPromptAborted) {
			pending = ""
			continue
		}
		if err != nil {
			break // the end of the input
		}
		switch strings.TrimSpace(line) {
		case ".quit", ".exit", "exit", "quit":
			return s.remember(ln, history)
		case ".tables":
			printLine(s.a.o.env.stdout, strings.Join(s.tables, "\n"))
			continue
		}
		pending += line + "\n"
		if stmt := strings.TrimSpace(pending); strings.HasSuffix(stmt, ";") {
			ln.AppendHistory(strings.Join(strings.Fields(stmt), " "))
			if err := s.execute(ctx, stmt); err != nil {
				printError(s.a.o.env.stderr, err)
			}
			pending = ""
		}
	}
	return s.remember(ln, history)
}

func (s *shell) remember(ln *liner.State, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keep history: %w", err)
	}
	_, err = ln.WriteHistory(f)
	return errors.Join(err, f.Close())
}

// complete offers table names for the last word.
func (s *shell) complete(line string) []string {
	cut := strings.LastIndexAny(line, " (,") + 1
	var out []string
	for _, t := range s.tables {
		if word := line[cut:]; word != "" && strings.HasPrefix(t, strings.ToLower(word)) {
			out = append(out, line[:cut]+t)
		}
	}
	return out
}

// script runs the statements of standard input; the first error ends it.
func (s *shell) script(ctx context.Context) error {
	text, err := readAll(s.a.o.env.stdin)
	if err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	if strings.TrimSpace(text) == "" {
		return usage("no query: give one, or statements on standard input")
	}
	return s.execute(ctx, text)
}
