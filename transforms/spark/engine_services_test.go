//go:build services

package spark_test

import (
	"log/slog"
	"os"
	"testing"

	"github.com/feedlake/feedlake/sql"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/enginetest"
	"github.com/feedlake/feedlake/transforms/spark"
)

// address is the Spark Connect server of the tests.
func address(t testing.TB) string {
	t.Helper()
	a := os.Getenv("FEEDLAKE_TEST_SPARK")
	if a == "" {
		t.Fatal("FEEDLAKE_TEST_SPARK does not name a Spark Connect server: make services-up")
	}
	return a
}

func log(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func open(t *testing.T) transforms.Engine {
	t.Helper()
	return openWith(t, spark.Options{Remote: address(t)})
}

func openWith(t testing.TB, o spark.Options) transforms.Engine {
	t.Helper()
	o.Log = log(t)
	e, err := spark.Open(t.Context(), o)
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

func TestServiceContract(t *testing.T) {
	enginetest.Run(t, open)
}

// TestServiceGolden runs the golden cases of every model: rows and types are
// DuckDB's.
func TestServiceGolden(t *testing.T) {
	g, err := transforms.Load(sql.Models)
	if err != nil {
		t.Fatal(err)
	}
	enginetest.Golden(t, g, "../../sql/testdata", open, false)
}

// TestServiceHistories holds the rules of identity and versions on random
// histories.
func TestServiceHistories(t *testing.T) {
	g, err := transforms.Load(sql.Models)
	if err != nil {
		t.Fatal(err)
	}
	enginetest.Histories(t, g, open, 1, "features.posts", "marts.volume")
}

// TestServiceGrowth holds tables that grow batch by batch against tables that are
// built whole.
func TestServiceGrowth(t *testing.T) {
	g, err := transforms.Load(sql.Models)
	if err != nil {
		t.Fatal(err)
	}
	enginetest.Growth(t, g, open, 1, 8, "features.posts", "marts.volume")
}
