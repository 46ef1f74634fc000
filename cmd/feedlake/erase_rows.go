package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/schedules"
)

// eraseRule says in SQL which rows of a table go, and which values of rows that
// stay.
type eraseRule struct {
	table  string
	remove string
	clear  map[string]string
}

const thePost = "(source, id) IN (SELECT (source, id) FROM erase.posts)"

// tombed is the condition that ops.erasures lists what a column names.
func tombed(kind, column string) string {
	return "sha256(source || chr(0) || " + column + ") IN (SELECT hash FROM erase.tombs WHERE kind = '" + kind + "')"
}

// referring says which columns of a post of somebody else lose their value: one
// that answers or quotes an erased post stays, but no longer says which. more is
// another column and its condition.
func referring(more ...string) map[string]string {
	lose := map[string]string{"reply_to": tombed(lake.ErasedPost, "reply_to"), "quote_of": tombed(lake.ErasedPost, "quote_of")}
	if len(more) == 2 {
		lose[more[0]] = more[1]
	}
	return lose
}

// eraseRules lists the tables that hold posts or speak of them, beside those
// that SQL models build from them. raw.posts comes last: as long as it holds the
// posts, an erasure that was stopped finds their texts again.
func eraseRules() []eraseRule {
	return []eraseRule{
		{table: "raw.rejects", remove: "erase_mentions(source, concat_ws(' ', payload, reason)) OR erase_says(payload) OR erase_says(reason)"},
		{table: "ml.labels", remove: thePost + " OR text IN (SELECT text FROM erase.texts)"},
		{table: "ml.sentiment_scores", remove: thePost},
		{table: lake.Scattered().Name, remove: thePost, clear: referring()},
		{table: "ops.steps", clear: map[string]string{
			"detail": "erase_names(detail) OR erase_says(detail)",
			"error":  "erase_names(error) OR erase_says(error)",
		}},
		{
			table: "raw.posts", remove: thePost + " OR (source, author_id) IN (SELECT (source, id) FROM erase.authors)",
			// A record with a copy or an id goes.
			clear: referring("payload", "erase_mentions(source, payload) OR (erase_says(payload) AND NOT coalesce(erase_says(text), false))"),
		},
	}
}

func ruleFor(table string) eraseRule {
	for _, r := range eraseRules() {
		if r.table == table {
			return r
		}
	}
	return eraseRule{table: table}
}

// removeRows takes the rows out of every table of eraseRules, each in one
// commit.
func (e *erasure) removeRows(ctx context.Context, dry bool) error {
	if err := e.trainedOn(ctx); err != nil {
		return err
	}
	for _, r := range eraseRules() {
		res, err := e.a.lake.Erase(ctx, lake.EraseOptions{
			Table: r.table, Request: e.request, RunID: e.rep.RunID, DryRun: dry,
			Rows: query.Rows{DB: e.db, Remove: r.remove, Clear: r.clear},
		})
		if err != nil {
			return err
		}
		e.rep.addTable(res)
		schedules.Report(ctx, schedules.Counts{RowsIn: res.Removed + res.Cleared, RowsOut: res.Removed + res.Cleared})
		if dry {
			continue
		}
		if res.Partitions > 0 || len(e.rep.Resumes) > 0 {
			if err := e.sweep(ctx, r.table); err != nil {
				return err
			}
		}
		if err := e.interrupt("rows " + r.table); err != nil {
			return err
		}
	}
	if dry {
		return nil
	}
	_, err := e.a.ledger.Redact(ctx, func(text string) bool { return e.names(text) || e.match.in(text) })
	return err
}

// sweep takes out of a table's newest metadata what it still says of the files
// that left, before another table names that snapshot as its input.
func (e *erasure) sweep(ctx context.Context, table string) error {
	_, err := e.a.lake.Sweep(ctx, table, e.request, e.rep.RunID)
	return err
}

// touched reports whether the request found anything in the lake.
func (e *erasure) touched() bool {
	return e.rep.Rows > 0 || slices.ContainsFunc(e.rep.Tables, func(t lake.EraseResult) bool {
		return t.Partitions > 0 && (strings.HasPrefix(t.Table, "raw.") || strings.HasPrefix(t.Table, "ml."))
	})
}

// interrupt lets a test stop the work after a step.
func (e *erasure) interrupt(step string) error {
	if e.stopped == nil {
		return nil
	}
	return e.stopped(step)
}

// rebuild brings the tables of SQL models up to date, one after the other. A
// check that holds a partition back does not stop the others.
func (e *erasure) rebuild(ctx context.Context, s selection) error {
	g, err := loadModels()
	if err != nil {
		return err
	}
	chosen := map[string]bool{}
	for _, n := range s.names(g) {
		chosen[n] = true
	}
	var failed []error
	for _, m := range g.Models() {
		if !chosen[m.Name] {
			continue
		}
		before, changed := rowsIn(ctx, e.a.lake, m.Name), false
		rep, _, err := e.a.build(ctx, selection{step: s.step, only: []string{m.Name}}, false, e.rep.RunID)
		if ctx.Err() != nil {
			return err
		}
		if err != nil && !errors.Is(err, feedlake.ErrRejected) {
			failed = append(failed, err)
		}
		for _, r := range rep.Models {
			for _, f := range r.Failures {
				e.held[m.Name] = append(e.held[m.Name], string(f.Partition))
			}
			if len(r.Partitions) > 0 {
				removed := max(0, before-rowsIn(ctx, e.a.lake, m.Name))
				changed = true
				e.rep.addTable(lake.EraseResult{Table: m.Name, Removed: removed, Partitions: len(r.Partitions), Snapshot: r.Snapshot})
				schedules.Report(ctx, schedules.Counts{RowsIn: r.InputRows, RowsOut: r.Rows})
			}
		}
		if e.touched() && (changed || len(e.rep.Resumes) > 0) {
			if err := e.sweep(ctx, m.Name); err != nil {
				return err
			}
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("build tables: %w: %w", feedlake.ErrPartial, errors.Join(failed...))
	}
	return nil
}

// rowsIn counts a table's rows for the report; 0 when it cannot be read.
func rowsIn(ctx context.Context, l *lake.Lake, table string) int64 {
	info, _, err := describeTable(ctx, l, table)
	if err != nil {
		return 0
	}
	return info.Rows
}
