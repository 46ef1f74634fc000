package decode

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/parquet-go/parquet-go"
)

// ParquetCutter reads any Parquet file as JSON records, row by row. Its place is
// a row.
type ParquetCutter struct {
	name  string
	rules *Rules
	raw   io.ReaderAt
	file  *parquet.File
	row   int64
	end   int64
	fault string // why no row can be read
	bytes atomic.Int64
	size  int64

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

// OpenParquet begins to cut a Parquet file of so many bytes at a row; see Open.
func OpenParquet(rules *Rules, name string, raw io.ReaderAt, size int64, maxRecord int, row int64) (*ParquetCutter, error) {
	r := &ParquetCutter{name: name, rules: rules, raw: raw, size: size, buf: make([]parquet.Row, rowsAtOnce), check: groupCheck{raw: raw, size: size}}
	if size == 0 {
		return r, nil
	}
	err := guarded(func() (err error) {
		if err := footerFault(raw, size); err != nil {
			return err
		}
		if r.file, err = parquet.OpenFile(raw, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true)); err != nil {
			return err
		}
		r.shape, r.fault = parquetShape(r.file.Root(), int64(maxRecord)), r.columnFault()
		r.end, err = countRows(r.file.RowGroups())
		return err
	})
	if err != nil {
		r.fault = fmt.Sprintf("file is no whole Parquet file: %v", err)
		return r, nil
	}
	return r, r.seek(row)
}

// Read is about how many bytes of the file were read.
func (r *ParquetCutter) Read() int64 { return r.bytes.Load() }

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
func (r *ParquetCutter) seek(row int64) error {
	if row > r.end {
		return ErrReplaced
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
func (r *ParquetCutter) openGroup(row int64) {
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
func (r *ParquetCutter) columnFault() string {
	var names []string
	for _, f := range r.file.Root().Columns() {
		names = append(names, f.Name())
	}
	for _, path := range slices.Sorted(maps.Keys(r.rules.paths(false))) {
		column := r.rules.paths(false)[path]
		top, _, _ := strings.Cut(path, ".") // a path into a group, unless the name itself has a dot
		if (column == "id" || column == "created_at") && !slices.Contains(names, top) && !slices.Contains(names, strings.ReplaceAll(path, `\.`, ".")) {
			return fmt.Sprintf(noColumn+" %q for %s; its columns: %s", path, column, strings.Join(names, ", "))
		}
	}
	return ""
}

// Place implements Cutter: a row.
func (r *ParquetCutter) Place() int64 { return r.row }

func (r *ParquetCutter) at() string { return rowPosition(r.name, r.row) }

func rowPosition(name string, row int64) string { return fmt.Sprintf("%s:%d", name, row+1) }

// Cut implements Cutter.
func (r *ParquetCutter) Cut(ctx context.Context, b *Block) error {
	if r.fault != "" {
		b.reject(r.fault+"; no record of the file can be read", "", r.at())
		return io.EOF
	}
	for b.empty() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.file == nil || len(r.ready) == 0 && r.group >= len(r.file.RowGroups()) { // no file: it is empty
			return io.EOF
		}
		r.block(b)
		r.bytes.Store(int64(float64(r.size) * float64(r.row) / float64(max(r.end, 1))))
	}
	return nil
}

// rowsAtMost bounds the rows of a block.
const rowsAtMost = 4096

// block puts rows into b as JSON, until that is long enough or something is to be
// rejected.
func (r *ParquetCutter) block(b *Block) {
	r.out = r.out[:0]
	form := rowForm{}
	for len(r.out) < jsonAtOnce && len(b.cuts) < rowsAtMost && len(b.rejects) == 0 && (len(r.ready) > 0 || r.more(b)) {
		r.emit(b, &form)
	}
	if len(b.cuts) > 0 {
		b.name, b.text, b.form, b.records = r.name, string(r.out), form, len(b.cuts)
	}
	if cap(r.out) > 4*jsonAtOnce {
		r.out, r.one = nil, nil
	}
}

// more makes rows ready. It reports that there are any.
func (r *ParquetCutter) more(b *Block) bool {
	for len(r.ready) == 0 && len(b.rejects) == 0 && r.group < len(r.file.RowGroups()) {
		r.some(b)
	}
	return len(r.ready) > 0
}

// some makes a few rows ready, or goes on to the next row group. A row group that
// cannot be read costs its remaining rows and one reject.
func (r *ParquetCutter) some(b *Block) {
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
		b.reject(fmt.Sprintf("row group %d is damaged, its last %d rows are lost: %v", r.group, r.left, cmp.Or(err, io.ErrUnexpectedEOF)), "", r.at())
		r.row += r.left
	}
	r.closeRows()
	if r.group++; r.group < len(r.file.RowGroups()) {
		r.openGroup(0)
	}
}

// Close lets go of what is being read, but not of the file.
func (r *ParquetCutter) Close() { r.closeRows() }

// closeRows gives the rows back. Nothing was written: an error loses nothing.
func (r *ParquetCutter) closeRows() {
	if r.rows != nil {
		_ = guarded(r.rows.Close)
		r.rows = nil
	}
}

// emit writes rows that are ready as JSON.
func (r *ParquetCutter) emit(b *Block, form *rowForm) {
	for len(r.ready) > 0 && len(r.out) < jsonAtOnce {
		from := len(r.out)
		err := guarded(func() error {
			r.one = r.shape.append(r.one[:0], r.ready[0])
			r.out = append(r.out, r.one...)
			return nil
		})
		if err != nil {
			form.fault(len(b.cuts), "row cannot be read: "+err.Error())
		}
		b.cuts = append(b.cuts, cut{from: from, to: len(r.out), offset: r.row})
		r.ready = r.ready[1:]
		r.row++
	}
}

// rowForm decodes rows.
type rowForm struct {
	faults map[int]string // why a row cannot be read, by its place in the block
}

func (f *rowForm) fault(row int, why string) {
	if f.faults == nil {
		f.faults = map[int]string{}
	}
	f.faults[row] = why
}

func (f rowForm) decode(d *Decoder, b *Block, p *Page) {
	for i, c := range b.cuts {
		at := func() string { return rowPosition(b.name, c.offset) }
		if why, bad := f.faults[i]; bad {
			p.reject(why, "", at())
			continue
		}
		d.mapped(p, b.text[c.from:c.to], b.name, false, at)
	}
}

// guarded turns a panic of the Parquet library, which a damaged file can cause,
// into an error.
func guarded(do func() error) (err error) {
	defer func() {
		p := recover()
		if over, ok := p.(*OverError); ok {
			err = over
		} else if p != nil {
			err = fmt.Errorf("damaged Parquet: %v", p)
		}
	}()
	return do()
}
