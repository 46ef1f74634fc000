package sql_test

import (
	"flag"
	"testing"

	"github.com/feedlake/feedlake/sql"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
	"github.com/feedlake/feedlake/transforms/enginetest"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the want.csv of the golden cases anew")
	m.Run()
}

func load(t *testing.T) *transforms.Graph {
	t.Helper()
	g, err := transforms.Load(sql.Models)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func openDuckDB(t *testing.T) transforms.Engine {
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

func TestGolden(t *testing.T) {
	enginetest.Golden(t, load(t), "testdata", openDuckDB, flag.Lookup("update").Value.String() == "true")
}

// TestHistories holds the rules of identity and versions on random histories.
func TestHistories(t *testing.T) {
	t.Run("posts", func(t *testing.T) {
		enginetest.Histories(t, load(t), openDuckDB, 4, "features.posts", "marts.volume")
	})
	t.Run("every table", func(t *testing.T) {
		enginetest.Histories(t, load(t), openDuckDB, 1)
	})
}
