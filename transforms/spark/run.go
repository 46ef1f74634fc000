package spark

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/spark/internal/connect"
)

// run is one query on its way through a session.
type run struct {
	*session
	q       transforms.Query
	names   names
	catalog *Catalog
	storage Storage
	cols    []lake.Column // of the result, extra columns included
	keep    []lake.Column // that the model does not make
}

// model spells the model's own SELECT as a table. It begins on the second line,
// so that a line n of Spark's messages is the model's line n-1.
func (r *run) model() string { return "(\n" + r.names.replace(r.q.Model.SQL) + "\n) AS q" }

// columns asks for the result's columns without running it.
func (r *run) columns(ctx context.Context) error {
	fields, err := r.schema(ctx, text("SELECT * FROM "+r.model()))
	if err != nil {
		return r.fault(ctx, err)
	}
	for _, f := range fields {
		typ, ok := lakeType(f.GetDataType())
		if !ok {
			var names []string
			for _, t := range sparkTypes() {
				names = append(names, t[1])
			}
			return feedlake.Hint(fmt.Errorf("%s: column %s has type %s, which tables do not have: %w", r.q.Model.File, f.GetName(), typ, feedlake.ErrRejected),
				"cast it in the SELECT to one of %s", strings.Join(names, ", "))
		}
		r.cols = append(r.cols, lake.Column{Name: f.GetName(), Type: typ})
	}
	for _, c := range r.q.Extra {
		r.cols = append(r.cols, lake.Column{Name: c.Name, Type: "VARCHAR"})
	}
	for _, k := range r.q.Keep {
		if typeOf(r.cols, k.Name) == "" {
			r.keep = append(r.keep, lake.Column{Name: k.Name, Type: k.Type})
		}
	}
	r.cols = append(r.cols, r.keep...)
	for _, p := range r.q.Model.Partition {
		if typeOf(r.cols, p) == "" {
			return feedlake.Hint(fmt.Errorf("%s: partition column %s is not in the result: %w", r.q.Model.File, p, feedlake.ErrConfig),
				"select it, or correct '-- partition:'")
		}
	}
	return nil
}

// folder is the name of the column by which Spark parts the rows into folders:
// it takes that column out of the files, so it is a copy.
func folder(column string) string { return "__p_" + column }

// text spells the whole query: the model, the extra columns, the partitions
// asked for, and a copy of each partition column for the folders. The copy is in
// hexadecimal, so that every text is the name of a folder, and a different one.
// REBALANCE gives each partition one file, or more when it is large. A row with
// a NULL in a partition column passes, to be refused with a message instead of
// being lost.
func (r *run) text() string {
	var b strings.Builder
	parts := r.q.Model.Partition
	b.WriteString("SELECT /*+ REBALANCE")
	if len(parts) > 0 {
		b.WriteString("(" + idents(parts) + ")")
	}
	b.WriteString(" */ *")
	for _, c := range parts {
		b.WriteString(", concat('v', hex(CAST(" + ident(c) + " AS STRING))) AS " + ident(folder(c)))
	}
	b.WriteString(" FROM (SELECT q.*")
	for _, c := range r.q.Extra {
		b.WriteString(", " + quote(c.Value) + " AS " + ident(c.Name))
	}
	for _, c := range r.keep {
		b.WriteString(", CAST(NULL AS " + sparkType(c.Type) + ") AS " + ident(c.Name))
	}
	b.WriteString(" FROM " + r.model())
	var conds []string
	if len(parts) > 0 && r.q.Partitions != nil {
		conds = append(conds, "("+r.wanted()+")")
	}
	if r.q.Hours != nil {
		list := make([]string, len(r.q.Hours))
		for i, h := range r.q.Hours {
			list[i] = "TIMESTAMP '" + h.UTC().Format("2006-01-02 15:04:05.999999") + " UTC'"
		}
		conds = append(conds, "q.hour IN ("+strings.Join(list, ", ")+")")
	}
	if len(conds) > 0 {
		b.WriteString(" WHERE " + strings.Join(conds, " AND "))
	}
	b.WriteString(") AS r")
	return b.String()
}

// wanted spells the condition that a row lies in one of the partitions asked
// for, or in none.
func (r *run) wanted() string {
	keys := make([]partKey, len(r.q.Model.Partition))
	conds := make([]string, len(keys))
	for i, c := range r.q.Model.Partition {
		keys[i] = partKey{name: c, column: "q." + ident(c), typ: typeOf(r.cols, c)}
		conds[i] = keys[i].column + " IS NULL"
	}
	if len(r.q.Partitions) > 0 {
		conds = append(conds, within(keys, r.q.Partitions))
	}
	return strings.Join(conds, " OR ")
}

// write computes the query into a folder of its own beside the table's files,
// where the files stay.
func (r *run) write(ctx context.Context) (files []lake.File, err error) {
	path, err := r.q.Staging("")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.q.Model.File, err)
	}
	path = strings.TrimSuffix(path, ".parquet")
	defer func() {
		if err != nil {
			err = errors.Join(err, r.storage.Remove(context.WithoutCancel(ctx), path))
		}
	}()
	w := &connect.WriteOperation{
		Input: text(r.text()), Source: new("parquet"), Path: r.storage.Location(path), Mode: connect.WriteOperation_SAVE_MODE_ERROR_IF_EXISTS,
		Options: map[string]string{"compression": "zstd", "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false"},
	}
	for _, c := range r.q.Model.Partition {
		w.PartitioningColumns = append(w.PartitioningColumns, folder(c))
	}
	if err := r.exec(ctx, &connect.Command{CommandType: &connect.Command_WriteOperation{WriteOperation: w}}); err != nil {
		return nil, r.fault(ctx, err)
	}
	if files, err = r.storage.List(ctx, path); err != nil {
		return nil, fmt.Errorf("%s: %w", r.q.Model.File, err)
	}
	for i := range files {
		if files[i].Partition, err = r.partition(files[i].Path); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// partition reads a file's partition from the names of its folders.
func (r *run) partition(path string) (lake.Partition, error) {
	var pairs []string
	parts := strings.Split(strings.ReplaceAll(path, `\`, "/"), "/")
	for _, c := range r.q.Model.Partition {
		i := slices.IndexFunc(parts, func(p string) bool { return strings.HasPrefix(p, folder(c)+"=") })
		if i < 0 {
			return "", fmt.Errorf("%s: spark wrote %s, outside the folders of %s", r.q.Model.File, path, c)
		}
		value := strings.TrimPrefix(parts[i], folder(c)+"=")
		text, err := hex.DecodeString(strings.TrimPrefix(value, "v"))
		if err != nil || !strings.HasPrefix(value, "v") { // Spark's own name for NULL
			return "", feedlake.Hint(fmt.Errorf("%s: rows without a value in partition column %s: %w", r.q.Model.File, c, feedlake.ErrRejected),
				"give %s a value in every row of the SELECT, or leave these rows out", c)
		}
		pairs = append(pairs, c, string(text))
	}
	return lake.MakePartition(pairs...), nil
}
