package dashboard

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake/lake"
)

// States of an answer.
const (
	stateOK       = "ok"
	stateEmpty    = "empty"    // the table is there, and nothing in it matches
	stateUnscored = "unscored" // posts match, and no model has looked at them
	stateMissing  = "missing"  // the table is not built yet
)

// answer is what every path under /api/ sends: numbers, and where they come
// from.
type answer struct {
	State      string     `json:"state"`
	Message    string     `json:"message,omitempty"` // for people, unless the state is ok
	Data       any        `json:"data"`
	Provenance provenance `json:"provenance"`
}

// provenance leads from a number back to the lake.
type provenance struct {
	SQL         string            `json:"sql"`     // the text that was run
	Command     string            `json:"command"` // runs it again in a shell
	Tables      []tableRef        `json:"tables"`
	BuiltBy     []build           `json:"built_by"` // who made the rows that match, the newest first
	Builds      int64             `json:"builds"`   // how many made them; built_by lists the newest
	Models      []modelRef        `json:"models"`
	AsOf        *time.Time        `json:"as_of"` // commit of the newest snapshot in use; null: the lake is empty
	Definitions map[string]string `json:"definitions"`
}

// tableRef is a table at a snapshot. Ids are text: JavaScript's numbers cannot
// hold them.
type tableRef struct {
	Table       string     `json:"table"`
	Snapshot    string     `json:"snapshot"`
	CommittedAt *time.Time `json:"committed_at"`
	RunID       string     `json:"run_id"`
}

// build is a run of a SQL model over its inputs.
type build struct {
	Table  string `json:"table"`
	RunID  string `json:"run_id"`
	Model  string `json:"model"`
	Inputs string `json:"inputs"`
}

// modelRef is a version of a trained model.
type modelRef struct {
	Model   string `json:"model"`
	Version int64  `json:"version"`
}

// row is one row of a result by column.
type row map[string]any

// question is what an answer needs: one query over one mart.
type question struct {
	Table       string
	SQL         string
	Where       string            // narrows _run_id and model versions to the rows that match
	Models      string            // a query for (model, version); "": none
	ModelsOf    string            // the table that it reads, when another one
	With        []string          // further tables that the SQL reads
	Needs       []string          // columns that the table must have: older versions built it without
	Definitions map[string]string // of the numbers in the data
}

// ask runs a question. When its table is not built, the answer says so and no
// query runs.
func (s *server) ask(ctx context.Context, p pinState, q question) ([]row, answer, error) {
	a := answer{State: stateOK, Provenance: provenance{
		SQL: q.SQL, Command: s.command(q.SQL, nil), Tables: []tableRef{}, BuiltBy: []build{}, Models: []modelRef{}, Definitions: q.Definitions,
	}}
	if !p.asOf.IsZero() {
		a.Provenance.AsOf = &p.asOf
	}
	snap, ok := p.tables[q.Table]
	if !ok || snap.ID == 0 {
		a.State, a.Message = stateMissing, q.Table+" is not built yet; feedlake run builds it"
		return nil, a, nil
	}
	for _, c := range q.Needs {
		if !hasColumn(p.columns[q.Table], c) {
			a.State, a.Message = stateMissing, q.Table+" was built by an older version; feedlake run builds it anew"
			return nil, a, nil
		}
	}
	a.Provenance.Tables = append(a.Provenance.Tables, refOf(q.Table, snap))
	for _, table := range q.With {
		a.Provenance.Tables = append(a.Provenance.Tables, refOf(table, p.tables[table]))
	}
	a.Provenance.Command = s.command(q.SQL, a.Provenance.Tables)
	rows, err := s.rows(ctx, q.SQL)
	if err != nil {
		return nil, a, err
	}
	if err := s.builds(ctx, p, q, &a.Provenance); err != nil {
		return nil, a, err
	}
	if err := s.models(ctx, p, q, &a.Provenance); err != nil {
		return nil, a, err
	}
	return rows, a, nil
}

func refOf(table string, snap lake.Snapshot) tableRef {
	return tableRef{Table: table, Snapshot: strconv.FormatInt(snap.ID, 10), CommittedAt: &snap.At, RunID: snap.Summary[lake.SummaryRunID]}
}

func hasColumn(cols []lake.Column, name string) bool {
	return slices.ContainsFunc(cols, func(c lake.Column) bool { return c.Name == name })
}

// command spells a query for a shell, at the snapshots of tables: who runs it
// gets the number that was shown, also when the lake has moved on.
func (s *server) command(sql string, at []tableRef) string {
	var flags strings.Builder
	for i, t := range at {
		flags.WriteString([]string{" --at ", ","}[min(i, 1)] + t.Table + "@" + t.Snapshot)
	}
	return s.o.Command + flags.String() + ` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(sql) + `"`
}

const maxBuilds = 20

// builds lists who made the rows that match, from their last three columns, and
// counts them. The names of runs begin with the time: the newest come first.
func (s *server) builds(ctx context.Context, p pinState, q question, out *provenance) error {
	for _, c := range []string{"_run_id", "_model", "_inputs"} {
		if !hasColumn(p.columns[q.Table], c) {
			return nil
		}
	}
	rows, err := s.rows(ctx, fmt.Sprintf("SELECT _run_id, _model, _inputs, count(*) OVER () AS builds FROM (SELECT DISTINCT _run_id, _model, _inputs FROM %s%s) "+
		"ORDER BY _run_id DESC, _model, _inputs DESC LIMIT %d", q.Table, q.Where, maxBuilds))
	if err != nil {
		return err
	}
	for _, r := range rows {
		out.Builds = number(r["builds"])
		out.BuiltBy = append(out.BuiltBy, build{Table: q.Table, RunID: text(r["_run_id"]), Model: text(r["_model"]), Inputs: text(r["_inputs"])})
	}
	return nil
}

func (s *server) models(ctx context.Context, p pinState, q question, out *provenance) error {
	if q.Models == "" {
		return nil
	}
	if q.ModelsOf != "" {
		snap, ok := p.tables[q.ModelsOf]
		if !ok || snap.ID == 0 {
			return nil
		}
		out.Tables = append(out.Tables, refOf(q.ModelsOf, snap))
	}
	rows, err := s.rows(ctx, q.Models)
	if err != nil {
		return err
	}
	for _, r := range rows {
		v, _ := r["version"].(int64) // the query yields no NULL
		out.Models = append(out.Models, modelRef{Model: text(r["model"]), Version: v})
	}
	return nil
}

// rows runs a query. Instants become RFC 3339 text in UTC, days YYYY-MM-DD, and
// what JSON cannot say (NaN, infinity) becomes null.
func (s *server) rows(ctx context.Context, sql string) ([]row, error) {
	res, err := s.o.DB.SQL().QueryContext(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("query marts: %w", err)
	}
	defer res.Close() //nolint:errcheck // res.Err below says more
	types, err := res.ColumnTypes()
	if err != nil {
		return nil, fmt.Errorf("query marts: %w", err)
	}
	out := []row{}
	values, at := make([]any, len(types)), make([]any, len(types))
	for i := range values {
		at[i] = &values[i]
	}
	for res.Next() {
		if err := res.Scan(at...); err != nil {
			return nil, fmt.Errorf("query marts: %w", err)
		}
		r := make(row, len(types))
		for i, t := range types {
			r[t.Name()] = jsonValue(values[i], t.DatabaseTypeName())
		}
		out = append(out, r)
	}
	if err := res.Err(); err != nil {
		return nil, fmt.Errorf("query marts: %w", err)
	}
	return out, nil
}

func jsonValue(v any, typ string) any {
	switch v := v.(type) {
	case time.Time:
		if typ == "DATE" {
			return v.UTC().Format(time.DateOnly)
		}
		return v.UTC().Format(time.RFC3339Nano)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
	}
	return v
}

func text(v any) string {
	s, _ := v.(string) // NULL is ""
	return s
}

func number(v any) int64 {
	n, _ := v.(int64) // NULL is 0
	return n
}
