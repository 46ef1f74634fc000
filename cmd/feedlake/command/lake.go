package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

func newLakeCommand(o *options) *cobra.Command {
	c := &cobra.Command{Use: "lake", Short: "Look into the lake's tables and snapshots, keep them small, move and mend them"}
	c.AddCommand(
		&cobra.Command{
			Use: "ls", Short: "List tables with rows, files and their newest snapshot", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return o.withApp(cmd.Context(), lakeList) },
		},
		&cobra.Command{
			Use: "show TABLE", Short: "Show a table's columns, partitions and files", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error { return lakeShow(ctx, a, args[0]) })
			},
		},
		&cobra.Command{
			Use: "log TABLE", Short: "Show a table's snapshots, newest first, with what made them", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error { return lakeLog(ctx, a, args[0]) })
			},
		},
		newAtCommand(o), newCompactCommand(o), newExpireCommand(o), newOrphansCommand(o), newInspectCommand(o), newRestoreCommand(o),
		newRecoverCommand(o), newMigrateCommand(o), newViewsCommand(o),
	)
	return c
}

// tableInfo is one line of `lake ls`.
type tableInfo struct {
	Table      string    `json:"table"`
	Rows       int64     `json:"rows"`
	Files      int       `json:"files"`
	Bytes      int64     `json:"bytes"`
	Partitions int       `json:"partitions"`
	Snapshot   int64     `json:"snapshot"`
	At         time.Time `json:"at"`
}

func describeTable(ctx context.Context, l *lake.Lake, name string) (tableInfo, []lake.File, error) {
	s, err := l.Current(ctx, name)
	if err != nil {
		return tableInfo{}, nil, err
	}
	files, err := l.Files(ctx, name, s.ID)
	if err != nil {
		return tableInfo{}, nil, err
	}
	info := tableInfo{Table: name, Files: len(files), Snapshot: s.ID, At: s.At}
	parts := map[lake.Partition]bool{}
	for _, f := range files {
		info.Rows += f.Rows
		info.Bytes += f.Bytes
		parts[f.Partition] = true
	}
	info.Partitions = len(parts)
	return info, files, nil
}

func lakeList(ctx context.Context, a *app) error {
	names, err := a.Lake.Tables(ctx)
	if err != nil {
		return err
	}
	infos := []tableInfo{}
	for _, n := range names {
		info, _, err := describeTable(ctx, a.Lake, n)
		if err != nil {
			return err
		}
		infos = append(infos, info)
	}
	if a.o.json {
		return printJSON(a.o.env.stdout, infos)
	}
	rows := make([][]string, len(infos))
	for i, t := range infos {
		rows[i] = []string{t.Table, feedlake.Count(t.Rows), feedlake.Count(int64(t.Partitions)), feedlake.Count(int64(t.Files)), megabytes(t.Bytes), snapshotName(t.Snapshot), stamp(t.At)}
	}
	printTable(a.o.env.stdout, []string{"table", "rows", "partitions", "files", "MB", "snapshot", "at (UTC)"}, rows)
	return nil
}

func lakeShow(ctx context.Context, a *app, name string) error {
	info, files, err := describeTable(ctx, a.Lake, name)
	if err != nil {
		return err
	}
	cols, err := a.Lake.Columns(ctx, name)
	if err != nil {
		return err
	}
	if a.o.json {
		return printJSON(a.o.env.stdout, map[string]any{"table": info, "columns": cols, "files": files})
	}
	w := a.o.env.stdout
	printf(w, "%s: %s in %s, snapshot %s of %s UTC\n", name, feedlake.Plural(info.Rows, "row"), feedlake.Plural(int64(info.Files), "file"), snapshotName(info.Snapshot), stamp(info.At))
	rows := make([][]string, len(cols))
	for i, c := range cols {
		rows[i] = []string{c.Name, c.Type}
	}
	printTable(w, []string{"column", "type"}, rows)
	rows = nil
	byPart := map[lake.Partition]*tableInfo{}
	for _, f := range files {
		if byPart[f.Partition] == nil {
			byPart[f.Partition] = &tableInfo{}
		}
		byPart[f.Partition].Rows += f.Rows
		byPart[f.Partition].Bytes += f.Bytes
		byPart[f.Partition].Files++
	}
	for _, p := range slices.Sorted(maps.Keys(byPart)) {
		t := byPart[p]
		rows = append(rows, []string{string(p), feedlake.Count(t.Rows), feedlake.Count(int64(t.Files)), megabytes(t.Bytes)})
	}
	printTable(w, []string{"partition", "rows", "files", "MB"}, rows)
	return nil
}

func lakeLog(ctx context.Context, a *app, name string) error {
	snaps, err := a.Lake.Snapshots(ctx, name)
	if err != nil {
		return err
	}
	slices.Reverse(snaps)
	if a.o.json {
		return printJSON(a.o.env.stdout, snaps)
	}
	rows := make([][]string, len(snaps))
	for i, s := range snaps {
		rows[i] = []string{
			snapshotName(s.ID), stamp(s.At), s.Operation, s.Summary["added-records"], s.Summary["deleted-records"], s.Summary["total-records"],
			s.Summary[lake.SummaryRunID], provenance(s.Summary),
		}
	}
	printTable(a.o.env.stdout, []string{"snapshot", "at (UTC)", "operation", "added", "removed", "rows", "run", "made by"}, rows)
	return nil
}

// provenance spells what a snapshot's summary says about its making.
func provenance(summary map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(summary)) {
		if name, ok := strings.CutPrefix(k, "feedlake."); ok && name != "run-id" && name != "commit-id" && name != "undo" {
			parts = append(parts, name+"="+summary[k])
		}
	}
	return strings.Join(parts, " ")
}

func snapshotName(id int64) string {
	if id == 0 {
		return "-"
	}
	return strconv.FormatInt(id, 10)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func megabytes(b int64) string { return fmt.Sprintf("%.1f", float64(b)/1e6) }
