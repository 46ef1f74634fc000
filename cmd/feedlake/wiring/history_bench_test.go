package wiring

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // fills the ledger without running anything

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/schedules"
)

// runsADay is the pace of the benchmark's history.
const runsADay = 400

// pastRuns opens a lake whose ledger knows n runs of three steps, all of them
// recorded.
func pastRuns(b *testing.B, n int) *App {
	b.Helper()
	c := config.Default()
	c.Lake.Dir = b.TempDir()
	c.Care.Auto = false
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	open := func() *App {
		a, err := Open(b.Context(), c, Options{Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler), Progress: func(context.Context, string, int64, int64, string, string) {}})
		if err != nil {
			b.Fatal(err)
		}
		return a
	}
	if err := open().Close(); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(c.Lake.Dir, "ledger.db"))
	if err != nil {
		b.Fatal(err)
	}
	for _, text := range []string{
		`with recursive c(n) as (select 1 union all select n + 1 from c where n < ?1)
		 insert into runs (seq, id, job, lock, win_start, win_end, due, try, state, started, ended, session, host, pid, error, place)
		 select n, 'past-' || n, 'run', 'lake', '', '', '', 1, 'done', t, t, null, 'h', 1, '', n
		 from (select n, strftime('%Y-%m-%dT%H:%M:%f000Z', '2026-11-30', '-' || ((?1 - n) * 86400 / ?2) || ' seconds') as t from c)`,
		`insert into steps (run, job, try, state, started, ended, rows_in, rows_out, rejects, detail, error, kind)
		 select id, s, 1, 'done', started, ended, 10, 10, 0, '', '', s from runs, (select 'ingest' as s union all select 'score' union all select 'publish') where ?1 > 0 and ?2 > 0`,
	} {
		if _, err := db.ExecContext(b.Context(), text, n, runsADay); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	a := open()
	b.Cleanup(func() { _ = a.Close() })
	if err := a.Record(b.Context()); err != nil {
		b.Fatal(err)
	}
	return a
}

// recordCost is the CPU time of recording one more run, and of what status asks.
func recordCost(b *testing.B, a *App, n int) time.Duration {
	b.Helper()
	var total time.Duration
	for range n {
		r := schedules.Runner{Ledger: a.Ledger}
		if _, err := r.Run(b.Context(), schedules.Run{Job: "run", Lock: schedules.Unlocked}, []schedules.Job{{Name: "ingest", Kind: "ingest", Run: func(context.Context, feedlake.Window) error { return nil }}}); err != nil {
			b.Fatal(err)
		}
		start := used(b)
		if err := a.Record(b.Context()); err != nil {
			b.Fatal(err)
		}
		if runs, err := a.Ledger.Runs(b.Context(), schedules.Filter{Limit: 10}); err != nil || len(runs) != 10 {
			b.Fatal(len(runs), err)
		}
		total += used(b) - start
	}
	return total / time.Duration(n)
}

func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHistory records a run after 100,000 others and after 400, and tells how
// many times as much processor time the former takes.
func BenchmarkHistory(b *testing.B) {
	for range b.N {
		small, large := pastRuns(b, runsADay), pastRuns(b, 100_000)
		few, many := recordCost(b, small, 10), recordCost(b, large, 10)
		b.ReportMetric(few.Seconds()*1000, "ms/record-400-runs")
		b.ReportMetric(many.Seconds()/few.Seconds(), "x-record-100k-runs")
		cur, err := large.Lake.Current(b.Context(), "marts.pipeline_runs")
		if err != nil {
			b.Fatal(err)
		}
		files, err := large.Lake.Files(b.Context(), "marts.pipeline_runs", cur.ID)
		if err != nil {
			b.Fatal(err)
		}
		if n := rows(files); n != 100_010 {
			b.Fatal(fmt.Sprint(n, " runs in the mart"))
		}
	}
}

func rows(files []lake.File) (n int64) {
	for _, f := range files {
		n += f.Rows
	}
	return n
}
