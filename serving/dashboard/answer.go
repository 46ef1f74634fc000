package dashboard

import (
	"context"
	"fmt"
	"math"
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
	BuiltBy     []build           `json:"built_by"` // who made the rows that match
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
	Definitions map[string]string // of the numbers in the data
}

// ask runs a question. When its table is not built, the answer says so and no
// query runs.
func (s *server) ask(ctx context.Context, p pinState, q question) ([]row, answer, error) {
	a := answer{State: stateOK, Provenance: provenance{
		SQL: q.SQL, Command: s.command(q.SQL), Tables: []tableRef{}, BuiltBy: []build{}, Models: []modelRef{}, Definitions: q.Definitions,
	}}
	if !p.asOf.IsZero() {
		a.Provenance.AsOf = &p.asOf
	}
	snap, ok := p.tables[q.Table]
	if !ok || snap.ID == 0 {
		a.State, a.Message = stateMissing, q.Table+" is not built yet; feedlake run builds it"
		return nil, a, nil
	}
	a.Provenance.Tables = append(a.Provenance.Tables, refOf(q.Table, snap))
	rows, err := s.rows(ctx, q.SQL)
	if err != nil {
		return nil, a, err
	}
	if a.Provenance.BuiltBy, err = s.builds(ctx, p, q); err != nil {
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

// command spells a query for a shell.
func (s *server) command(sql string) string {
	return s.o.Command + ` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(sql) + `"`
}

const maxBuilds = 20

// builds lists who made the rows that match, from their last three columns.
func (s *server) builds(ctx context.Context, p pinState, q question) ([]build, error) {
	out := []build{}
	has := 0
	for _, c := range p.columns[q.Table] {
		if c.Name == "_run_id" || c.Name == "_model" || c.Name == "_inputs" {
			has++
		}
	}
	if has < 3 {
		return out, nil
	}
	rows, err := s.rows(ctx, fmt.Sprintf("SELECT DISTINCT _run_id, _model, _inputs FROM %s%s ORDER BY ALL LIMIT %d", q.Table, q.Where, maxBuilds))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		out = append(out, build{Table: q.Table, RunID: text(r["_run_id"]), Model: text(r["_model"]), Inputs: text(r["_inputs"])})
	}
	return out, nil
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
