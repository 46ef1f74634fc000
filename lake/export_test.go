package lake

import (
	"testing"
	"time"
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
