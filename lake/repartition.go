package lake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/feedlake/feedlake"
)

// Splitter writes the rows of files, all of them and nothing else, with these
// columns and types, as new files of the partitions that by (as in Spec.Partition)
// makes of them. path gives the place of a partition's file.
type Splitter func(ctx context.Context, cols []Column, in []File, by []string, path func(Partition) (string, error)) ([]string, error)

// Repartition makes a table of an older version of this program partitioned as s
// says, with its rows, in one commit, and reports whether it was another way. Changed
// counts it as no change. A snapshot from before cannot be restored any more, but be
// read. Two that do it at once leave what one of them made.
func (l *Lake) Repartition(ctx context.Context, s Spec, split Splitter) (done bool, err error) {
	t, err := l.load(ctx, s.Name, l.catalog(nil))
	if errors.Is(err, feedlake.ErrNotFound) {
		return false, nil
	}
	if err != nil || slices.Equal(partitionNames(t.Spec()), namesOf(s.Partition)) {
		return false, err
	}
	err = l.repartition(ctx, t, s, split)
	if errors.Is(err, feedlake.ErrConflict) {
		if t, lerr := l.load(ctx, s.Name, l.catalog(nil)); lerr == nil && slices.Equal(partitionNames(t.Spec()), namesOf(s.Partition)) {
			return false, nil // another process was faster
		}
	}
	if err != nil {
		return false, fmt.Errorf("partition %s by %s: %w", s.Name, strings.Join(s.Partition, ", "), err)
	}
	return true, nil
}

func (l *Lake) repartition(ctx context.Context, t *table.Table, s Spec, split Splitter) (err error) {
	cur := snapshotOf(t.CurrentSnapshot())
	c := Commit{Table: s.Name, ReplaceAll: true, Base: cur.ID, Partition: s.Partition, Summary: map[string]string{summaryCompacted: "true"}}
	if cur.ID == 0 {
		_, err := l.Commit(ctx, c)
		return err
	}
	stillMadeBy(c.Summary, cur)
	if run := cur.Summary[SummaryRunID]; run != "" {
		c.Summary[SummaryRunID] = run
	}
	files, err := l.filesOf(ctx, t, s.Name, cur.ID)
	if err != nil {
		return err
	}
	cols, err := columnsOf(s.Name, t)
	if err != nil {
		return err
	}
	in, release, err := l.Local(ctx, files)
	if err != nil {
		return err
	}
	defer release()
	c.Add, err = split(ctx, cols, in, s.Partition, func(p Partition) (string, error) { return l.NewPath(s.Name, p) })
	if err == nil {
		err = sameRows(files, c.Add)
	}
	if err == nil {
		_, err = l.Commit(ctx, c)
	}
	if err != nil && !errors.Is(err, feedlake.ErrUnknown) {
		removeQuietly(c.Add...)
	}
	return err
}

// sameRows compares the rows of live files with those of new ones.
func sameRows(files []File, made []string) error {
	var rows int64
	for _, path := range made {
		n, _, err := footer(path)
		if err != nil {
			return err
		}
		if err := syncFile(path); err != nil {
			return err
		}
		rows += n
	}
	if want := rowsIn(files); rows != want {
		return fmt.Errorf("%d rows became %d: %w", want, rows, feedlake.ErrRejected)
	}
	return nil
}

// stagePartition puts c.Partition into the transaction.
func stagePartition(tx *table.Transaction, t *table.Table, c Commit) error {
	if c.Partition == nil {
		return nil
	}
	up := tx.UpdateSpec(true)
	for _, name := range partitionNames(t.Spec()) {
		up = up.RemoveField(name)
	}
	for _, p := range c.Partition {
		column, name := partitionField(p)
		var tr iceberg.Transform = iceberg.IdentityTransform{}
		if column != name {
			tr = iceberg.DayTransform{}
		}
		up = up.AddField(column, tr, name)
	}
	return up.Commit()
}

// partitionField parts an item of Spec.Partition into its column and its name.
func partitionField(p string) (column, name string) {
	if inner, ok := strings.CutPrefix(p, "day("); ok {
		return strings.TrimSuffix(inner, ")"), "day"
	}
	return p, p
}

func namesOf(partition []string) []string {
	out := make([]string, len(partition))
	for i, p := range partition {
		_, out[i] = partitionField(p)
	}
	return out
}

func partitionNames(spec iceberg.PartitionSpec) []string {
	out := []string{}
	for _, f := range spec.Fields() {
		out = append(out, f.Name)
	}
	return out
}
