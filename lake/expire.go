package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/feedlake/feedlake"
)

// Defaults of ExpireOptions.
const (
	DefaultExpireAge  = 7 * 24 * time.Hour
	DefaultExpireLast = 10
)

// ReadersMayHold is how long a reader may work with a snapshot after another one
// took its place: ExpireOptions.AtMost leaves younger ones alone.
const ReadersMayHold = time.Hour

// ExpireOptions says which snapshots may go.
type ExpireOptions struct {
	Tables    []string      // none: all
	OlderThan time.Duration // those that were current since then stay; 0: DefaultExpireAge
	KeepLast  int           // so many newest ones stay; 0: DefaultExpireLast
	// AtMost bounds a table that is committed to often: beyond so many newest
	// snapshots one may go when it was current last an hour ago (ReadersMayHold);
	// 0: only OlderThan counts.
	AtMost int
	Keep   map[string][]int64 // these stay too, by table
	// All lets every snapshot go but the current one and those of Keep,
	// whatever its age and whoever names it: for a takedown. Models whose inputs
	// go are rebuilt whole, a writer that is just at work may end with
	// feedlake.ErrUnknown, and one that repeats a commit of unknown outcome may
	// land it twice.
	All bool
	// Running are the runs that are under way, by the names that MarkRun knows:
	// snapshots that were current since the oldest of them began stay.
	Running []string
	DryRun  bool // only say what would go
}

// ExpireReport tells what Expire did, or would do.
type ExpireReport struct {
	DryRun bool           `json:"dry_run"`
	Tables []ExpiredTable `json:"tables"`
}

// ExpiredTable is one table of the report.
type ExpiredTable struct {
	Table   string         `json:"table"`
	Expired []int64        `json:"expired"` // snapshots that went, oldest first
	Kept    int            `json:"kept"`
	Held    []HeldSnapshot `json:"held"`  // kept only because something needs them
	Files   int            `json:"files"` // files that went with the snapshots
	Bytes   int64          `json:"bytes"` // of data files and manifests among them
}

// HeldSnapshot is a snapshot beyond age and count that stays.
type HeldSnapshot struct {
	Snapshot int64  `json:"snapshot"`
	For      string `json:"for"`
}

// Expire forgets old snapshots and removes the files that only they name. Age
// and count must both let a snapshot go. The current snapshot stays, and so do
// those that branches, tags, ExpireOptions.Keep or a feedlake property of any
// table name (a model's inputs, a scorer's state), and the compactions after
// them, which tell readers that nothing changed.
//
// Metadata is committed first, then files go: a crash between leaves files to
// Orphans and never a snapshot without its files. It works beside writers; a
// commit that is repeated after an unknown outcome finds its first try as long
// as it is younger than OlderThan.
func (l *Lake) Expire(ctx context.Context, o ExpireOptions) (ExpireReport, error) {
	o.OlderThan = cmp.Or(o.OlderThan, DefaultExpireAge)
	o.KeepLast = cmp.Or(o.KeepLast, DefaultExpireLast)
	rep := ExpireReport{DryRun: o.DryRun, Tables: []ExpiredTable{}}
	if o.OlderThan < 0 || o.KeepLast < 0 || o.AtMost < 0 {
		return rep, fmt.Errorf("expire: age %s and counts %d and %d must not be negative: %w", o.OlderThan, o.KeepLast, o.AtMost, feedlake.ErrConfig)
	}
	err := l.carefulEach(ctx, "expire", o.Tables, func(name string) error {
		t, err := l.expireTable(ctx, name, o)
		if err == nil {
			rep.Tables = append(rep.Tables, t)
		}
		return err
	})
	return rep, err
}

func (l *Lake) expireTable(ctx context.Context, name string, o ExpireOptions) (ExpiredTable, error) {
	rep := ExpiredTable{Table: name, Expired: []int64{}, Held: []HeldSnapshot{}}
	err := contend(ctx, func() error { return l.tryExpire(ctx, name, o, &rep) })
	return rep, err
}

// tryExpire fails with table.ErrCommitFailed when a writer was faster.
func (l *Lake) tryExpire(ctx context.Context, name string, o ExpireOptions, rep *ExpiredTable) error {
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return err
	}
	// After the table: a model that is built meanwhile names a snapshot
	// that is new, or one that it named before.
	said, err := l.readMentions(ctx)
	if err != nil {
		return err
	}
	e := expiry{name: name, o: o, said: said}
	if err := e.readTimes(ctx, l, t); err != nil {
		return err
	}
	gone, stay := e.sort(t.Metadata())
	rep.Held, rep.Kept, rep.Expired = e.held, len(stay), idsOf(gone)
	if len(gone) == 0 {
		return nil
	}
	before, err := reachable(ctx, t, t.Metadata().Snapshots())
	if err != nil {
		return err
	}
	if o.DryRun {
		after, err := reachable(ctx, t, stay)
		rep.count(before, after)
		return err
	}
	if err := l.dropSnapshots(ctx, t, name, rep.Expired); err != nil {
		return err
	}
	return l.dropFiles(ctx, name, before, rep)
}

// dropSnapshots commits metadata without the snapshots. An error other than
// table.ErrCommitFailed that leaves the outcome open is asked after.
func (l *Lake) dropSnapshots(ctx context.Context, t *table.Table, name string, ids []int64) error {
	cur := t.CurrentSnapshot().SnapshotID
	reqs := []table.Requirement{table.AssertTableUUID(t.Metadata().TableUUID()), table.AssertRefSnapshotID(table.MainBranch, &cur)}
	_, _, err := l.catalog(nil).CommitTable(ctx, t.Identifier(), reqs, []table.Update{table.NewRemoveSnapshotsUpdate(ids, false)})
	if err == nil || errors.Is(err, table.ErrCommitFailed) {
		return err
	}
	now, lerr := l.load(ctx, name, l.catalog(nil))
	if lerr == nil && !slices.ContainsFunc(ids, func(id int64) bool { return now.SnapshotByID(id) != nil }) {
		return nil
	}
	return feedlake.Hint(fmt.Errorf("%w: %w", feedlake.ErrUnknown, err), "run again: no file was removed")
}

// dropFiles removes what the table named before and names no more.
func (l *Lake) dropFiles(ctx context.Context, name string, before reached, rep *ExpiredTable) error {
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return err
	}
	after, err := reachable(ctx, t, t.Metadata().Snapshots())
	if err != nil {
		return feedlake.Hint(err, "the snapshots are expired; feedlake lake orphans removes their files")
	}
	paths := rep.count(before, after)
	fsys, err := t.FS(ctx)
	if err != nil {
		return err
	}
	n, err := l.removeFiles(ctx, fsys, paths)
	if err != nil {
		return feedlake.Hint(fmt.Errorf("%d of %d files: %w", n, len(paths), err), "the snapshots are expired; feedlake lake orphans removes the rest of their files")
	}
	return nil
}

// count fills in the files of before that after lacks, and returns them.
func (t *ExpiredTable) count(before, after reached) []string {
	var paths []string
	t.Bytes = 0
	for path, size := range before {
		if _, ok := after[path]; !ok {
			paths = append(paths, path)
			t.Bytes += max(size, 0)
		}
	}
	slices.Sort(paths)
	t.Files = len(paths)
	return paths
}

// expiry sorts the snapshots of one table.
type expiry struct {
	name string
	o    ExpireOptions
	now  time.Time           // by the storage's clock, as the next two
	at   map[int64]time.Time // when each snapshot was written
	runs time.Time           // when the oldest run that is under way began; zero: none is
	said mentions
	held []HeldSnapshot
}

func (e *expiry) readTimes(ctx context.Context, l *Lake, t *table.Table) (err error) {
	if e.now, err = l.storageNow(ctx); err != nil {
		return err
	}
	if e.runs, err = oldest(ctx, l.store.notes(), e.o.Running); err != nil {
		return err
	}
	e.at, err = writtenAt(ctx, t)
	return err
}

func (e *expiry) sort(meta table.Metadata) (gone, stay []table.Snapshot) {
	list := slices.Clone(meta.Snapshots())
	slices.SortFunc(list, func(a, b table.Snapshot) int { return cmp.Compare(b.SequenceNumber, a.SequenceNumber) })
	refs := map[int64]string{}
	for name, r := range meta.Refs() {
		refs[r.SnapshotID] = name
	}
	keep := map[int64]bool{}
	e.held = []HeldSnapshot{}
	oldest := int64(-1) // sequence number of the oldest snapshot that somebody names
	until := e.now      // when the next newer one took its place
	for i, s := range list {
		why := e.reason(s, refs)
		used := !e.runs.IsZero() && !until.Before(e.runs)
		young := !e.o.All && (i < e.o.KeepLast || e.now.Sub(until) <= e.o.age(i) || used)
		until = e.at[s.SnapshotID]
		keep[s.SnapshotID] = young || why != ""
		if why != "" && refs[s.SnapshotID] != table.MainBranch {
			oldest = s.SequenceNumber // from the newest on
		}
		if why != "" && !young && refs[s.SnapshotID] != table.MainBranch {
			e.held = append(e.held, HeldSnapshot{s.SnapshotID, why})
		}
	}
	e.holdCompactions(list, keep, oldest)
	for _, s := range slices.Backward(list) {
		if keep[s.SnapshotID] {
			stay = append(stay, s)
		} else {
			gone = append(gone, s)
		}
	}
	return gone, stay
}

// holdCompactions keeps the compactions after the oldest snapshot that is
// named, and their parents: Changed goes by way of them.
func (e *expiry) holdCompactions(list []table.Snapshot, keep map[int64]bool, oldest int64) {
	if oldest < 0 || e.o.All {
		return
	}
	for i, s := range list {
		if !isCompaction(&s) || s.SequenceNumber <= oldest {
			continue
		}
		if e.o.AtMost > 0 && i >= e.o.AtMost { // a reader from so long ago computes more than it must
			break
		}
		for _, id := range []int64{s.SnapshotID, *s.ParentSnapshotID} {
			if kept, there := keep[id]; there && !kept {
				keep[id] = true
				e.held = append(e.held, HeldSnapshot{id, "compaction, for readers from before it"})
			}
		}
	}
}

// age is how long ago the i-th newest snapshot must have been current to go.
func (o *ExpireOptions) age(i int) time.Duration {
	if o.AtMost > 0 && i >= o.AtMost {
		return min(o.OlderThan, ReadersMayHold)
	}
	return o.OlderThan
}

// reason says what needs a snapshot; "" when nothing does.
func (e *expiry) reason(s table.Snapshot, refs map[int64]string) string {
	if ref, ok := refs[s.SnapshotID]; ok {
		return "branch or tag " + ref
	}
	if slices.Contains(e.o.Keep[e.name], s.SnapshotID) {
		return "asked to keep"
	}
	if by := e.said.snapshot(s.SnapshotID); len(by) > 0 && !e.o.All {
		return "named by " + strings.Join(by, ", ")
	}
	return ""
}

func idsOf(list []table.Snapshot) []int64 {
	out := make([]int64, len(list))
	for i, s := range list {
		out[i] = s.SnapshotID
	}
	return out
}
