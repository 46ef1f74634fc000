package erasure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// rule says in SQL which rows of a table go, and which values of rows that
// stay.
type rule struct {
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

// rules lists the tables that hold posts or speak of them, beside those
// that SQL models build from them. raw.posts comes last: as long as it holds the
// posts, an erasure that was stopped finds their texts again.
func rules() []rule {
	return []rule{
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

func ruleFor(table string) rule {
	for _, r := range rules() {
		if r.table == table {
			return r
		}
	}
	return rule{table: table}
}

// removeRows takes the rows out of every table of rules, each in one
// commit.
func (w *Work) removeRows(ctx context.Context, dry bool) error {
	if err := w.trainedOn(ctx); err != nil {
		return err
	}
	for _, r := range rules() {
		res, err := w.o.Lake.Erase(ctx, lake.EraseOptions{
			Table: r.table, Request: w.request, RunID: w.rep.RunID, DryRun: dry,
			Rows: query.Rows{DB: w.db, Remove: r.remove, Clear: r.clear},
		})
		if err != nil {
			return err
		}
		w.rep.addTable(res)
		w.o.Say(ctx, res.Removed+res.Cleared, res.Removed+res.Cleared, "")
		if dry {
			continue
		}
		if res.Partitions > 0 || len(w.rep.Resumes) > 0 {
			if err := w.sweep(ctx, r.table); err != nil {
				return err
			}
		}
		if err := w.interrupt("rows " + r.table); err != nil {
			return err
		}
	}
	if dry {
		return nil
	}
	_, err := w.o.Redact(ctx, func(text string) bool { return w.names(text) || w.match.in(text) })
	return err
}

// sweep takes out of a table's newest metadata what it still says of the files
// that left, before another table names that snapshot as its input.
func (w *Work) sweep(ctx context.Context, table string) error {
	_, err := w.o.Lake.Sweep(ctx, table, w.request, w.rep.RunID)
	return err
}

// touched reports whether the request found anything in the lake.
func (w *Work) touched() bool {
	return w.rep.Rows > 0 || slices.ContainsFunc(w.rep.Tables, func(t lake.EraseResult) bool {
		return t.Partitions > 0 && (strings.HasPrefix(t.Table, "raw.") || strings.HasPrefix(t.Table, "ml."))
	})
}

// rebuild brings the tables of SQL models up to date, one after the other. A
// check that holds a partition back does not stop the others.
func (w *Work) rebuild(ctx context.Context, step string, tables []string) error {
	var failed []error
	for _, table := range tables {
		before, changed := rowsIn(ctx, w.o.Lake, table), false
		built, err := w.o.Build(ctx, step, table, w.rep.RunID)
		if ctx.Err() != nil {
			return err
		}
		if err != nil && !errors.Is(err, feedlake.ErrRejected) {
			failed = append(failed, err)
		}
		if len(built.Held) > 0 {
			w.held[table] = append(w.held[table], built.Held...)
		}
		if built.Partitions > 0 {
			removed := max(0, before-rowsIn(ctx, w.o.Lake, table))
			changed = true
			w.rep.addTable(lake.EraseResult{Table: table, Removed: removed, Partitions: built.Partitions, Snapshot: built.Snapshot})
			w.o.Say(ctx, built.In, built.Out, "")
		}
		if w.touched() && (changed || len(w.rep.Resumes) > 0) {
			if err := w.sweep(ctx, table); err != nil {
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
	cur, err := l.Current(ctx, table)
	if err != nil {
		return 0
	}
	files, err := l.Files(ctx, table, cur.ID)
	if err != nil {
		return 0
	}
	var n int64
	for _, f := range files {
		n += f.Rows
	}
	return n
}
