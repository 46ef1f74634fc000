package command

import (
	"context"
	"errors"
	"path"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/schedules"
)

const stepRecover = "recover"

func newRecoverCommand(o *options) *cobra.Command {
	var r lake.RecoverOptions
	c := &cobra.Command{
		Use: "recover", Short: "Rebuild a lost, damaged or outdated catalog from the tables in the warehouse", Args: cobra.NoArgs,
		Long: `Rebuild the catalog from the newest metadata of every table in the warehouse, where
catalog.db or the catalog's tables in PostgreSQL were lost, emptied, damaged or put
back from an old backup. Rows, snapshots, cursors and what was erased come back as the
last commit left them. A commit that never came about is passed over, and metadata
that is cut off gives way to the one before it: the report names both.

A damaged catalog.db is set aside, not deleted. What the catalog knows rightly stays.
No table file is changed. Nobody may write meanwhile; a run that is going on is exit
code 5. Where the warehouse belongs to a catalog elsewhere, set lake.catalog to that
one; only if it is lost for good, --take-over puts this one in its place.`,
		Example: "  feedlake lake recover --dry-run\n  feedlake lake recover --config service.yaml --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.recover(cmd.Context(), r) },
	}
	c.Flags().BoolVar(&r.DryRun, "dry-run", false, "only say what would be done")
	c.Flags().BoolVar(&r.TakeOver, "take-over", false, "the catalog that the warehouse belongs to is lost for good")
	return c
}

// recover rebuilds the catalog as a run of the ledger, so that no other begins
// meanwhile.
func (o *options) recover(ctx context.Context, r lake.RecoverOptions) (err error) {
	c, err := o.load()
	if err != nil {
		return err
	}
	log, err := o.logger(c)
	if err != nil {
		return err
	}
	at, err := c.LakeAt()
	if err != nil {
		return err
	}
	at.Now, at.Log = o.env.now, log
	bars := newProgress(o, log)
	var rep lake.RecoverReport
	work := func(ctx context.Context, _ feedlake.Window) (err error) {
		r.OnTable = func(table string, done, total int) {
			bars.update(ctx, stepRecover, int64(done), int64(total), "tables", table)
		}
		rep, err = lake.Recover(ctx, at, r)
		bars.done()
		return err
	}
	if r.DryRun || !fileExists(at.Dir) { // without a folder there is nothing to lock
		if err = work(ctx, feedlake.Window{}); err != nil && !errors.Is(err, feedlake.ErrPartial) {
			return err
		}
		return errors.Join(err, printRecovery(o, rep))
	}
	led, err := wiring.OpenLedger(ctx, &c, at.Dir, o.stages(log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, led.Close()) }()
	runner := schedules.Runner{Ledger: led, Locks: []string{schedules.LockAll}, Wait: o.patience()}
	_, err = runner.Run(ctx, schedules.Run{Job: stepRecover, Lock: schedules.Unlocked}, []schedules.Job{{Name: stepRecover, Kind: stepRecover, Run: work}})
	bars.done()
	if err != nil && !errors.Is(err, feedlake.ErrPartial) {
		return err
	}
	return errors.Join(err, printRecovery(o, rep))
}

func printRecovery(o *options, rep lake.RecoverReport) error {
	w := o.env.stdout
	if o.json {
		return printJSON(w, rep)
	}
	rows := make([][]string, len(rep.Tables))
	changed := 0
	for i, t := range rep.Tables {
		rows[i] = []string{t.Table, t.State, feedlake.Count(t.Rows), snapshotName(t.Snapshot), path.Base(t.Metadata)}
		if t.State == lake.TableBack || t.State == lake.TableNewer {
			changed++
		}
	}
	printTable(w, []string{"table", "state", "rows", "snapshot", "metadata"}, rows)
	for _, t := range rep.Tables {
		for _, s := range t.Skipped {
			printf(w, "%s: passed over %s: %s\n", t.Table, s.File, s.Why)
		}
		if t.Problem != "" {
			printf(w, "PROBLEM  %s: %s\n", t.Table, t.Problem)
		}
	}
	if rep.SetAside != "" {
		printLine(w, "the damaged catalog is now "+rep.SetAside)
	}
	if rep.Erasures > 0 {
		printLine(w, feedlake.Plural(int64(rep.Erasures), "tombstone")+" brought back into "+lake.Erased().Name)
	}
	if rep.DryRun {
		printf(w, "%s of %d would be brought back into the catalog in %s; nothing was changed\n", feedlake.Plural(int64(changed), "table"), len(rep.Tables), rep.Catalog)
		return nil
	}
	printf(w, "%s of %d brought back into the catalog in %s; feedlake lake check looks whether all can be read\n", feedlake.Plural(int64(changed), "table"), len(rep.Tables), rep.Catalog)
	return nil
}
