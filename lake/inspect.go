package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	iceberg "github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake"
)

// CheckOptions says what Check looks at.
type CheckOptions struct {
	Tables []string // none: all
	// Duplicates counts the rows of files that share their key with an earlier
	// one; nil: keys are not looked at. In tables of landed rows that is no
	// problem, and CheckReport.Repeated counts them.
	Duplicates func(ctx context.Context, table string, key []string, cols []Column, files []File) (int64, error)
}

// CheckReport tells what Check saw.
type CheckReport struct {
	Tables    int       `json:"tables"`
	Snapshots int       `json:"snapshots"`
	Files     int       `json:"files"`    // data files, each once
	Rows      int64     `json:"rows"`     // of the current snapshots
	Repeated  int64     `json:"repeated"` // rows that were delivered more than once, of tables where they may be
	Problems  []Problem `json:"problems"`
}

// Problem is one thing that is wrong, with the next step for a person.
type Problem struct {
	Table    string `json:"table"`
	Snapshot int64  `json:"snapshot"` // the newest that has it; 0: the table
	File     string `json:"file"`     // "" when it is no file
	What     string `json:"what"`
	Hint     string `json:"hint"`
}

// Check looks whether every snapshot that is kept can be read: that its
// manifests are readable, and that its data files exist with the size that is
// recorded, once each, and without delete files. Of the current snapshots it
// also compares the rows and partitions with what the Parquet footers say. Rows
// themselves are read by CheckOptions.Duplicates only.
//
// What is wrong is in the report; the error says only that Check could not
// look. It changes nothing.
func (l *Lake) Check(ctx context.Context, o CheckOptions) (CheckReport, error) {
	rep := CheckReport{Problems: []Problem{}}
	err := l.carefulEach(ctx, "check", o.Tables, func(name string) error { // files must not go meanwhile
		i := inspection{l: l, o: o, table: name, rep: &rep, bad: map[int64]bool{}}
		return i.run(ctx)
	})
	return rep, err
}

// inspection is the look at one table.
type inspection struct {
	l     *Lake
	o     CheckOptions
	table string
	rep   *CheckReport

	t         *table.Table
	fsys      iceio.IO
	snapshots []table.Snapshot // newest first
	manifests map[string]*manifestState
	files     map[string]*fileState
	lists     []listState
	problems  []Problem
	bad       map[int64]bool // snapshots with a problem
}

// listState is what a snapshot's manifest list says.
type listState struct {
	manifests []iceberg.ManifestFile
	err       error
}

type manifestState struct {
	file iceberg.ManifestFile
	data []iceberg.DataFile
	err  error
}

// fileState is a data file: what is recorded, and what is wrong with it.
type fileState struct {
	data    iceberg.DataFile
	current bool
	wrong   []string
	told    bool
}

func (i *inspection) run(ctx context.Context) error {
	i.rep.Tables++
	var err error
	if i.t, err = i.l.load(ctx, i.table, i.l.catalog(nil)); err != nil {
		if ctx.Err() != nil {
			return err
		}
		if !errors.Is(err, feedlake.ErrNotFound) { // that is dropped meanwhile
			i.rep.Problems = append(i.rep.Problems, Problem{Table: i.table, What: "metadata is not readable: " + err.Error(), Hint: "bring the metadata file back from a backup, or the whole lake"})
		}
		return nil
	}
	if i.fsys, err = i.t.FS(ctx); err != nil {
		return err
	}
	i.snapshots = slices.SortedFunc(slices.Values(i.t.Metadata().Snapshots()), func(a, b table.Snapshot) int { return cmp.Compare(b.SequenceNumber, a.SequenceNumber) })
	if err := i.read(ctx); err != nil {
		return err
	}
	for n := range i.snapshots {
		i.assess(n)
	}
	i.rep.Snapshots += len(i.snapshots)
	i.rep.Files += len(i.files)
	if err := i.keys(ctx); err != nil {
		return err
	}
	i.advise()
	i.rep.Problems = append(i.rep.Problems, i.problems...)
	return nil
}

// read looks at all lists, manifests and data files, each once. Only a context
// that ends is an error; everything else is a finding.
func (i *inspection) read(ctx context.Context) error {
	i.lists = make([]listState, len(i.snapshots))
	err := parallel(ctx, len(i.snapshots), func(n int) error {
		i.lists[n].manifests, i.lists[n].err = i.snapshots[n].Manifests(i.fsys)
		return nil
	})
	if err != nil {
		return err
	}
	i.manifests = map[string]*manifestState{}
	var manifests []*manifestState
	for _, l := range i.lists {
		for _, m := range l.manifests {
			if i.manifests[m.FilePath()] == nil {
				i.manifests[m.FilePath()] = &manifestState{file: m}
				manifests = append(manifests, i.manifests[m.FilePath()])
			}
		}
	}
	err = parallel(ctx, len(manifests), func(n int) error {
		m := manifests[n]
		for e, err := range m.file.Entries(i.fsys, true) {
			if err != nil {
				m.err = err
				return nil //nolint:nilerr // a finding
			}
			m.data = append(m.data, e.DataFile())
		}
		return nil
	})
	if err != nil {
		return err
	}
	files := i.dataFiles(manifests)
	return parallel(ctx, len(files), func(n int) error {
		i.look(files[n])
		return nil
	})
}

// dataFiles lists the data files of all manifests and marks those of the
// current snapshot.
func (i *inspection) dataFiles(manifests []*manifestState) []*fileState {
	i.files = map[string]*fileState{}
	var list []*fileState
	for _, m := range manifests {
		for _, d := range m.data {
			if i.files[d.FilePath()] == nil {
				i.files[d.FilePath()] = &fileState{data: d}
				list = append(list, i.files[d.FilePath()])
			}
		}
	}
	cur := i.t.CurrentSnapshot()
	for n, s := range i.snapshots {
		if cur == nil || s.SnapshotID != cur.SnapshotID {
			continue
		}
		for _, m := range i.lists[n].manifests {
			for _, d := range i.manifests[m.FilePath()].data {
				i.files[d.FilePath()].current = true
				i.rep.Rows += d.Count()
			}
		}
	}
	return list
}

// look compares one data file with what is recorded.
func (i *inspection) look(f *fileState) {
	wrong := func(format string, args ...any) { f.wrong = append(f.wrong, fmt.Sprintf(format, args...)) }
	if f.data.ContentType() != iceberg.EntryContentData {
		wrong("is a delete file: another engine wrote merge-on-read")
	}
	var bytes int64
	err := withFile(i.fsys, f.data.FilePath(), func(_ iceio.File, size int64) error {
		bytes = size
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		wrong("is missing")
		return
	case err != nil:
		wrong("is not readable: %v", err)
		return
	case bytes != f.data.FileSizeBytes():
		wrong("has %d bytes, recorded are %d", bytes, f.data.FileSizeBytes())
		return
	}
	if !f.current || f.data.ContentType() != iceberg.EntryContentData {
		return
	}
	err = withParquet(i.fsys, f.data.FilePath(), func(p *parquet.File) error {
		if p.NumRows() != f.data.Count() {
			wrong("has %d rows, recorded are %d", p.NumRows(), f.data.Count())
		}
		f.wrong = append(f.wrong, i.wrongPartitions(p, f.data)...)
		return nil
	})
	if err != nil {
		wrong("is not readable: %v", err)
	}
}

// assess collects the findings of one snapshot. A file is told once, with the
// newest snapshot that has it, and spoils all that have it.
func (i *inspection) assess(n int) {
	s := i.snapshots[n]
	tell := func(file, what string) {
		i.bad[s.SnapshotID] = true
		i.problems = append(i.problems, Problem{Table: i.table, Snapshot: s.SnapshotID, File: localPath(file), What: what})
	}
	if err := i.lists[n].err; err != nil {
		tell(s.ManifestList, "manifest list is not readable: "+err.Error())
		return
	}
	seen := map[string]bool{}
	for _, file := range i.lists[n].manifests {
		m := i.manifests[file.FilePath()]
		if m.err != nil {
			tell(file.FilePath(), "manifest is not readable: "+m.err.Error())
		}
		for _, d := range m.data {
			if seen[d.FilePath()] {
				tell(d.FilePath(), "stands twice in the snapshot")
			}
			seen[d.FilePath()] = true
			f := i.files[d.FilePath()]
			if len(f.wrong) == 0 {
				continue
			}
			i.bad[s.SnapshotID] = true
			if !f.told {
				f.told = true
				tell(d.FilePath(), strings.Join(f.wrong, "; "))
			}
		}
	}
}

// keys looks for rows that share their key in a current snapshot that is sound.
func (i *inspection) keys(ctx context.Context) error {
	cur := snapshotOf(i.t.CurrentSnapshot())
	key := i.t.Properties()[propertyKey]
	if i.o.Duplicates == nil || cur.ID == 0 || key == "" || i.bad[cur.ID] {
		return nil
	}
	files, err := i.l.filesOf(ctx, i.t, i.table, cur.ID)
	if err != nil {
		return err
	}
	cols, err := i.l.Columns(ctx, i.table)
	if err != nil {
		return err
	}
	n, err := i.o.Duplicates(ctx, i.table, strings.Split(key, ","), cols, files)
	if err != nil {
		return fmt.Errorf("look for doubled keys: %w", err)
	}
	switch {
	case landedTable(i.table):
		i.rep.Repeated += n
	case n > 0:
		p := Problem{Table: i.table, Snapshot: cur.ID, What: fmt.Sprintf("%d rows have the key (%s) of another row", n, key)}
		p.Hint = fmt.Sprintf("build it anew: feedlake transform --full %s", i.table)
		if isFixed(i.table) {
			p.Hint = "no row is lost, but numbers made from it may be too high; please report it with what feedlake lake log " + i.table + " shows"
		}
		i.problems = append(i.problems, p)
	}
	return nil
}

// isFixed reports whether feedlake itself writes a table, not a model.
func isFixed(name string) bool {
	return slices.ContainsFunc(Fixed(), func(s Spec) bool { return s.Name == name })
}

// advise gives every problem its next step.
func (i *inspection) advise() {
	cur := snapshotOf(i.t.CurrentSnapshot()).ID
	sound := int64(0)
	for _, s := range i.snapshots {
		if !i.bad[s.SnapshotID] {
			sound = s.SnapshotID
			break
		}
	}
	for n := range i.problems {
		p := &i.problems[n]
		switch {
		case p.Hint != "":
		case p.Snapshot != cur:
			p.Hint = "the current snapshot does not need it; feedlake lake expire lets this one go"
		case sound != 0 && landedTable(i.table):
			p.Hint = fmt.Sprintf("bring it back from a backup. Only without one: feedlake lake restore %s %d goes back to before it; "+
				"the next run brings again what came since, as far as its sources still have it", i.table, sound)
		case sound != 0:
			p.Hint = fmt.Sprintf("bring it back from a backup, or go back: feedlake lake restore %s %d", i.table, sound)
		default:
			p.Hint = "bring it back from a backup; no older snapshot is sound"
		}
	}
}
