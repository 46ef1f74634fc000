package duckdb_test

import (
	"testing"

	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
	"github.com/feedlake/feedlake/transforms/enginetest"
)

func open(t *testing.T) transforms.Engine {
	t.Helper()
	e, err := duckdb.Open(t.Context(), duckdb.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestContract(t *testing.T) {
	enginetest.Run(t, open)
}
