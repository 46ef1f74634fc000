package wiring

import (
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/metertest"
	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/serving/postgres/pgtest"
)

// TestMeter runs the contract of meters on the ledger, in a file and in
// PostgreSQL.
func TestMeter(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	for name, place := range map[string]func(t *testing.T) schedules.LedgerConfig{
		"sqlite": func(t *testing.T) schedules.LedgerConfig {
			return schedules.LedgerConfig{Path: filepath.Join(t.TempDir(), "ledger.db")}
		},
		"postgres": func(*testing.T) schedules.LedgerConfig {
			return schedules.LedgerConfig{DSN: pg.DSN("postgres"), Schema: "meter " + rand.Text()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			metertest.Run(t, func(t *testing.T, now func() time.Time, budgets map[string]ingest.Budget) ingest.Meter {
				at := place(t)
				at.Now = now
				l, err := schedules.OpenLedger(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := l.Close(); err != nil {
						t.Error(err)
					}
				})
				return meter{l, budgets}
			})
		})
	}
}
