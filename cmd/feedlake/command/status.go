package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	Locks   []lockStatus        `json:"locks"`
	Missing []shardStatus       `json:"incomplete"` // steps of which shards are missing; exit code 3 when there are some
}

type sourceStatus struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Begun  bool   `json:"begun"` // whether it has a cursor
	Cursor string `json:"cursor,omitempty"`
}

// lockStatus is a lock that is held, or waited for.
type lockStatus struct {
	Lock  string    `json:"lock"`
	Run   string    `json:"run_id,omitempty"`
	Work  string    `json:"work"`
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
	Waits bool      `json:"waits"`
}

// shardStatus is a step that is not complete.
type shardStatus struct {
	Step   string   `json:"step"`
	Shards []string `json:"shards"` // that are missing, as I/N
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
		return errors.Join(printJSON(a.o.env.stdout, s), s.incomplete())
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
	rows = nil
	for _, l := range s.Locks {
		how := "held"
		if l.Waits {
			how = "waited for"
		}
		rows = append(rows, []string{l.Lock, how, l.Run, l.Work, fmt.Sprintf("%d on %s", l.PID, l.Host), stamp(l.Since)})
	}
	if len(rows) > 0 {
		printTable(w, []string{"lock", "", "run", "work", "process", "since (UTC)"}, rows)
	}
	return s.incomplete()
}

// incomplete is feedlake.ErrPartial when a step is not complete.
func (s status) incomplete() error {
	var errs []error
	for _, m := range s.Missing {
		errs = append(errs, feedlake.Hint(fmt.Errorf("step %s: shards %s are missing: %w", m.Step, strings.Join(m.Shards, ", "), feedlake.ErrPartial),
			"run them, or the whole step: feedlake run --step %s", m.Step))
	}
	return errors.Join(errs...)
}

// locks fills in what is held and waited for, and what is missing.
func (s *status) locks(ctx context.Context, l *schedules.Ledger) error {
	held, err := l.Holdings(ctx)
	if err != nil {
		return err
	}
	for _, h := range held {
		s.Locks = append(s.Locks, lockStatus{h.Lock, h.Run, h.Work, h.Holder.Host, h.Holder.PID, h.Since, h.Waits})
	}
	missing, err := l.Incomplete(ctx)
	for _, m := range missing {
		at := shardStatus{Step: m.Step}
		for _, shard := range m.Missing {
			at.Shards = append(at.Shards, shard.String())
		}
		s.Missing = append(s.Missing, at)
	}
	return err
}

func (a *app) status(ctx context.Context) (status, error) {
	s := status{Lake: a.Place(), Config: a.Config.File, Sources: []sourceStatus{}, Models: []wiring.ModelInUse{}, Tables: []tableInfo{}, Runs: []runStatus{}, Locks: []lockStatus{}, Missing: []shardStatus{}}
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
	return s, s.locks(ctx, a.Ledger)
}
