package sql_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/sql"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
	"github.com/feedlake/feedlake/transforms/enginetest"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the want.csv of the golden cases anew")
	m.Run()
}

func load(t testing.TB) *transforms.Graph {
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

// TestStatesOfRuns wants marts.pipeline_runs to know the states of the ledger, all
// that a run can end in, and to find the same ones graver.
func TestStatesOfRuns(t *testing.T) {
	m, ok := load(t).Model("marts.pipeline_runs")
	if !ok {
		t.Fatal("no such model")
	}
	var names []string
	gravity := "case state"
	for _, s := range schedules.States() {
		if s.Ended() {
			names = append(names, string(s))
			gravity += fmt.Sprintf(" when '%s' then %d", s, len(names))
		}
	}
	if !strings.Contains(strings.Join(strings.Fields(m.SQL), " "), gravity+" end") {
		t.Errorf("the SQL does not order states as the ledger does: %s end", gravity)
	}
	i := slices.IndexFunc(m.Checks, func(c transforms.Check) bool { return c.Kind == transforms.Accepted })
	if diff := cmp.Diff(names, m.Checks[i].Values); diff != "" {
		t.Errorf("states that the check accepts (-ledger +check): %s", diff)
	}
}

// TestGrowth holds tables that grow batch by batch against tables that are built
// whole.
func TestGrowth(t *testing.T) {
	t.Run("posts", func(t *testing.T) {
		enginetest.Growth(t, load(t), openDuckDB, 2, 30, "features.posts", "features.entities", "marts.volume")
	})
	t.Run("every table", func(t *testing.T) {
		enginetest.Growth(t, load(t), openDuckDB, 1, 10)
	})
}

// TestHistories holds the rules of identity and versions on random histories.
func TestHistories(t *testing.T) {
	enginetest.Histories(t, load(t), openDuckDB, 4)
}
