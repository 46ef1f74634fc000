package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake"
)

// parquetReader reads any Parquet file as JSON records, row by row. Its place is
// a row; the digest is the whole file's, as a place in it has no bytes before it.
type parquetReader struct {
	rec    records
	raw    randomFile
	file   *parquet.File
	digest uint64
	row    int64
	end    int64
	fault  string // why no row can be read
	bytes  atomic.Int64
	size   int64

	group  int   // row group being read
	left   int64 // rows of it
	damage error // why its rows cannot be read
	rows   parquet.Rows
	buf    []parquet.Row
	out    []byte
	shape  *parquetNode
}

func (s *source) openParquet(ctx context.Context, o object, e entry, rec records) (*openFile, error) {
	if k := s.cfg.kindOf(o.name); k.pack != packNone {
		return nil, feedlake.Hint(fmt.Errorf("read %s: Parquet packed as %s: %w", o.name, k.pack, feedlake.ErrConfig), "unpack it first: Parquet is compressed inside")
	}
	raw, err := s.store.random(ctx, o)
	if err != nil {
		return nil, err
	}
	r := &parquetReader{rec: rec, raw: raw, buf: make([]parquet.Row, 64)}
	if err := r.open(ctx, e); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	closeAll := func() error {
		r.closeRows()
		return raw.Close()
	}
	return &openFile{object: o, reader: r, read: r.bytes.Load, close: closeAll}, nil
}

// open reads the file once for its digest, and its footer.
func (r *parquetReader) open(ctx context.Context, e entry) error {
	h := xxhash.New()
	n, err := io.Copy(h, contextReader{ctx, r.raw})
	if err != nil {
		return fmt.Errorf("read %s: %w", r.rec.file, err)
	}
	r.size, r.digest = n, narrow(h.Sum64())
	if e.offset > 0 && e.digest != r.digest {
		return errReplaced
	}
	if n == 0 {
		return nil
	}
	err = guarded(func() (err error) {
		if err := footerFault(r.raw, n); err != nil {
			return err
		}
		if r.file, err = parquet.OpenFile(r.raw, n, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true)); err != nil {
			return err
		}
		r.shape, r.fault = parquetShape(r.file.Root()), r.columnFault()
		r.end, err = countRows(r.file.RowGroups())
		return err
	})
	if err != nil {
		r.fault = fmt.Sprintf("file is no whole Parquet file: %v", err)
		return nil
	}
	return r.seek(e.offset)
}

// countRows adds up the rows of all groups.
func countRows(groups []parquet.RowGroup) (n int64, err error) {
	for i, g := range groups {
		rows := g.NumRows()
		if rows > math.MaxInt64-n {
			return 0, fmt.Errorf("row group %d has %d rows", i, rows)
		}
		n += rows
	}
	return n, nil
}

// seek goes to a row.
func (r *parquetReader) seek(row int64) error {
	if row > r.end {
		return errReplaced
	}
	r.row = row
	for r.group = 0; r.group < len(r.file.RowGroups()); r.group++ {
		n := r.file.RowGroups()[r.group].NumRows()
		if row < n {
			r.openGroup(row)
			return nil
		}
		row -= n
	}
	return nil
}

// openGroup begins a row group, once its pages are found to be sound.
func (r *parquetReader) openGroup(row int64) {
	g := r.file.RowGroups()[r.group]
	r.left = g.NumRows() - row
	r.damage = guarded(func() error {
		all := r.file.Metadata().RowGroups
		if err := groupFault(r.raw, r.size, r.file.Schema(), &all[0], &all[r.group]); err != nil {
			return err
		}
		r.rows = g.Rows()
		if row == 0 {
			return nil
		}
		return r.rows.SeekToRow(row)
	})
}

// columnFault says why the mapping cannot work with the columns.
func (r *parquetReader) columnFault() string {
	var names []string
	for _, f := range r.file.Root().Columns() {
		names = append(names, f.Name())
	}
	for _, path := range slices.Sorted(maps.Keys(r.rec.paths)) {
		column := r.rec.paths[path]
		top, _, _ := strings.Cut(path, ".") // a path into a group, unless the name itself has a dot
		if (column == "id" || column == "created_at") && !slices.Contains(names, top) && !slices.Contains(names, strings.ReplaceAll(path, `\.`, ".")) {
			return fmt.Sprintf("file has no column %q for %s; its columns: %s", path, column, strings.Join(names, ", "))
		}
	}
	return ""
}

func (r *parquetReader) place() (offset int64, digest uint64) { return r.row, r.digest }

func (r *parquetReader) at() string { return fmt.Sprintf("%s:%d", r.rec.file, r.row+1) }

func (r *parquetReader) read(ctx context.Context, p *page) error {
	if r.fault != "" {
		r.rec.reject(p, r.fault+"; no record of the file can be read", "", r.at())
		return io.EOF
	}
	for !p.full() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.file == nil || r.group >= len(r.file.RowGroups()) { // no file: it is empty
			return io.EOF
		}
		r.some(p)
		r.bytes.Store(int64(float64(r.size) * float64(r.row) / float64(max(r.end, 1))))
	}
	return nil
}

// some reads a few rows, or goes on to the next row group. A row group that
// cannot be read costs its remaining rows and one reject.
func (r *parquetReader) some(p *page) {
	n, err := 0, r.damage
	if err == nil && r.left > 0 {
		err = guarded(func() (err error) {
			n, err = r.rows.ReadRows(r.buf[:min(int64(len(r.buf)), r.left)])
			return err
		})
	}
	r.emit(p, r.buf[:n])
	r.left -= int64(n)
	if r.left > 0 {
		if err == nil && n > 0 {
			return
		}
		r.rec.reject(p, fmt.Sprintf("row group %d is damaged, its last %d rows are lost: %v", r.group, r.left, cmp.Or(err, io.ErrUnexpectedEOF)), "", r.at())
		r.row += r.left
	}
	r.closeRows()
	if r.group++; r.group < len(r.file.RowGroups()) {
		r.openGroup(0)
	}
}

// closeRows gives the rows back. Nothing was written: an error loses nothing.
func (r *parquetReader) closeRows() {
	if r.rows != nil {
		_ = guarded(r.rows.Close)
		r.rows = nil
	}
}

// emit adds rows as JSON records, parts of one copy.
func (r *parquetReader) emit(p *page, rows []parquet.Row) {
	r.out = r.out[:0]
	ends, faults := make([]int, 0, len(r.buf)), make([]error, len(rows))
	for i, row := range rows {
		faults[i] = guarded(func() error {
			r.out = r.shape.append(r.out, row)
			return nil
		})
		ends = append(ends, len(r.out))
	}
	text, from := string(r.out), 0
	for i, to := range ends {
		if faults[i] != nil {
			r.rec.reject(p, "row cannot be read: "+faults[i].Error(), "", r.at())
		} else {
			r.rec.land(p, text[from:to], r.at())
		}
		r.row++
		from = to
	}
}

// guarded turns a panic of the Parquet library, which a damaged file can cause,
// into an error.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged Parquet: %v", p)
		}
	}()
	return do()
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx context.Context //nolint:containedctx // lives for one copy
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
