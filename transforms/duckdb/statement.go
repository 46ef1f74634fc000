package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	duck "github.com/duckdb/duckdb-go/v2"

	"golang.org/x/sync/errgroup"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
)

// copyOptions of every file. Measured on real tweets against the defaults:
// level 1 halves zstd's time for 5% more bytes.
const copyOptions = query.CopyOptions + ", RETURN_STATS true"

// statement is the SQL of one query.
type statement struct {
	q    transforms.Query
	db   *sql.Conn
	cols []lake.Column // of the result, extra columns included
	keep []lake.Column // that the model does not make
}

// model spells the model's own SELECT as a table. It begins on the second line,
// so that a line n of DuckDB's messages is the model's line n-1.
func (s *statement) model() string { return "(\n" + s.q.Model.SQL + "\n) AS q" }

// columns asks for the result's columns without running it.
func (s *statement) columns(ctx context.Context) ([]lake.Column, error) {
	if err := s.describe(ctx); err != nil {
		return nil, err
	}
	for _, c := range s.cols {
		if !slices.Contains(tableTypes(), c.Type) {
			return nil, feedlake.Hint(fmt.Errorf("%s: column %s has type %s, which tables do not have: %w", s.q.Model.File, c.Name, c.Type, feedlake.ErrRejected),
				"cast it in the SELECT to one of %s", strings.Join(tableTypes(), ", "))
		}
	}
	for _, c := range s.q.Extra {
		s.cols = append(s.cols, lake.Column{Name: c.Name, Type: "VARCHAR"})
	}
	for _, k := range s.q.Keep {
		if !slices.ContainsFunc(s.cols, func(c lake.Column) bool { return c.Name == k.Name }) {
			s.keep = append(s.keep, lake.Column{Name: k.Name, Type: k.Type})
		}
	}
	s.cols = append(s.cols, s.keep...)
	for _, p := range s.q.Model.Partition {
		if !slices.ContainsFunc(s.cols, func(c lake.Column) bool { return c.Name == p }) {
			return nil, feedlake.Hint(fmt.Errorf("%s: partition column %s is not in the result: %w", s.q.Model.File, p, feedlake.ErrConfig),
				"select it, or correct '-- partition:'")
		}
	}
	return s.cols, nil
}

func (s *statement) describe(ctx context.Context) (err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+s.model()+")")
	if err != nil {
		return s.fault(ctx, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			return s.fault(ctx, err)
		}
		s.cols = append(s.cols, column(name, typ))
	}
	if err := rows.Err(); err != nil {
		return s.fault(ctx, err)
	}
	return nil
}

// text spells the whole query: the model, the extra columns, and the partitions
// asked for. An extra column is an ENUM of one value, a byte a row until it is
// written as the dictionary of a text column. A row with a NULL in a partition column passes, to be refused with
// a message instead of being lost.
func (s *statement) text() string {
	var b strings.Builder
	b.WriteString("SELECT q.*")
	for _, c := range s.q.Extra {
		value := query.Quote(c.Value)
		b.WriteString(", CAST(" + value + " AS ENUM(" + value + ")) AS " + query.Ident(c.Name))
	}
	for _, c := range s.keep {
		b.WriteString(", CAST(NULL AS " + c.Type + ") AS " + query.Ident(c.Name))
	}
	b.WriteString(" FROM " + s.model())
	var conds []string
	if parts := s.q.Model.Partition; len(parts) > 0 && s.q.Partitions != nil {
		conds = append(conds, "("+s.wanted(parts)+")")
	}
	if s.q.Hours != nil {
		list := make([]string, len(s.q.Hours))
		for i, h := range s.q.Hours {
			list[i] = query.Instant(h)
		}
		conds = append(conds, "q.hour IN ("+strings.Join(list, ", ")+")")
	}
	if len(conds) > 0 {
		b.WriteString(" WHERE " + strings.Join(conds, " AND "))
	}
	return b.String()
}

// wanted spells the condition that a row lies in one of the partitions.
func (s *statement) wanted(columns []string) string {
	nulls, match, names, types := make([]string, len(columns)), make([]string, len(columns)), make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		nulls[i] = "q." + query.Ident(c) + " IS NULL"
		names[i] = fmt.Sprintf("c%d", i)
		match[i] = fmt.Sprintf("q.%s = w.c%d", query.Ident(c), i)
		at := slices.IndexFunc(s.cols, func(col lake.Column) bool { return col.Name == c })
		types[i] = s.cols[at].Type
	}
	rows := make([]string, len(s.q.Partitions))
	for i, p := range s.q.Partitions {
		values := make([]string, len(columns))
		for j, c := range columns {
			v, _ := p.Value(c)
			values[j] = "CAST(" + query.Quote(v) + " AS " + types[j] + ")"
		}
		rows[i] = "(" + strings.Join(values, ", ") + ")"
	}
	return strings.Join(nulls, " OR ") + " OR EXISTS (SELECT 1 FROM (VALUES " + strings.Join(rows, ", ") + ") AS w(" +
		strings.Join(names, ", ") + ") WHERE " + strings.Join(match, " AND ") + ")"
}

// write computes the query into a folder of its own beside the table's files,
// then gives each file its staging path.
func (s *statement) write(ctx context.Context) (files []lake.File, err error) {
	base, err := s.q.Staging("")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.q.Model.File, err)
	}
	dir := base + ".staging"
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%s: make staging folder: %w", s.q.Model.File, err)
	}
	written, err := s.copyTo(ctx, dir)
	if err != nil {
		return nil, err
	}
	staged := make([]lake.File, len(written))
	var g errgroup.Group
	g.SetLimit(settling)
	for i, w := range written {
		g.Go(func() (err error) {
			staged[i], err = s.settle(w)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		for _, f := range staged {
			_ = os.Remove(f.Path)
		}
		return nil, fmt.Errorf("%s: stage file: %w", s.q.Model.File, err)
	}
	slices.SortFunc(staged, func(a, b lake.File) int { return strings.Compare(string(a.Partition), string(b.Partition)) })
	return slices.DeleteFunc(staged, func(f lake.File) bool { return f.Rows == 0 }), nil
}

// settling is how many files are made durable at once: each waits for the disk,
// and a file system answers many with one write of its journal.
const settling = 16

// settle moves a written file to its staging path and makes it durable.
func (s *statement) settle(w lake.File) (lake.File, error) {
	if w.Rows == 0 {
		return w, nil
	}
	path, err := s.q.Staging(w.Partition)
	if err != nil {
		return w, err
	}
	if err := os.Rename(w.Path, path); err != nil {
		return w, err
	}
	w.Path = path
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return w, err
	}
	return w, errors.Join(f.Sync(), f.Close())
}

// order sorts rows by partition and key. DuckDB leaves their order open, even on
// one thread; in order they make the same file each time, and writing sorted
// partitions, one open file after the other, pays for it.
func (s *statement) order() string {
	var by []string
	for _, name := range slices.Concat(s.q.Model.Partition, s.q.Model.Key) {
		made := slices.ContainsFunc(s.cols, func(c lake.Column) bool { return c.Name == name }) // the caller reports others
		if made && !slices.Contains(by, name) {
			by = append(by, name)
		}
	}
	if len(by) == 0 {
		return ""
	}
	return " ORDER BY " + idents(by)
}

// copyTo runs the query. One partition, or none, is one file; more are parted
// by DuckDB as it writes.
func (s *statement) copyTo(ctx context.Context, dir string) (files []lake.File, err error) {
	parts := s.q.Model.Partition
	single := len(parts) == 0 || len(s.q.Partitions) == 1
	text, target, options := s.text()+s.order(), dir, copyOptions
	if single {
		target = filepath.Join(dir, "one.parquet")
	} else {
		options += ", PARTITION_BY (" + idents(parts) + "), WRITE_PARTITION_COLUMNS true"
	}
	rows, err := s.db.QueryContext(ctx, "COPY ("+text+") TO "+query.Quote(target)+" ("+options+")")
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		f, err := s.scanFile(ctx, rows)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if err := rows.Err(); err != nil {
		return nil, s.fault(ctx, err)
	}
	return files, nil
}

// scanFile reads one row of COPY's RETURN_STATS.
func (s *statement) scanFile(ctx context.Context, rows *sql.Rows) (lake.File, error) {
	var f lake.File
	var count, size, footer uint64
	var stats, keys any
	if err := rows.Scan(&f.Path, &count, &size, &footer, &stats, &keys); err != nil {
		return f, s.fault(ctx, err)
	}
	f.Rows, f.Bytes = int64(count), int64(size)
	pairs := make([]string, 0, 2*len(s.q.Model.Partition))
	for _, c := range s.q.Model.Partition {
		value, null := partitionKey(keys, c)
		if len(s.q.Partitions) == 1 {
			value, _ = s.q.Partitions[0].Value(c)
			null = hasNull(stats, c)
		}
		if null && f.Rows > 0 {
			return f, feedlake.Hint(fmt.Errorf("%s: rows without a value in partition column %s: %w", s.q.Model.File, c, feedlake.ErrRejected),
				"give %s a value in every row of the SELECT, or leave these rows out", c)
		}
		pairs = append(pairs, c, value)
	}
	f.Partition = lake.MakePartition(pairs...)
	return f, nil
}

// partitionKey reads a file's value of a partition column.
func partitionKey(keys any, name string) (value string, null bool) {
	v, ok := lookUp(keys, name)
	text, isText := v.(string)
	return text, !ok || !isText
}

// hasNull reads a column's null count from a file's statistics.
func hasNull(stats any, name string) bool {
	column, ok := lookUp(stats, query.Ident(name))
	if !ok {
		return false
	}
	n, _ := lookUp(column, "null_count")
	return n != "0"
}

// lookUp finds a key of a MAP value.
func lookUp(m any, key string) (any, bool) {
	om, ok := m.(duck.OrderedMap)
	if !ok {
		return nil, false
	}
	return om.Get(key)
}

// fault gives an error of DuckDB the model's file and, where DuckDB names a
// line, the line.
func (s *statement) fault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", s.q.Model.File, ctx.Err())
	}
	var de *duck.Error
	if !errors.As(err, &de) {
		return fmt.Errorf("%s: run SQL: %w", s.q.Model.File, err)
	}
	msg, where, _ := strings.Cut(de.Msg, "\n\nLINE ")
	at := s.q.Model.File
	if m := regexp.MustCompile(`^(\d+):`).FindStringSubmatch(where); m != nil {
		if n, cerr := strconv.Atoi(m[1]); cerr == nil && n > 1 {
			at = fmt.Sprintf("%s:%d", at, s.q.Model.Line+n-2)
		}
	}
	msg = strings.ReplaceAll(strings.TrimSpace(msg), "\n", " ")
	if strings.Contains(msg, "No space left") {
		return feedlake.Hint(fmt.Errorf("%s: %w", at, err), "the disk is full: free space, then run again; nothing is lost")
	}
	switch de.Type {
	case duck.ErrorTypeParser, duck.ErrorTypeSyntax, duck.ErrorTypeBinder, duck.ErrorTypeCatalog:
		return fmt.Errorf("%s: %s: %w", at, msg, feedlake.ErrConfig)
	case duck.ErrorTypeOutOfMemory:
		return feedlake.Hint(fmt.Errorf("%s: %w", at, err), "give the engine more memory or a folder to spill to")
	default:
		return fmt.Errorf("%s: %w", at, err)
	}
}

func idents(cols []string) string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = query.Ident(c)
	}
	return strings.Join(out, ", ")
}
