package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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
	file   *parquet.File
	digest uint64
	row    int64
	end    int64
	fault  string // why no row can be read
	bytes  atomic.Int64
	size   int64

	group int // row group being read
	left  int64
	rows  parquet.Rows
	buf   []parquet.Row
	out   []byte
	shape *parquetNode
}

func (s *source) openParquet(ctx context.Context, o object, e entry, rec records) (*openFile, error) {
	if k := s.cfg.kindOf(o.name); k.pack != packNone {
		return nil, feedlake.Hint(fmt.Errorf("read %s: Parquet packed as %s: %w", o.name, k.pack, feedlake.ErrConfig), "unpack it first: Parquet is compressed inside")
	}
	raw, err := s.store.random(ctx, o)
	if err != nil {
		return nil, err
	}
	r := &parquetReader{rec: rec, buf: make([]parquet.Row, 64)}
	if err := r.open(ctx, raw, e); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	closeAll := func() error {
		if r.rows != nil {
			return errors.Join(r.rows.Close(), raw.Close())
		}
		return raw.Close()
	}
	return &openFile{object: o, reader: r, read: r.bytes.Load, close: closeAll}, nil
}

// open reads the file once for its digest, and its footer.
func (r *parquetReader) open(ctx context.Context, raw randomFile, e entry) error {
	h := xxhash.New()
	n, err := io.Copy(h, contextReader{ctx, raw})
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
		r.file, err = parquet.OpenFile(raw, n, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
		return err
	})
	if err != nil {
		r.fault = fmt.Sprintf("file is no whole Parquet file: %v", err)
		return nil
	}
	r.end = r.file.NumRows()
	r.shape = parquetShape(r.file.Root())
	r.fault = r.columnFault()
	return r.seek(e.offset)
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
			return r.openGroup(row)
		}
		row -= n
	}
	return nil
}

func (r *parquetReader) openGroup(row int64) error {
	g := r.file.RowGroups()[r.group]
	r.rows, r.left = g.Rows(), g.NumRows()-row
	if row == 0 {
		return nil
	}
	return guarded(func() error { return r.rows.SeekToRow(row) })
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
		if r.rows == nil {
			return io.EOF
		}
		if err := r.some(p); err != nil {
			return err
		}
		r.bytes.Store(int64(float64(r.size) * float64(r.row) / float64(max(r.end, 1))))
	}
	return nil
}

// some reads a few rows, or goes on to the next row group. A row group that
// cannot be read costs its remaining rows and one reject.
func (r *parquetReader) some(p *page) error {
	n := 0
	err := guarded(func() (err error) {
		n, err = r.rows.ReadRows(r.buf[:min(int64(len(r.buf)), max(r.left, 1))])
		return err
	})
	r.emit(p, r.buf[:n])
	r.left -= int64(n)
	switch {
	case r.left > 0 && err == nil && n > 0:
		return nil
	case r.left > 0:
		r.rec.reject(p, fmt.Sprintf("row group %d is damaged, its last %d rows are lost: %v", r.group, r.left, err), "", r.at())
		r.row += r.left
	}
	closing := guarded(r.rows.Close)
	r.rows = nil
	if r.group++; r.group < len(r.file.RowGroups()) {
		return r.openGroup(0)
	}
	return closing
}

// emit adds rows as JSON records, parts of one copy.
func (r *parquetReader) emit(p *page, rows []parquet.Row) {
	r.out = r.out[:0]
	ends := make([]int, 0, len(r.buf))
	for _, row := range rows {
		r.out = r.shape.append(r.out, row)
		ends = append(ends, len(r.out))
	}
	text, from := string(r.out), 0
	for _, to := range ends {
		if reason := r.rec.decode(p, text[from:to]); reason != "" {
			r.rec.reject(p, reason, text[from:to], r.at())
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
