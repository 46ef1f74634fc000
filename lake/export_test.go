package lake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// HoldCatalog takes the write lock of an embedded catalog until release.
func HoldCatalog(t *testing.T, l *Lake) (release func()) {
	t.Helper()
	tx, err := l.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}

// AwaitMoving waits until MoveCatalog has brought the entries to l.
func AwaitMoving(t *testing.T, l *Lake) {
	t.Helper()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		e, err := l.entries(t.Context(), l.db)
		if err != nil {
			t.Fatal(err)
		}
		if len(e.tables) > 0 {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the move brought nothing")
		}
	}
}

// CatalogSetting reads a setting of the catalog's PostgreSQL as a connection of
// the lake has it.
func CatalogSetting(t *testing.T, l *Lake, name string) (value string) {
	t.Helper()
	if err := l.db.QueryRowContext(t.Context(), "SELECT current_setting($1)", name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// GrowFiles adds n entries to a table, all of them for the data file at path,
// over as many days as there are hundreds: what a plan costs does not depend on
// what the files hold, and nobody opens them.
func GrowFiles(t testing.TB, l *Lake, name, path string, n int) {
	t.Helper()
	ctx := t.Context()
	tab, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		t.Fatal(err)
	}
	const batch = 10_000
	spec := tab.Spec()
	for done := 0; done < n; done += batch {
		var files []iceberg.DataFile
		for i := done; i < min(n, done+batch); i++ {
			values := map[int]any{}
			for _, f := range spec.Fields() {
				values[f.FieldID] = "grown"
				if f.Name == "day" {
					values[f.FieldID] = int32(10_000 + i/100)
				}
			}
			f, err := iceberg.NewDataFileBuilder(spec, iceberg.EntryContentData, fmt.Sprintf("%s.%d", l.store.location(path), i), iceberg.ParquetFile,
				values, map[int]string{}, nil, 10, 1000)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f.Build())
		}
		tx := tab.NewTransaction()
		if err := tx.AddDataFiles(ctx, files, nil, table.WithoutDuplicateCheck()); err != nil {
			t.Fatal(err)
		}
		if tab, err = tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// GrowSnapshots gives a table n more snapshots of what it holds, as so many
// commits would leave it.
func GrowSnapshots(t testing.TB, l *Lake, name string, n int) {
	t.Helper()
	ctx := t.Context()
	tab, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		t.Fatal(err)
	}
	list := tab.CurrentSnapshot()
	fsys, err := tab.FS(ctx)
	if err != nil {
		t.Fatal(err)
	}
	files, ok := fsys.(tableIO)
	if !ok {
		t.Fatalf("the table's files are a %T", fsys)
	}
	text, err := files.ReadFile(tab.MetadataLocation())
	if err != nil {
		t.Fatal(err)
	}
	var meta map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&meta); err != nil {
		t.Fatal(err)
	}
	snaps, known := meta["snapshots"].([]any)
	log, logged := meta["snapshot-log"].([]any)
	if !known || !logged || len(snaps) == 0 {
		t.Fatalf("metadata without snapshots: %s", text)
	}
	last, ok := snaps[len(snaps)-1].(map[string]any)
	if !ok {
		t.Fatalf("snapshot is a %T", snaps[len(snaps)-1])
	}
	parent, seq := list.SnapshotID, tab.Metadata().LastSequenceNumber()
	for i := range n {
		s := maps.Clone(last)
		told, ok := last["summary"].(map[string]any)
		if !ok {
			t.Fatalf("summary is a %T", last["summary"])
		}
		sum := maps.Clone(told)
		sum[summaryCommitID] = fmt.Sprintf("grown %d", i)
		sum[summaryUndo], sum[SummaryRunID] = `{"feedlake.cursor.grown":"1234567890"}`, "20261201T000000Z-1"
		id := int64(1)<<40 + int64(i)
		at := list.TimestampMs + int64(i)/100
		s["summary"], s["snapshot-id"], s["parent-snapshot-id"], s["sequence-number"], s["timestamp-ms"] = sum, id, parent, seq+int64(i)+1, at
		snaps, log = append(snaps, s), append(log, map[string]any{"snapshot-id": id, "timestamp-ms": at})
		parent = id
	}
	meta["snapshots"], meta["snapshot-log"], meta["current-snapshot-id"], meta["last-sequence-number"] = snaps, log, parent, seq+int64(n)
	meta["refs"] = map[string]any{"main": map[string]any{"snapshot-id": parent, "type": "branch"}}
	meta["last-updated-ms"] = list.TimestampMs + int64(n)/100
	if text, err = json.Marshal(meta); err != nil {
		t.Fatal(err)
	}
	loc := strings.Replace(tab.MetadataLocation(), "/metadata/0", "/metadata/1", 1)
	if err := files.WriteFile(loc, text); err != nil {
		t.Fatal(err)
	}
	if _, err := l.db.ExecContext(ctx, l.bind("UPDATE iceberg_tables SET metadata_location = ? WHERE metadata_location = ?"), loc, tab.MetadataLocation()); err != nil {
		t.Fatal(err)
	}
}

// CountManifests counts the manifests of a table's current snapshot.
func CountManifests(t testing.TB, l *Lake, name string) int {
	t.Helper()
	tab, err := l.load(t.Context(), name, l.catalog(nil))
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.manifestsAt(t.Context(), tab, name, tab.CurrentSnapshot().SnapshotID)
	if err != nil {
		t.Fatal(err)
	}
	return len(m.list)
}

// SparingApply compacts a partition of files of these sizes once, as Tend does, and
// returns the sizes then and the bytes that were rewritten.
func SparingApply(sizes []int64) (after []int64, rewritten int64) {
	files := make([]File, len(sizes))
	for i, n := range sizes {
		files[i] = File{Path: fmt.Sprint(i), Bytes: n}
	}
	gone := map[string]bool{}
	for _, w := range planCompaction(files, CompactOptions{TargetBytes: DefaultTargetBytes, MinFiles: DefaultTendFiles, Sparing: true}) {
		rewritten += bytesIn(w.in)
		after = append(after, bytesIn(w.in))
		for _, f := range w.in {
			gone[f.Path] = true
		}
	}
	for _, f := range files {
		if !gone[f.Path] {
			after = append(after, f.Bytes)
		}
	}
	return after, rewritten
}
