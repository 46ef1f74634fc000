package lake

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake"
)

// Defaults of CompactOptions.
const (
	DefaultTargetBytes = 128 << 20
	DefaultMinFiles    = 4
)

// Bounds of one compaction commit and of one file's sources.
const (
	compactBatch   = 64   // partitions a snapshot
	compactSources = 4096 // files that become one
	compactTries   = 5    // against writers that replace what was rewritten
)

// Rewriter writes the rows of files, all of them and nothing else, with these
// columns and types, as one new Parquet file out. A file that lacks a column
// gives NULL for it. It may leave a broken file behind when it fails.
type Rewriter func(ctx context.Context, cols []Column, in []File, out string) error

// CompactOptions says what Compact rewrites, and with what.
type CompactOptions struct {
	Tables      []string // none: all
	TargetBytes int64    // size of a full file; 0: DefaultTargetBytes
	MinFiles    int      // small files that a partition must have; 0: DefaultMinFiles
	RunID       string   // stands in the snapshots
	Rewrite     Rewriter // required without DryRun
	DryRun      bool     // only say what would be done
	// Sparing leaves a file alone that is larger than all smaller ones of its
	// partition together: a partition that grows is then rewritten in all as often as
	// its size doubles, and not with every call.
	Sparing bool
	// MaxBytes bounds what one call rewrites, those partitions first that have most
	// files; 0: no bound. What is over is left for the next time.
	MaxBytes int64
	Until    time.Time // no rewriting begins after it, by the lake's clock; zero: no bound
}

// CompactReport tells what Compact did, or would do.
type CompactReport struct {
	DryRun     bool                 `json:"dry_run"`
	Partitions []CompactedPartition `json:"partitions"`
}

// CompactedPartition is one partition of the report.
type CompactedPartition struct {
	Table       string    `json:"table"`
	Partition   Partition `json:"partition"`
	Rows        int64     `json:"rows"`
	FilesBefore int       `json:"files_before"` // small files
	FilesAfter  int       `json:"files_after"`  // that hold their rows
	BytesBefore int64     `json:"bytes_before"`
	BytesAfter  int64     `json:"bytes_after"` // 0 with DryRun
	Snapshot    int64     `json:"snapshot"`    // that holds the new files; 0 with DryRun or Skipped
	Skipped     bool      `json:"skipped"`     // a writer replaced the files meanwhile: next time
}

// Compact rewrites partitions that have many small files into few of about the
// target size. Rows, columns and types stay; the old files leave in the same
// snapshot as the new ones come, up to 64 partitions at once. Changed does not
// count it as a change.
//
// It works beside writers: what they append stays, and where they replaced a
// file that was rewritten, that partition is left for the next time. After a
// crash or an error the table reads the same; files that no snapshot names are
// left to Orphans. Another care operation at work is feedlake.ErrBusy.
func (l *Lake) Compact(ctx context.Context, o CompactOptions) (CompactReport, error) {
	o.TargetBytes = cmp.Or(o.TargetBytes, DefaultTargetBytes)
	o.MinFiles = max(2, cmp.Or(o.MinFiles, DefaultMinFiles))
	rep := CompactReport{DryRun: o.DryRun, Partitions: []CompactedPartition{}}
	if o.Rewrite == nil && !o.DryRun {
		return rep, fmt.Errorf("compact: no rewriter: %w", feedlake.ErrConfig)
	}
	left := o.MaxBytes
	err := l.carefulEach(ctx, "compact", o.Tables, func(name string) error {
		c := compaction{l: l, o: o, table: name, left: &left}
		err := c.run(ctx)
		rep.Partitions = append(rep.Partitions, c.done...)
		return err
	})
	return rep, err
}

// compaction is the work on one table.
type compaction struct {
	l     *Lake
	o     CompactOptions
	table string
	base  Snapshot
	cols  []Column
	done  []CompactedPartition
	left  *int64 // of CompactOptions.MaxBytes
}

// rewrite turns some files of a partition into one.
type rewrite struct {
	partition Partition
	in        []File
	out       File
}

func (c *compaction) run(ctx context.Context) error {
	t, err := c.l.load(ctx, c.table, c.l.catalog(nil))
	if err != nil {
		return err
	}
	if c.base = snapshotOf(t.CurrentSnapshot()); c.base.ID == 0 {
		return nil
	}
	files, err := c.l.filesOf(ctx, t, c.table, c.base.ID)
	if err != nil {
		return err
	}
	// After the files: a column that came between is NULL in all of them.
	if c.cols, err = c.l.Columns(ctx, c.table); err != nil {
		return err
	}
	plan := c.afford(planCompaction(files, c.o))
	if c.o.DryRun {
		c.report(plan, 0, false)
		return nil
	}
	for batch := range batches(plan, compactBatch) {
		if !c.o.Until.IsZero() && c.l.now().After(c.o.Until) {
			return nil
		}
		if err := c.batch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// afford keeps of a plan what CompactOptions.MaxBytes has left for it.
func (c *compaction) afford(plan []rewrite) []rewrite {
	if c.o.MaxBytes == 0 {
		return plan
	}
	slices.SortStableFunc(plan, func(a, b rewrite) int { return cmp.Compare(len(b.in), len(a.in)) })
	kept := plan[:0]
	for _, w := range plan {
		if size := bytesIn(w.in); size <= *c.left {
			kept, *c.left = append(kept, w), *c.left-size
		}
	}
	slices.SortStableFunc(kept, func(a, b rewrite) int { return cmp.Compare(a.partition, b.partition) })
	return kept
}

// spare takes away the files that are larger than all smaller ones together.
func spare(files []File) []File {
	bySize := slices.Clone(files)
	slices.SortStableFunc(bySize, func(a, b File) int { return cmp.Compare(a.Bytes, b.Bytes) })
	for rest := bytesIn(bySize); len(bySize) > 1; {
		last := bySize[len(bySize)-1].Bytes
		if rest -= last; last <= rest {
			break
		}
		bySize = bySize[:len(bySize)-1]
	}
	slices.SortFunc(bySize, compareFiles)
	return bySize
}

// planCompaction packs the small files of every partition that has enough of
// them. A file is small below three quarters of the target, so that what was
// packed is not packed again.
func planCompaction(files []File, o CompactOptions) []rewrite {
	small := map[Partition][]File{}
	for _, f := range files {
		if f.Bytes < o.TargetBytes/4*3 {
			small[f.Partition] = append(small[f.Partition], f)
		}
	}
	var plan []rewrite
	for _, p := range slices.Sorted(maps.Keys(small)) {
		if o.Sparing {
			small[p] = spare(small[p])
		}
		if len(small[p]) < o.MinFiles {
			continue
		}
		var group []File
		var size int64
		flush := func() {
			if len(group) > 1 {
				plan = append(plan, rewrite{partition: p, in: group})
			}
			group, size = nil, 0
		}
		for _, f := range small[p] {
			if len(group) == compactSources || (len(group) > 0 && size+f.Bytes > o.TargetBytes) {
				flush()
			}
			group, size = append(group, f), size+f.Bytes
		}
		flush()
	}
	return plan
}

// batches parts a plan by partitions.
func batches(plan []rewrite, n int) func(yield func([]rewrite) bool) {
	return func(yield func([]rewrite) bool) {
		for len(plan) > 0 {
			seen, end := 0, 0
			for end < len(plan) {
				if end == 0 || plan[end].partition != plan[end-1].partition {
					if seen++; seen > n {
						break
					}
				}
				end++
			}
			if !yield(plan[:end]) {
				return
			}
			plan = plan[end:]
		}
	}
}

// batch rewrites some partitions and lands them in one snapshot.
func (c *compaction) batch(ctx context.Context, work []rewrite) (err error) {
	made := 0
	for i := range work {
		if err = c.write(ctx, &work[i]); err != nil {
			break
		}
		made++
	}
	if err != nil {
		c.discard(work[:made])
		return err
	}
	return c.land(ctx, work)
}

// write makes the new file of a rewrite and counts its rows.
func (c *compaction) write(ctx context.Context, w *rewrite) (err error) {
	w.out = File{Partition: w.partition}
	if w.out.Path, err = c.l.NewPath(c.table, w.partition); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			removeQuietly(w.out.Path)
		}
	}()
	in, release, err := c.l.Local(ctx, w.in)
	if err != nil {
		return err
	}
	defer release()
	err = c.l.ic("create", w.out.Path, func() error { return c.o.Rewrite(ctx, c.cols, in, w.out.Path) })
	if err != nil {
		return feedlake.Hint(err, "is the disk full? free space, then run again: the table is as it was")
	}
	if err := c.l.ic("close", w.out.Path, func() error { return syncFile(w.out.Path) }); err != nil {
		return err
	}
	w.out.Rows, w.out.Bytes, err = footer(w.out.Path)
	if err != nil {
		return err
	}
	if want := rowsIn(w.in); w.out.Rows != want {
		return fmt.Errorf("rewrite partition %q: %d rows became %d: %w", w.partition, want, w.out.Rows, feedlake.ErrRejected)
	}
	return nil
}

// land commits the rewrites whose sources are all live, again without those
// that a writer replaced in the meantime.
func (c *compaction) land(ctx context.Context, work []rewrite) error {
	for range compactTries {
		if len(work) == 0 {
			return nil
		}
		s, err := c.commit(ctx, work)
		switch {
		case err == nil:
			c.report(work, s.ID, false)
			return nil
		case !errors.Is(err, feedlake.ErrConflict):
			return err // the files stay: the commit may have landed
		}
		kept, lost, err := c.alive(ctx, work)
		if err != nil {
			c.discard(work)
			return err
		}
		c.report(lost, 0, true)
		c.discard(lost)
		work = kept
	}
	c.report(work, 0, true)
	c.discard(work)
	return nil
}

func (c *compaction) commit(ctx context.Context, work []rewrite) (Snapshot, error) {
	commit := Commit{
		Table: c.table, ID: "compact " + rand.Text(), Base: c.base.ID,
		Summary: map[string]string{summaryCompacted: "true", SummaryRunID: c.o.RunID},
	}
	stillMadeBy(commit.Summary, c.base)
	for _, w := range work {
		commit.Add = append(commit.Add, w.out.Path)
		for _, f := range w.in {
			commit.Drop = append(commit.Drop, f.Path)
		}
	}
	return c.l.CommitOrAsk(ctx, commit)
}

// alive parts rewrites by whether all their sources are still live.
func (c *compaction) alive(ctx context.Context, work []rewrite) (kept, lost []rewrite, err error) {
	cur, err := c.l.Current(ctx, c.table)
	if err != nil {
		return nil, nil, err
	}
	files, err := c.l.Files(ctx, c.table, cur.ID)
	if err != nil {
		return nil, nil, err
	}
	live := map[string]bool{}
	for _, f := range files {
		live[f.Path] = true
	}
	for _, w := range work {
		if slices.ContainsFunc(w.in, func(f File) bool { return !live[f.Path] }) {
			lost = append(lost, w)
		} else {
			kept = append(kept, w)
		}
	}
	c.base = cur
	return kept, lost, nil
}

// discard removes new files that are sure to be in no snapshot.
func (c *compaction) discard(work []rewrite) {
	for _, w := range work {
		removeQuietly(w.out.Path)
	}
}

func (c *compaction) report(work []rewrite, snapshot int64, skipped bool) {
	for _, w := range work {
		n := len(c.done)
		if n == 0 || c.done[n-1].Partition != w.partition || c.done[n-1].Skipped != skipped {
			c.done = append(c.done, CompactedPartition{Table: c.table, Partition: w.partition, Snapshot: snapshot, Skipped: skipped})
			n++
		}
		p := &c.done[n-1]
		p.Rows += rowsIn(w.in)
		p.FilesBefore += len(w.in)
		p.FilesAfter++
		for _, f := range w.in {
			p.BytesBefore += f.Bytes
		}
		p.BytesAfter += w.out.Bytes
	}
}

func bytesIn(files []File) int64 {
	var n int64
	for _, f := range files {
		n += f.Bytes
	}
	return n
}

func rowsIn(files []File) int64 {
	var n int64
	for _, f := range files {
		n += f.Rows
	}
	return n
}

// syncFile makes a file that another writer closed durable.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// footer reads the rows and the size of a local Parquet file.
func footer(path string) (rows, size int64, err error) {
	err = withParquet(iceio.LocalFS{}, fileURL(path), func(p *parquet.File) error {
		rows, size = p.NumRows(), p.Size()
		return nil
	})
	return rows, size, err
}

// withFile opens a file and tells its size.
func withFile(fsys iceio.IO, location string, do func(f iceio.File, size int64) error) (err error) {
	f, err := fsys.Open(location)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return do(f, info.Size())
}

// withParquet opens a Parquet file's footer.
func withParquet(fsys iceio.IO, location string, do func(*parquet.File) error) error {
	return withFile(fsys, location, func(f iceio.File, size int64) error {
		if err := plausibleFooter(f, size); err != nil {
			return fmt.Errorf("read footer of %s: %w", localPath(location), err)
		}
		p, err := parquet.OpenFile(f, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
		if err != nil {
			return fmt.Errorf("read footer of %s: %w", localPath(location), err)
		}
		return do(p)
	})
}

// plausibleFooter looks at the length that a Parquet file says its footer has:
// parquet-go allocates as much as it is told.
func plausibleFooter(f io.ReaderAt, size int64) error {
	var tail [8]byte
	if _, err := f.ReadAt(tail[:], max(size-8, 0)); err != nil {
		return err
	}
	if n := int64(binary.LittleEndian.Uint32(tail[:])); n > size-8 {
		return fmt.Errorf("footer of %d bytes in a file of %d", n, size)
	}
	return nil
}
