package lake_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// unpartitioned is raw.rejects as older versions made it.
func unpartitioned() lake.Spec {
	s := lake.RawRejects()
	s.Partition = nil
	return s
}

func reject(t *testing.T, l *lake.Lake, list ...feedlake.Reject) string {
	t.Helper()
	path, err := lake.WriteRows(t.Context(), l, "raw.rejects", "", list)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRepartition brings a table without partitions to those of today: rows, columns
// and provenance stay, nothing counts as changed, and what comes afterwards lands in
// its partition. An empty table gets its partitions, too.
func TestRepartition(t *testing.T) {
	t.Parallel()
	l := lakeWithPosts(t, t.TempDir(), nil)
	if err := l.Ensure(t.Context(), unpartitioned()); err != nil {
		t.Fatal(err)
	}
	at := func(source string, day int) feedlake.Reject {
		return feedlake.Reject{Source: source, Reason: "r", Position: fmt.Sprint(day), RejectedAt: noon.AddDate(0, 0, day)}
	}
	commit(t, l, lake.Commit{Table: "raw.rejects", Add: []string{reject(t, l, at("a", 0), at("a", 1), at("b/c", 1))}})
	commit(t, l, lake.Commit{Table: "raw.rejects", Add: []string{reject(t, l, at("a", 1))}, Summary: map[string]string{lake.SummaryRunID: "r9"}, Set: map[string]string{"feedlake.delivered.a": "x"}})
	const rows = "select to_json(r) from raw.rejects as r"
	before := current(t, l, "raw.rejects")
	want := rowsOf(t, l, "raw.rejects", before.ID, rows)
	for _, done := range []bool{true, false} {
		if got, err := l.Repartition(t.Context(), lake.RawRejects(), openQuery(t).Split(nil)); err != nil || got != done {
			t.Fatalf("%t, %v; want %t", got, err, done)
		}
	}
	now := current(t, l, "raw.rejects")
	if diff := cmp.Diff(want, rowsOf(t, l, "raw.rejects", now.ID, rows)); diff != "" || now.Summary[lake.SummaryRunID] != "r9" {
		t.Errorf("%v\n%s", now.Summary, diff)
	}
	if changed, err := l.Changed(t.Context(), "raw.rejects", before.ID, now.ID); err != nil || len(changed) > 0 {
		t.Errorf("changed %v, %v", changed, err)
	}
	if v, err := l.Property(t.Context(), "raw.rejects", "feedlake.delivered.a"); err != nil || v != "x" {
		t.Errorf("%q, %v", v, err)
	}
	late := lake.MakePartition("source", "a", "day", noon.AddDate(0, 0, 1).Format(time.DateOnly))
	path, err := lake.WriteRows(t.Context(), l, "raw.rejects", late, []feedlake.Reject{at("a", 1)})
	if err != nil {
		t.Fatal(err)
	}
	last := commit(t, l, lake.Commit{Table: "raw.rejects", Add: []string{path}})
	if changed, err := l.Changed(t.Context(), "raw.rejects", before.ID, last.ID); err != nil || cmp.Diff([]lake.Partition{late}, changed) != "" {
		t.Errorf("changed %v, %v", changed, err)
	}
	files, err := l.Files(t.Context(), "raw.rejects", last.ID)
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, f := range files {
		parts = append(parts, fmt.Sprint(f.Partition, " ", f.Rows))
	}
	day := func(n int) string { return noon.AddDate(0, 0, n).Format(time.DateOnly) }
	slices.Sort(parts)
	if diff := cmp.Diff([]string{
		"source=a/day=" + day(0) + " 1", "source=a/day=" + day(1) + " 1", "source=a/day=" + day(1) + " 2", "source=b%2Fc/day=" + day(1) + " 1",
	}, parts); diff != "" {
		t.Error(diff)
	}
	readsEverywhere(t, l, "raw.rejects")

	steps := lake.Steps()
	steps.Partition = nil
	if err := l.Ensure(t.Context(), steps); err != nil {
		t.Fatal(err)
	}
	if done, err := l.Repartition(t.Context(), lake.Steps(), openQuery(t).Split(nil)); err != nil || !done {
		t.Errorf("empty: %t, %v", done, err)
	}
	if done, err := l.Repartition(t.Context(), lake.Steps(), nil); err != nil || done {
		t.Errorf("empty, again: %t, %v", done, err)
	}
}

// TestRepartitionKeepsRows refuses a split that loses a row, and leaves the table.
func TestRepartitionKeepsRows(t *testing.T) {
	t.Parallel()
	l := lakeWithPosts(t, t.TempDir(), nil)
	if err := l.Ensure(t.Context(), unpartitioned()); err != nil {
		t.Fatal(err)
	}
	s := commit(t, l, lake.Commit{Table: "raw.rejects", Add: []string{reject(t, l, feedlake.Reject{Source: "a", RejectedAt: noon}, feedlake.Reject{Source: "b", RejectedAt: noon})}})
	_, err := l.Repartition(t.Context(), lake.RawRejects(), func(ctx context.Context, cols []lake.Column, in []lake.File, by []string, path func(lake.Partition) (string, error)) ([]string, error) {
		made, err := openQuery(t).Split(nil)(ctx, cols, in, by, path)
		return made[1:], err
	})
	if !errors.Is(err, feedlake.ErrRejected) || current(t, l, "raw.rejects").ID != s.ID {
		t.Errorf("%v", err)
	}
}
