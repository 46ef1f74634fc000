package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/lake"
)

// careRun names the run in snapshots that care makes; its history is the lake's
// own log.
func (o *options) careRun(work string) string {
	return work + "-" + o.env.now().UTC().Format("20060102T150405Z")
}

func newCompactCommand(o *options) *cobra.Command {
	var c lake.CompactOptions
	cmd := &cobra.Command{
		Use: "compact [TABLE…]", Short: "Rewrite partitions of many small files into few large ones; rows stay as they are",
		Long: `Rewrite partitions that have many small files into few of about the target size.
Rows stay, and nothing downstream is built anew. Writers may work meanwhile; a
partition that one of them replaces is left for the next time.`,
		Example: "  feedlake lake compact --dry-run\n  feedlake lake compact raw.posts --target-mb 256",
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) (err error) {
				c.Tables, c.RunID = args, o.careRun("compact")
				db, err := a.DuckDB(ctx)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, db.Close()) }()
				c.Rewrite = db.Rewrite
				var rep lake.CompactReport
				err = a.care(ctx, "compact", func(ctx context.Context) (err error) {
					rep, err = a.Lake.Compact(ctx, c)
					return err
				})
				return errors.Join(err, printCompaction(a, rep))
			})
		},
	}
	mb := int64(lake.DefaultTargetBytes >> 20)
	cmd.Flags().Int64Var(&mb, "target-mb", mb, "size of a full file")
	cmd.Flags().IntVar(&c.MinFiles, "min-files", lake.DefaultMinFiles, "small files that a partition must have")
	cmd.Flags().BoolVar(&c.DryRun, "dry-run", false, "only say what would be done")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if mb < 1 || c.MinFiles < 2 {
			return usage("--target-mb must be at least 1 and --min-files at least 2")
		}
		c.TargetBytes = mb << 20
		return nil
	}
	return cmd
}

// care looks after the lake, one command at a time.
func (a *app) care(ctx context.Context, work string, do func(context.Context) error) error {
	return a.Hold(ctx, work, []string{wiring.LockCare}, do)
}

func printCompaction(a *app, rep lake.CompactReport) error {
	if a.o.json {
		return printJSON(a.o.env.stdout, rep)
	}
	byTable := map[string]int{}
	var rows [][]string
	var before, after int
	for _, p := range rep.Partitions {
		state := strconv.FormatInt(p.Snapshot, 10)
		switch {
		case p.Skipped:
			state = "left for the next time"
		case rep.DryRun:
			state = "dry run"
		}
		byTable[p.Table]++
		before, after = before+p.FilesBefore, after+p.FilesAfter
		rows = append(rows, []string{p.Table, string(p.Partition), feedlake.Count(p.Rows), feedlake.Count(int64(p.FilesBefore)), feedlake.Count(int64(p.FilesAfter)), megabytes(p.BytesBefore), state})
	}
	w := a.o.env.stdout
	if len(rows) == 0 {
		printLine(w, "nothing to compact: no partition has enough small files")
		return nil
	}
	printTable(w, []string{"table", "partition", "rows", "files", "then", "MB", "snapshot"}, rows)
	printf(w, "%s of %s: %s become %s\n", feedlake.Plural(int64(len(rows)), "partition"), feedlake.Plural(int64(len(byTable)), "table"), feedlake.Plural(int64(before), "file"), feedlake.Count(int64(after)))
	return nil
}

func newExpireCommand(o *options) *cobra.Command {
	var e lake.ExpireOptions
	cmd := &cobra.Command{
		Use: "expire [TABLE…]", Short: "Forget old snapshots and remove the files that only they hold",
		Long: `Forget snapshots that are older than an age and beyond a count, and remove the
files that only they hold. The current snapshot stays, and so do those that a
model, a score, a published mart or a table's state was made from.`,
		Example: "  feedlake lake expire --dry-run\n  feedlake lake expire --older-than 720h --keep-last 20",
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) (err error) {
				e.Tables = args
				var rep lake.ExpireReport
				err = a.care(ctx, "expire", func(ctx context.Context) (err error) {
					if e.Running, err = a.Running(ctx); err != nil {
						return err
					}
					if e.Keep, err = a.NeededSnapshots(ctx); err != nil {
						return err
					}
					rep, err = a.Lake.Expire(ctx, e)
					return err
				})
				return errors.Join(err, printExpiry(a, rep))
			})
		},
	}
	cmd.Flags().DurationVar(&e.OlderThan, "older-than", lake.DefaultExpireAge, "age that a snapshot must have")
	cmd.Flags().IntVar(&e.KeepLast, "keep-last", lake.DefaultExpireLast, "newest snapshots that stay in any case")
	cmd.Flags().BoolVar(&e.DryRun, "dry-run", false, "only say what would go")
	return cmd
}

func printExpiry(a *app, rep lake.ExpireReport) error {
	if a.o.json {
		return printJSON(a.o.env.stdout, rep)
	}
	rows := make([][]string, 0, len(rep.Tables))
	for _, t := range rep.Tables {
		rows = append(rows, []string{t.Table, feedlake.Count(int64(len(t.Expired))), feedlake.Count(int64(t.Kept)), feedlake.Count(int64(len(t.Held))), feedlake.Count(int64(t.Files)), megabytes(t.Bytes)})
	}
	what := "expired"
	if rep.DryRun {
		what = "would expire"
	}
	printTable(a.o.env.stdout, []string{"table", what, "kept", "of them needed", "files gone", "MB"}, rows)
	return nil
}

func newOrphansCommand(o *options) *cobra.Command {
	var or lake.OrphanOptions
	cmd := &cobra.Command{
		Use: "orphans", Short: "Remove files that no snapshot names: what crashes and lost races left",
		Example: "  feedlake lake orphans --dry-run\n  feedlake lake orphans --older-than 72h", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) (err error) {
				var rep lake.OrphanReport
				err = a.care(ctx, "orphans", func(ctx context.Context) (err error) {
					if or.Running, err = a.Running(ctx); err != nil {
						return err
					}
					rep, err = a.Lake.Orphans(ctx, or)
					return err
				})
				return errors.Join(err, printOrphans(a, rep))
			})
		},
	}
	cmd.Flags().DurationVar(&or.OlderThan, "older-than", lake.DefaultOrphanAge, "age that a file must have")
	cmd.Flags().BoolVar(&or.Force, "force", false, "allow an age below an hour: nobody writes")
	cmd.Flags().BoolVar(&or.DryRun, "dry-run", false, "only say what would go")
	return cmd
}

// shownOrphans bounds the list for people; --json has all.
const shownOrphans = 50

func printOrphans(a *app, rep lake.OrphanReport) error {
	if a.o.json {
		return printJSON(a.o.env.stdout, rep)
	}
	w := a.o.env.stdout
	var rows [][]string
	for i, f := range rep.Files {
		if i == shownOrphans {
			break
		}
		rows = append(rows, []string{f.Path, megabytes(f.Bytes), stamp(f.Modified)})
	}
	if len(rows) > 0 {
		printTable(w, []string{"file", "MB", "modified (UTC)"}, rows)
	}
	verb := "removed"
	if rep.DryRun {
		verb = "would be removed"
	}
	printf(w, "%s, %s MB: %s\n", feedlake.Plural(int64(len(rep.Files)), "orphan"), megabytes(rep.Bytes), verb)
	return nil
}

func newInspectCommand(o *options) *cobra.Command {
	keys := false
	cmd := &cobra.Command{
		Use: "check [TABLE…]", Short: "Look whether every snapshot can be read: files, sizes, rows, partitions",
		Long: `Look whether every snapshot that is kept can be read: its metadata, and each data
file's place and size; of the newest snapshots also rows and partitions as the
files tell them, and with --keys whether a key stands twice. It changes nothing.
What was landed may repeat: sources deliver at least once, and a post's versions are
rows. That is counted, and is no problem.
A problem is exit code 4.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error { return inspectLake(ctx, a, args, keys) })
		},
	}
	cmd.Flags().BoolVar(&keys, "keys", false, "look for keys that stand twice; reads all rows")
	return cmd
}

func newRestoreCommand(o *options) *cobra.Command {
	var r lake.RestoreOptions
	cmd := &cobra.Command{
		Use: "restore TABLE SNAPSHOT|TIME", Short: "Make an older snapshot's rows current again, as a new snapshot",
		Long: `Make the rows of an older snapshot current again, as a new snapshot: what came
after stays in the history. Cursors and inputs go back with the rows, so that
sources bring again what is taken away and models compute what differs.`,
		Example: "  feedlake lake restore raw.posts 4711\n  feedlake lake restore marts.volume 2026-01-05T06:00:00Z", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error {
				id, err := snapshotAt(ctx, a.Lake, args[0], args[1])
				if err != nil {
					return err
				}
				r.RunID = o.careRun("restore")
				var s lake.Snapshot
				err = a.care(ctx, "restore", func(ctx context.Context) (err error) {
					s, err = a.Lake.Restore(ctx, args[0], id, r)
					return err
				})
				if err != nil {
					return err
				}
				if o.json {
					return printJSON(o.env.stdout, map[string]any{"table": args[0], "restored": id, "snapshot": s.ID, "at": s.At})
				}
				printf(o.env.stdout, "%s shows the rows of snapshot %d again, as snapshot %d\n", args[0], id, s.ID)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&r.KeepState, "keep-state", false, "leave cursors and inputs as they are")
	return cmd
}

// snapshotAt reads a snapshot's number, or an instant.
func snapshotAt(ctx context.Context, l *lake.Lake, table, text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	m, err := parseMoment(text)
	if err != nil || m.instant.IsZero() {
		return 0, feedlake.Hint(usage("%q: a snapshot's number, or an instant such as 2026-01-05T06:00:00Z", text), "feedlake lake log %s lists the snapshots", table)
	}
	s, err := l.At(ctx, table, m.instant)
	return s.ID, err
}

func newAtCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "at SNAPSHOT|TIME", Short: "Show which snapshot of every table was current at an instant, or which table a snapshot is of",
		Example: "  feedlake lake at 2026-01-05T06:00:00Z\n  feedlake sql --at 2026-01-05T06:00:00Z \"select count(*) from raw.posts\"", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error { return lakeAt(ctx, a, args[0]) })
		},
	}
}

// tableAt is one line of `lake at`.
type tableAt struct {
	Table    string    `json:"table"`
	Snapshot int64     `json:"snapshot"`
	At       time.Time `json:"at"`
	Rows     int64     `json:"rows"`
}

func lakeAt(ctx context.Context, a *app, text string) error {
	tables, err := a.Lake.Tables(ctx)
	if err != nil {
		return err
	}
	id, numberErr := strconv.ParseInt(text, 10, 64)
	m, err := parseMoment(text)
	if numberErr != nil && (err != nil || m.instant.IsZero()) {
		return usage("%q: a snapshot's number, or an instant such as 2026-01-05T06:00:00Z", text)
	}
	found := []tableAt{}
	for _, t := range tables {
		snaps, err := a.Lake.Snapshots(ctx, t)
		if err != nil {
			return err
		}
		want := id
		if numberErr != nil {
			if want, err = m.snapshot(ctx, a.Lake, t); err != nil {
				return err
			}
		}
		for _, s := range snaps {
			if s.ID == want {
				rows, _ := strconv.ParseInt(s.Summary["total-records"], 10, 64)
				found = append(found, tableAt{t, s.ID, s.At, rows})
			}
		}
	}
	if numberErr == nil && len(found) == 0 {
		return feedlake.Hint(fmt.Errorf("snapshot %d: %w", id, feedlake.ErrNotFound), "feedlake lake log TABLE lists the snapshots that are kept")
	}
	if a.o.json {
		return printJSON(a.o.env.stdout, found)
	}
	rows := make([][]string, len(found))
	for i, t := range found {
		rows[i] = []string{t.Table, snapshotName(t.Snapshot), stamp(t.At), feedlake.Count(t.Rows)}
	}
	printTable(a.o.env.stdout, []string{"table", "snapshot", "at (UTC)", "rows"}, rows)
	return nil
}
