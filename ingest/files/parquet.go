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
	left   int64 // rows of it that were not read yet
	damage error // why its rows cannot be read
	check  groupCheck
	rows   parquet.Rows
	buf    []parquet.Row
	ready  []parquet.Row // of buf: rows that were read and are not in a page yet
	one    []byte        // JSON of a row
	out    []byte
	shape  *parquetNode
}

// Bounds of what is put together at once: rows that the library reads, values in
// them, and bytes of JSON.
const (
	rowsAtOnce   = 64
	valuesAtOnce = 64 << 10
	jsonAtOnce   = 512 << 10
)

func (s *source) openParquet(ctx context.Context, o object, e entry, rec records) (*openFile, error) {
	if k := s.cfg.kindOf(o.name); k.pack != packNone {
		return nil, feedlake.Hint(fmt.Errorf("read %s: Parquet packed as %s: %w", o.name, k.pack, feedlake.ErrConfig), "unpack it first: Parquet is compressed inside")
	}
	raw, err := s.archives.random(ctx, o)
	if err != nil {
		return nil, err
	}
	r := &parquetReader{rec: rec, raw: raw, buf: make([]parquet.Row, rowsAtOnce), check: groupCheck{raw: raw, bounds: s.cfg.bounds()}}
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
	r.size, r.digest, r.check.size = n, narrow(h.Sum64()), n
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
		r.shape, r.fault = parquetShape(r.file.Root(), r.check.bounds.record), r.columnFault()
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
		if err := r.check.fault(r.file.Schema(), &all[0], &all[r.group]); err != nil {
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
			return fmt.Sprintf(noColumn+" %q for %s; its columns: %s", path, column, strings.Join(names, ", "))
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
		switch {
		case len(r.ready) > 0:
			r.emit(p)
		case r.file == nil || r.group >= len(r.file.RowGroups()): // no file: it is empty
			return io.EOF
		default:
			r.some(p)
		}
		r.bytes.Store(int64(float64(r.size) * float64(r.row) / float64(max(r.end, 1))))
	}
	return nil
}

// some makes a few rows ready, or goes on to the next row group. A row group that
// cannot be read costs its remaining rows and one reject.
func (r *parquetReader) some(p *page) {
	n, err := 0, r.damage
	if err == nil && r.left > 0 {
		most := min(rowsAtOnce, max(1, valuesAtOnce/r.check.longest), r.left)
		err = guarded(func() (err error) {
			n, err = r.rows.ReadRows(r.buf[:most])
			return err
		})
	}
	if r.ready = r.buf[:n]; n > 0 {
		r.left -= int64(n)
		r.damage = err
		return
	}
	if r.left > 0 {
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

// emit adds rows as JSON records, parts of one copy, and stops where that is long
// enough.
func (r *parquetReader) emit(p *page) {
	r.out = r.out[:0]
	ends, faults := make([]int, 0, len(r.ready)), make([]error, 0, len(r.ready))
	for len(r.ready) > 0 && len(r.out) < jsonAtOnce {
		err := guarded(func() error {
			r.one = r.shape.append(r.one[:0], r.ready[0])
			r.out = append(r.out, r.one...)
			return nil
		})
		ends, faults, r.ready = append(ends, len(r.out)), append(faults, err), r.ready[1:]
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
	if cap(r.out) > 4*jsonAtOnce {
		r.out, r.one = nil, nil
	}
}

// guarded turns a panic of the Parquet library, which a damaged file can cause,
// into an error.
func guarded(do func() error) (err error) {
	defer func() {
		p := recover()
		if over, ok := p.(*overError); ok {
			err = over
		} else if p != nil {
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
