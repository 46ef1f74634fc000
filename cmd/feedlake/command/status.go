package command

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/schedules"
)

// status is what `feedlake status --json` prints.
type status struct {
	Lake    string              `json:"lake"`
	Config  string              `json:"config"` // "" when no file was read
	Sources []sourceStatus      `json:"sources"`
	Models  []wiring.ModelInUse `json:"models"`
	Tables  []tableInfo         `json:"tables"`
	Runs    []runStatus         `json:"runs"` // the newest ten, newest first
}

type sourceStatus struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Begun  bool   `json:"begun"` // whether it has a cursor
	Cursor string `json:"cursor,omitempty"`
}

type runStatus struct {
	RunID   string     `json:"run_id"`
	Job     string     `json:"job"`
	State   string     `json:"state"`
	Started time.Time  `json:"started"`
	Ended   *time.Time `json:"ended,omitempty"`
	Error   string     `json:"error,omitempty"`
}

func newStatusCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show tables, sources, models and the last runs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.withApp(cmd.Context(), showStatus) },
	}
}

func showStatus(ctx context.Context, a *app) error {
	s, err := a.status(ctx)
	if err != nil {
		return err
	}
	if a.o.json {
		return printJSON(a.o.env.stdout, s)
	}
	w := a.o.env.stdout
	printf(w, "lake %s\n", s.Lake)
	var rows [][]string
	for _, src := range s.Sources {
		begun := "not begun"
		if src.Begun {
			begun = "begun"
		}
		rows = append(rows, []string{src.Name, src.Kind, begun})
	}
	printTable(w, []string{"source", "kind", "cursor"}, rows)
	rows = nil
	for _, t := range s.Tables {
		rows = append(rows, []string{t.Table, feedlake.Count(t.Rows), snapshotName(t.Snapshot), stamp(t.At)})
	}
	printTable(w, []string{"table", "rows", "snapshot", "at (UTC)"}, rows)
	rows = nil
	for _, m := range s.Models {
		rows = append(rows, []string{m.Model, feedlake.Count(int64(m.Version)), metric(m.MacroRecall)})
	}
	printTable(w, []string{"model in use", "version", "macro-recall"}, rows)
	rows = nil
	for _, r := range s.Runs {
		rows = append(rows, []string{r.RunID, r.Job, r.State, stamp(r.Started), r.Error})
	}
	printTable(w, []string{"run", "job", "state", "started (UTC)", "error"}, rows)
	return nil
}

func (a *app) status(ctx context.Context) (status, error) {
	s := status{Lake: a.Place(), Config: a.Config.File, Sources: []sourceStatus{}, Models: []wiring.ModelInUse{}, Tables: []tableInfo{}, Runs: []runStatus{}}
	for _, src := range a.Config.Sources {
		cursor, err := a.Lake.Property(ctx, "raw.posts", "feedlake.cursor."+src.Name)
		if err != nil {
			return s, err
		}
		s.Sources = append(s.Sources, sourceStatus{Name: src.Name, Kind: src.Kind, Begun: cursor != "", Cursor: cursor})
	}
	names, err := a.Lake.Tables(ctx)
	if err != nil {
		return s, err
	}
	for _, n := range names {
		info, _, err := describeTable(ctx, a.Lake, n)
		if err != nil {
			return s, err
		}
		s.Tables = append(s.Tables, info)
	}
	if s.Models, err = a.ModelsInUse(ctx); err != nil {
		return s, err
	}
	runs, err := a.Ledger.Runs(ctx, schedules.Filter{Limit: 10})
	if err != nil && !errors.Is(err, feedlake.ErrNotFound) {
		return s, err
	}
	for _, r := range runs {
		rs := runStatus{RunID: r.ID, Job: r.Job, State: string(r.State), Started: r.Started, Error: r.Err}
		if !r.Ended.IsZero() {
			rs.Ended = &r.Ended
		}
		s.Runs = append(s.Runs, rs)
	}
	return s, nil
}
