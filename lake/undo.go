package lake

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"strings"

	"github.com/apache/iceberg-go/table"
)

// summaryUndo keeps, in a snapshot that moved state properties, what they were
// before: a JSON object, "" for absent. Restore walks back along it.
const summaryUndo = "feedlake.undo"

// maxUndo bounds an undo in a summary: every commit rewrites all summaries, so a
// long one would make the table slow for good. A longer one is a file beside the
// table's metadata, which the summary names after undoFile; it lives as long as
// its snapshot.
const (
	maxUndo  = 2 << 10
	undoFile = "file:"
)

// undoOf spells what the state properties of set are before they are set, as it
// stands in a snapshot's summary.
func (l *Lake) undoOf(ctx context.Context, t *table.Table, set map[string]string) (string, error) {
	undo, have := map[string]string{}, t.Properties()
	for k, v := range set {
		if isState(k) && have[k] != v {
			undo[k] = have[k]
		}
	}
	text, err := json.Marshal(undo)
	if err != nil {
		return "", fmt.Errorf("spell properties: %w", err)
	}
	if len(text) <= maxUndo {
		return string(text), nil
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(text); err != nil {
		return "", fmt.Errorf("pack properties: %w", err)
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("pack properties: %w", err)
	}
	name := "undo-" + strings.ToLower(rand.Text()) + ".json.gz"
	at, ok := l.inWarehouse(undoPlace(t.Metadata(), name))
	if !ok {
		return "", fmt.Errorf("keep properties: table lies in %s, outside the warehouse", t.Location())
	}
	err = l.ic("create", at, func() error { return l.store.notes().write(ctx, at, packed.Bytes(), false) })
	if err != nil {
		return "", fmt.Errorf("keep properties: %w", err)
	}
	return undoFile + name, nil
}

// undoPlace is the location of a file with an undo.
func undoPlace(meta table.Metadata, name string) string {
	return meta.Location() + "/metadata/" + path.Base(name)
}

// undoFileOf is the location of the file that a snapshot's undo is in; "" when it
// stands in the summary.
func undoFileOf(meta table.Metadata, s *table.Snapshot) string {
	if s.Summary == nil {
		return ""
	}
	name, ok := strings.CutPrefix(s.Summary.Properties[summaryUndo], undoFile)
	if !ok {
		return ""
	}
	return undoPlace(meta, name)
}

// readUndo reads what the state properties were before a snapshot.
func (l *Lake) readUndo(ctx context.Context, meta table.Metadata, s *table.Snapshot) (undo map[string]string, err error) {
	var text []byte
	if loc := undoFileOf(meta, s); loc != "" {
		name, _ := l.inWarehouse(loc)
		if text, err = l.store.notes().read(ctx, name); err != nil {
			return nil, err
		}
		r, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		if text, err = io.ReadAll(r); err != nil {
			return nil, err
		}
	} else if s.Summary != nil {
		text = []byte(s.Summary.Properties[summaryUndo])
	}
	return undo, json.Unmarshal(text, &undo)
}

// undoTo walks back from the current snapshot; lost says where the way ends
// before it gets there.
func (l *Lake) undoTo(ctx context.Context, meta table.Metadata, snapshot int64) (set map[string]string, lost string) {
	set = map[string]string{}
	for s := meta.CurrentSnapshot(); s != nil && s.SnapshotID != snapshot; {
		undo, err := l.readUndo(ctx, meta, s)
		if err != nil {
			return nil, fmt.Sprintf("snapshot %d does not tell what it changed", s.SnapshotID)
		}
		maps.Copy(set, undo)
		if s.ParentSnapshotID == nil {
			return nil, "it is not among those before the current one"
		}
		parent := meta.SnapshotByID(*s.ParentSnapshotID)
		if parent == nil {
			return nil, fmt.Sprintf("snapshot %d has expired", *s.ParentSnapshotID)
		}
		s = parent
	}
	return set, ""
}
