package transforms

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// made are the columns that say who made a row; they are no part of what it says.
func made(c lake.Column) bool {
	return c.Name == "_run_id" || c.Name == "_model" || c.Name == "_inputs"
}

// same lists the partitions of a query whose rows came out as the table has them:
// they stay, with the provenance that they have, and nothing behind them is computed
// anew. A model that changed, and a rebuild that was asked for, replace everything.
func (b *build) same(ctx context.Context, c chunk, r *result) (map[lake.Partition]bool, error) {
	if !b.st.Built || b.Full || b.st.Model != b.m.Hash || b.st.Lost != "" {
		return nil, nil
	}
	leave, come := b.output, r.out.Files
	if c.hours != nil { // what leaves and what comes in its place
		leave, come = nil, slices.Clone(come)
		for _, k := range r.stay {
			leave = append(leave, k.drop...)
			if k.add != nil {
				come = append(come, *k.add)
			}
		}
	}
	var cols []lake.Column
	for _, c := range r.out.Columns {
		if made(c) {
			continue
		}
		if !slices.ContainsFunc(b.keep, func(k lake.Column) bool { return k.Name == c.Name && k.Type == c.Type }) {
			return nil, nil // a new column
		}
		cols = append(cols, c)
	}
	old, now := evenly(leave, come, r.bad())
	if len(now) == 0 {
		return nil, nil
	}
	return b.verify.equal(ctx, b.m, cols, b.keep, old, now)
}

// evenly keeps the files, of those that leave and of those that come, of the
// partitions that have as many rows in both.
func evenly(leave, come []lake.File, bad map[lake.Partition]bool) (old, now []lake.File) {
	more, had := map[lake.Partition]int64{}, map[lake.Partition]bool{}
	for _, f := range come {
		more[f.Partition] += f.Rows
	}
	for _, f := range leave {
		if _, ok := more[f.Partition]; ok {
			more[f.Partition], had[f.Partition] = more[f.Partition]-f.Rows, true
		}
	}
	uneven := func(f lake.File) bool { return !had[f.Partition] || more[f.Partition] != 0 || bad[f.Partition] }
	return slices.DeleteFunc(slices.Clone(leave), uneven), slices.DeleteFunc(slices.Clone(come), uneven)
}

// equal lists the partitions whose rows are the same in two sets of files, as many
// of each. Rows are compared by sums over two hashes of 64 bits, which costs no
// memory and one reading.
func (v *verifier) equal(ctx context.Context, m *Model, cols, have []lake.Column, old, now []lake.File) (_ map[lake.Partition]bool, err error) {
	var rows int64
	for _, f := range now {
		rows += 2 * f.Rows
	}
	db, done, err := v.open(ctx, rows)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	var release [2]func()
	if old, release[0], err = v.lake.Local(ctx, old); err != nil {
		return nil, err
	}
	defer release[0]()
	if now, release[1], err = v.lake.Local(ctx, now); err != nil {
		return nil, err
	}
	defer release[1]()
	names := make([]string, len(cols))
	for i, c := range cols {
		names[i] = c.Name
	}
	forward, backward := idents(names), idents(names)
	slices.Reverse(backward)
	parts := make([]string, 0, len(m.Partition)+1)
	for _, c := range idents(m.Partition) {
		parts = append(parts, "CAST("+c+" AS VARCHAR)")
	}
	side := func(name string, cols []lake.Column, files []lake.File) string {
		return "SELECT " + strings.Join(append(idents(m.Partition), name+" AS side", "hash("+strings.Join(forward, ", ")+")::HUGEINT AS a",
			"hash('again', "+strings.Join(backward, ", ")+")::HUGEINT AS b"), ", ") + " FROM (" + query.Select(cols, files) + ")"
	}
	list := strings.Join(append(idents(m.Partition), "side"), ", ")
	text := "SELECT " + strings.Join(append(parts, "'x'"), ", ") + " FROM (SELECT " + list + ", sum(a) AS a, sum(b) AS b FROM (" +
		side("0", have, old) + " UNION ALL " + side("1", cols, now) + ") GROUP BY " + list + ")"
	if len(m.Partition) > 0 {
		text += " GROUP BY " + strings.Join(idents(m.Partition), ", ")
	}
	text += " HAVING count(*) = 2 AND min(a) = max(a) AND min(b) = max(b)"
	found, err := db.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	same := map[lake.Partition]bool{}
	for found.Next() {
		values, to := make([]string, len(parts)+1), make([]any, len(parts)+1)
		for i := range values {
			to[i] = &values[i]
		}
		if err := found.Scan(to...); err != nil {
			return nil, err
		}
		same[partitionOf(m, values[:len(parts)])] = true
	}
	return same, found.Err()
}
