package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/feedlake/feedlake"
)

// Defaults of TendOptions: with these a table that gets a file every ten seconds
// for years costs a commit what it costs after an hour.
const (
	DefaultTendSnapshots = 200
	DefaultTendManifests = 100
	DefaultTendFiles     = 8
)

// slack is how many snapshots more than allowed a table may have before Expire is
// worth its while.
const slack = 20

// TendOptions bounds what one call of Tend does.
type TendOptions struct {
	// Compact says how files are rewritten; MinFiles 0 is DefaultTendFiles, and
	// Sparing is set.
	Compact CompactOptions
	// Expire says which snapshots may go; AtMost is Snapshots. It is
	// asked for only when a table has something for it, since that may cost questions.
	Expire    func(ctx context.Context) (ExpireOptions, error)
	Snapshots int // of a table, beyond which some go; 0: DefaultTendSnapshots
	Manifests int // of a table, beyond which they are merged; 0: DefaultTendManifests
}

// TendReport tells what Tend did.
type TendReport struct {
	Compacted CompactReport
	Expired   ExpireReport
	Manifests []string // tables whose manifests were merged
}

// Tend does what keeps a lake's cost bounded, as far as it is due: it compacts
// partitions of many small files, merges manifests and expires snapshots. Where
// nothing is due it reads the newest plan of each table and no more. Readers that
// hold the lake (Hold) keep every snapshot, until they have ended. Another care
// operation at work is feedlake.ErrBusy.
func (l *Lake) Tend(ctx context.Context, o TendOptions) (rep TendReport, err error) {
	o.Compact.MinFiles = cmp.Or(o.Compact.MinFiles, DefaultTendFiles)
	o.Compact.Sparing = true
	o.Snapshots, o.Manifests = cmp.Or(o.Snapshots, DefaultTendSnapshots), cmp.Or(o.Manifests, DefaultTendManifests)
	if rep.Compacted, err = l.Compact(ctx, o.Compact); err != nil {
		return rep, err
	}
	err = l.carefulEach(ctx, "merge manifests", nil, func(name string) error {
		merged, err := l.mergeManifests(ctx, name, &o)
		if merged {
			rep.Manifests = append(rep.Manifests, name)
		}
		return err
	})
	if err != nil || o.Expire == nil {
		return rep, err
	}
	due, err := l.expiryDue(ctx, o.Snapshots)
	if err != nil || len(due) == 0 {
		return rep, err
	}
	free, held, err := l.tryAlone(ctx)
	if err != nil || held {
		return rep, err
	}
	defer func() { err = errors.Join(err, free()) }()
	e, err := o.Expire(ctx)
	if err != nil {
		return rep, err
	}
	e.Tables, e.AtMost = due, o.Snapshots
	rep.Expired, err = l.Expire(ctx, e)
	return rep, err
}

// expiryDue lists the tables that have snapshots enough for Expire to let go of.
// It goes by the times that stand in the snapshots; Expire itself does not.
func (l *Lake) expiryDue(ctx context.Context, snapshots int) (due []string, err error) {
	names, err := l.Tables(ctx)
	if err != nil {
		return nil, err
	}
	old := l.now().Add(-DefaultExpireAge).UnixMilli()
	for _, name := range names {
		t, err := l.load(ctx, name, l.catalog(nil))
		if errors.Is(err, feedlake.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		count, aged := 0, 0
		for _, s := range t.Metadata().Snapshots() {
			count++
			if s.TimestampMs < old {
				aged++
			}
		}
		if count >= snapshots+slack || aged >= DefaultExpireLast+slack {
			due = append(due, name)
		}
	}
	return due, nil
}

// mergeManifests merges the manifests of a table that has too many: an append
// merges them by itself, the replacement of partitions does not.
func (l *Lake) mergeManifests(ctx context.Context, name string, o *TendOptions) (merged bool, err error) {
	err = contend(ctx, func() error {
		defer l.turn(ctx, name)()
		merged, err = l.tryMerge(ctx, name, o)
		return err
	})
	return merged, err
}

// tryMerge fails with table.ErrCommitFailed when a writer was faster.
func (l *Lake) tryMerge(ctx context.Context, name string, o *TendOptions) (bool, error) {
	cat := l.catalog(nil)
	cat.say = map[string]string{SummaryRunID: o.Compact.RunID, summaryCompacted: "true", summaryUndo: "{}"}
	t, err := l.load(ctx, name, cat)
	if err != nil || t.CurrentSnapshot() == nil {
		return false, err
	}
	cur := snapshotOf(t.CurrentSnapshot())
	m, err := l.manifestsAt(ctx, t, name, cur.ID)
	if err != nil || len(m.list) <= o.Manifests {
		return false, err
	}
	stillMadeBy(cat.say, cur)
	tx := t.NewTransaction()
	if err := tx.AssertRefSnapshotID(table.MainBranch); err != nil {
		return false, err
	}
	res, err := tx.RewriteManifests(ctx)
	if err != nil {
		return false, fmt.Errorf("merge %d manifests: %w", len(m.list), err)
	}
	if res.IsNoOp() {
		return false, nil
	}
	_, err = tx.Commit(ctx)
	return err == nil, err
}

// Hold keeps Tend from expiring snapshots on this machine until release: a reader
// that works with one snapshot for as long as a person likes takes it. Runs need
// not, since they are known, and a reader of minutes need not either
// (ReadersMayHold).
func (l *Lake) Hold(ctx context.Context) (release func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return l.readersLock(ctx)
}
