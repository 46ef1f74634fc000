package transforms

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// sampleRows is how many failing rows a report shows.
const sampleRows = 5

// verifier runs checks over Parquet files, whichever engine wrote them: several
// at once, each on the thread that asks, but for those of many rows.
type verifier struct {
	lake    *lake.Lake
	threads int       // of one check at most
	temp    string    // where it may spill; "": it does not
	spill   string    // its own folder in temp
	db      *query.DB // opened by the first check

	opening sync.Mutex
	alone   sync.RWMutex // written: by a check that has DuckDB and all its threads for itself
}

// verifierMemory bounds the checks' own DuckDB; it spills beyond that.
const verifierMemory = "300MB"

// rowsPerThread is how many rows make another thread worth its while: a DuckDB
// thread without work polls.
const rowsPerThread = 500_000

// open starts DuckDB, and fits its threads to the rows to be read until done is
// called.
func (v *verifier) open(ctx context.Context, rows int64) (db *sql.DB, done func() error, err error) {
	if err := v.start(ctx); err != nil {
		return nil, nil, fmt.Errorf("open checks: %w", err)
	}
	db = v.db.SQL()
	threads := min(1+rows/rowsPerThread, int64(v.threads))
	if threads == 1 {
		v.alone.RLock()
		return db, func() error { v.alone.RUnlock(); return nil }, nil
	}
	v.alone.Lock()
	set := func(ctx context.Context, n int64) error {
		_, err := db.ExecContext(ctx, fmt.Sprintf("SET threads = %d", n))
		return err
	}
	if err := set(ctx, threads); err != nil {
		v.alone.Unlock()
		return nil, nil, err
	}
	return db, func() error {
		defer v.alone.Unlock()
		return set(context.WithoutCancel(ctx), 1)
	}, nil
}

func (v *verifier) start(ctx context.Context) (err error) {
	v.opening.Lock()
	defer v.opening.Unlock()
	if v.db == nil {
		v.db, v.spill, err = openSpilling(context.WithoutCancel(ctx), v.temp, "checks-", verifierMemory, 1)
	}
	return err
}

func (v *verifier) close() error {
	var err error
	if v.db != nil {
		err = v.db.Close()
	}
	return errors.Join(err, os.RemoveAll(v.spill))
}

// openSpilling opens a DuckDB with a memory limit beyond which it spills to a folder
// of its own in temp, which its user removes; without temp it does not spill.
func openSpilling(ctx context.Context, temp, prefix, memory string, threads int) (db *query.DB, spill string, err error) {
	if temp != "" {
		if err := os.MkdirAll(temp, 0o755); err != nil {
			return nil, "", err
		}
		if spill, err = os.MkdirTemp(temp, prefix); err != nil {
			return nil, "", err
		}
	}
	if db, err = query.Open(ctx, query.Options{Memory: memory, Threads: threads, TempDir: spill}); err != nil {
		return nil, "", errors.Join(err, os.RemoveAll(spill))
	}
	return db, spill, nil
}

// check runs the model's checks over staged files and returns what failed, by
// partition and check. emptied are partitions that get no row: only row counts
// can be asked of them. had counts the rows that stay beside the staged ones.
func (v *verifier) check(ctx context.Context, m *Model, out Output, emptied []lake.Partition, had map[lake.Partition]int64) ([]CheckFailure, error) {
	checks := blocking(m)
	if len(checks) == 0 {
		return nil, nil
	}
	var failures []CheckFailure
	for _, p := range emptied {
		failures = append(failures, failedRows(checks, p, had[p])...)
	}
	if len(out.Files) > 0 {
		found, err := v.scan(ctx, m, checks, out, had)
		if err != nil {
			return nil, fmt.Errorf("check %s: %w", m.Name, err)
		}
		failures = append(failures, found...)
	}
	slices.SortStableFunc(failures, func(a, b CheckFailure) int { return cmp.Compare(a.Partition, b.Partition) })
	return failures, nil
}

// blocking lists the checks that can hold a partition back.
func blocking(m *Model) []Check {
	return slices.DeleteFunc(slices.Clone(m.Checks), func(c Check) bool { return c.Kind == Fresh })
}

// failedRows applies the row count checks.
func failedRows(checks []Check, p lake.Partition, rows int64) (out []CheckFailure) {
	for _, c := range checks {
		if c.Kind == Rows && (float64(rows) < c.Min || float64(rows) > c.Max) {
			out = append(out, CheckFailure{Check: c.Text, Partition: p, Count: rows})
		}
	}
	return out
}

// scan runs the checks over all files at once, and by partition only when
// something is at fault.
func (v *verifier) scan(ctx context.Context, m *Model, checks []Check, out Output, had map[lake.Partition]int64) (_ []CheckFailure, err error) {
	db, done, err := v.open(ctx, out.Rows)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	var release func()
	if out.Files, release, err = v.lake.Local(ctx, out.Files); err != nil {
		return nil, err
	}
	defer release()
	failures := countRows(checks, out.Files, had)
	sound, err := v.sound(ctx, db, m, checks, out)
	if err != nil || sound {
		return failures, err
	}
	found, err := byPartition(ctx, db, m, checks, out)
	if err != nil {
		return nil, err
	}
	return v.sample(ctx, m, checks, out, append(failures, found...))
}

// byPartition counts the rows at fault of each partition and check.
func byPartition(ctx context.Context, db *sql.DB, m *Model, checks []Check, out Output) (failures []CheckFailure, err error) {
	columns := make([]string, 0, len(m.Partition)+len(checks))
	for _, c := range idents(m.Partition) {
		columns = append(columns, "CAST("+c+" AS VARCHAR)")
	}
	for i := range checks {
		columns = append(columns, fmt.Sprintf("n%d", i))
	}
	group := ""
	if len(m.Partition) > 0 {
		group = " GROUP BY ALL"
	}
	rows, err := db.QueryContext(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM (SELECT "+
		strings.Join(slices.Concat(idents(m.Partition), measured(nil, checks)), ", ")+" FROM ("+query.Select(out.Columns, out.Files)+")"+group+")")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		parts, counts, err := scanCounts(rows, len(m.Partition), len(checks))
		if err != nil {
			return nil, err
		}
		for i, c := range checks {
			if counts[i] > 0 {
				failures = append(failures, CheckFailure{Check: c.Text, Partition: partitionOf(m, parts), Count: counts[i]})
			}
		}
	}
	return failures, rows.Err()
}

// sound asks once for all partitions: nearly always the answer is yes, and it
// costs half of asking partition by partition. A repeated key shows as fewer
// distinct hashes of partition and key than rows.
func (v *verifier) sound(ctx context.Context, db *sql.DB, m *Model, checks []Check, out Output) (bool, error) {
	text := "SELECT " + strings.Join(measured(m.Partition, checks), ", ") + " FROM (" + query.Select(out.Columns, out.Files) + ")"
	counts := make([]int64, len(checks))
	to := make([]any, len(checks))
	for i := range counts {
		to[i] = &counts[i]
	}
	if err := db.QueryRowContext(ctx, text).Scan(to...); err != nil {
		return false, err
	}
	return !slices.ContainsFunc(counts, func(n int64) bool { return n > 0 }), nil
}

// countRows applies the row count checks to the partitions that have files.
func countRows(checks []Check, files []lake.File, had map[lake.Partition]int64) (out []CheckFailure) {
	rows := map[lake.Partition]int64{}
	for _, f := range files {
		rows[f.Partition] += f.Rows
	}
	for p, n := range rows {
		out = append(out, failedRows(checks, p, had[p]+n)...)
	}
	return out
}

// measured spells what each check counts: rows at fault, of Unique perhaps too
// many when two hashes collide. within are columns that belong to every key.
func measured(within []string, checks []Check) []string {
	out := make([]string, len(checks))
	for i, c := range checks {
		out[i] = "0"
		switch c.Kind {
		case Unique:
			key := slices.Concat(within, c.Columns)
			out[i] = "count(*) - count(DISTINCT hash(" + strings.Join(idents(key), ", ") + "))"
		case NotNull, Accepted, Range:
			out[i] = "count(CASE WHEN " + c.violated() + " THEN 1 END)"
		case Rows, Fresh:
		}
		out[i] += fmt.Sprintf(" AS n%d", i)
	}
	return out
}

func scanCounts(rows *sql.Rows, parts, counts int) ([]string, []int64, error) {
	p, n := make([]string, parts), make([]int64, counts)
	to := make([]any, 0, parts+counts)
	for i := range p {
		to = append(to, &p[i])
	}
	for i := range n {
		to = append(to, &n[i])
	}
	return p, n, rows.Scan(to...)
}

// sample adds the keys of failing rows, and drops what only a hash collision
// brought up.
func (v *verifier) sample(ctx context.Context, m *Model, checks []Check, out Output, failures []CheckFailure) ([]CheckFailure, error) {
	kept := failures[:0]
	for _, f := range failures {
		c := checks[slices.IndexFunc(checks, func(c Check) bool { return c.Text == f.Check })]
		if c.Kind == Rows {
			kept = append(kept, f)
			continue
		}
		files := slices.DeleteFunc(slices.Clone(out.Files), func(o lake.File) bool { return o.Partition != f.Partition })
		from := query.Select(out.Columns, files)
		var err error
		if c.Kind == Unique {
			f.Count, f.Rows, err = v.repeated(ctx, &c, from)
		} else {
			f.Rows, err = v.keys(ctx, m.Key, "SELECT "+keySelect(m.Key)+" FROM ("+from+") WHERE "+c.violated())
		}
		if err != nil {
			return nil, err
		}
		if f.Count > 0 {
			kept = append(kept, f)
		}
	}
	return kept, nil
}

// repeated compares keys: the rows beyond the first of each key.
func (v *verifier) repeated(ctx context.Context, c *Check, from string) (int64, []string, error) {
	cols := strings.Join(idents(c.Columns), ", ")
	groups := "SELECT " + cols + ", count(*) AS n FROM (" + from + ") GROUP BY " + cols + " HAVING count(*) > 1"
	var count int64
	err := v.db.SQL().QueryRowContext(ctx, "SELECT CAST(coalesce(sum(n - 1), 0) AS BIGINT) FROM ("+groups+")").Scan(&count)
	if err != nil || count == 0 {
		return 0, nil, err
	}
	rows, err := v.keys(ctx, c.Columns, "SELECT "+keySelect(c.Columns)+" FROM ("+groups+")")
	return count, rows, err
}

// keys reads up to sampleRows rows of text columns as "column=value".
func (v *verifier) keys(ctx context.Context, names []string, text string) (out []string, err error) {
	rows, err := v.db.SQL().QueryContext(ctx, text+fmt.Sprintf(" ORDER BY ALL LIMIT %d", sampleRows))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		to := make([]any, len(names))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		parts := make([]string, len(names))
		for i, n := range names {
			parts[i] = n + "=NULL"
			if values[i].Valid {
				parts[i] = n + "=" + values[i].String
			}
		}
		out = append(out, strings.Join(parts, " "))
	}
	return out, rows.Err()
}

// fresh says which fresh checks the newest files do not pass.
func (v *verifier) fresh(ctx context.Context, m *Model, cols []lake.Column, files []lake.File, now time.Time) ([]string, error) {
	var warnings []string
	for _, c := range m.Checks {
		if c.Kind != Fresh || len(files) == 0 {
			continue
		}
		newest, err := v.newest(ctx, c.Columns[0], cols, files)
		if err != nil {
			return nil, fmt.Errorf("check %s: %s: %w", m.Name, c.Text, err)
		}
		if age := now.Sub(newest.Time); newest.Valid && age > c.Age {
			warnings = append(warnings, fmt.Sprintf("check %s: the newest %s is %s, %s old",
				c.Text, c.Columns[0], newest.Time.UTC().Format(time.RFC3339), age.Round(time.Minute)))
		}
	}
	return warnings, nil
}

// newest reads the greatest value of a column of instants.
func (v *verifier) newest(ctx context.Context, column string, cols []lake.Column, files []lake.File) (at sql.NullTime, err error) {
	db, done, err := v.open(ctx, 0)
	if err != nil {
		return at, err
	}
	defer func() { err = errors.Join(err, done()) }()
	local, release, err := v.lake.Local(ctx, newestFiles(files))
	if err != nil {
		return at, err
	}
	defer release()
	text := fmt.Sprintf("SELECT CAST(max(%s) AS TIMESTAMPTZ) FROM (%s)", query.Ident(column), query.Select(cols, local))
	err = db.QueryRowContext(ctx, text).Scan(&at)
	return at, err
}

// newestFiles keeps the files of the last day, where there are days.
func newestFiles(files []lake.File) []lake.File {
	last := ""
	for _, f := range files {
		day, _ := f.Partition.Value(dayColumn)
		last = max(last, day)
	}
	return slices.DeleteFunc(slices.Clone(files), func(f lake.File) bool {
		day, _ := f.Partition.Value(dayColumn)
		return day != last
	})
}

func partitionOf(m *Model, values []string) lake.Partition {
	pairs := make([]string, 0, 2*len(values))
	for i, c := range m.Partition {
		pairs = append(pairs, c, values[i])
	}
	return lake.MakePartition(pairs...)
}

func keySelect(cols []string) string {
	out := idents(cols)
	for i := range out {
		out[i] = "CAST(" + out[i] + " AS VARCHAR)"
	}
	return strings.Join(out, ", ")
}

func idents(cols []string) []string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = query.Ident(c)
	}
	return out
}
