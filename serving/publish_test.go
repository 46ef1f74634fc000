package serving_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/serving"
)

// sentBatch is what a target received of a batch.
type sentBatch struct {
	ID      string
	From    string
	Key     []string
	Windows []string
	Rows    []string
}

// fakeTarget remembers batches, and fails the tables named in fail.
type fakeTarget struct {
	sent []sentBatch
	held map[string]serving.Published
	fail map[string]error
	once bool // fail only once
}

func (f *fakeTarget) Published(_ context.Context, table string) (serving.Published, error) {
	return f.held[table], nil
}

func (f *fakeTarget) Publish(_ context.Context, b serving.Batch) error {
	if err := b.Validate(); err != nil {
		return err
	}
	if err := f.fail[b.Table]; err != nil {
		if f.once {
			delete(f.fail, b.Table)
		}
		return err
	}
	s := sentBatch{ID: b.ID, Key: b.Key, From: b.Provenance.Model + " of " + b.Provenance.Inputs + " by " + b.Provenance.RunID}
	for _, w := range b.Windows {
		s.Windows = append(s.Windows, w.Start.Format(time.DateOnly)+"/"+w.End.Format(time.DateOnly))
	}
	for row, err := range b.Checked() {
		if err != nil {
			return err
		}
		s.Rows = append(s.Rows, fmt.Sprint(row...))
	}
	f.sent = append(f.sent, s)
	f.held[b.Table] = serving.Published{Snapshot: b.Provenance.Snapshot, BatchID: b.ID}
	return nil
}

type volumeRow struct {
	Day    int32    `parquet:"day,optional,date"`
	Source string   `parquet:"source,optional"`
	Posts  *int64   `parquet:"posts,optional"`
	Tags   []string `parquet:"tags,optional,list"`
}

type publishFixture struct {
	*fakeTarget
	lake *lake.Lake
	opts serving.PublishOptions
}

func newPublishFixture(t *testing.T) *publishFixture {
	t.Helper()
	now := func() time.Time { return time.Date(2016, 10, 10, 0, 0, 0, 0, time.UTC) }
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	l, err := lake.Open(t.Context(), lake.Config{Dir: t.TempDir(), Now: now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	db, err := query.Open(t.Context(), query.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	f := &publishFixture{lake: l, fakeTarget: &fakeTarget{held: map[string]serving.Published{}, fail: map[string]error{}}}
	f.opts = serving.PublishOptions{Lake: l, DB: db, Publisher: f, Name: "fake", RunID: "run-1", Now: now, Log: log}
	for _, table := range []string{"marts.volume", "marts.other"} {
		f.ensure(t, table)
	}
	return f
}

func (f *publishFixture) ensure(t *testing.T, table string) {
	t.Helper()
	spec := lake.Spec{
		Name: table, Partition: []string{"day"}, Key: []string{"day", "source"},
		Columns: []lake.Column{{Name: "day", Type: "DATE"}, {Name: "source", Type: "VARCHAR"}, {Name: "posts", Type: "BIGINT"}, {Name: "tags", Type: "VARCHAR[]"}},
	}
	if err := f.lake.Ensure(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
}

// put replaces days of a table: each with the number of posts, 0 for none.
func (f *publishFixture) put(t *testing.T, table string, days map[int]int64) lake.Snapshot {
	t.Helper()
	c := lake.Commit{Table: table, Summary: map[string]string{"feedlake.model": table + "@abc", "feedlake.inputs": "features.posts@7"}}
	for day, posts := range days {
		date := time.Date(2016, 10, day, 0, 0, 0, 0, time.UTC)
		p := lake.MakePartition("day", date.Format(time.DateOnly))
		c.Replace = append(c.Replace, p)
		if posts == 0 {
			continue
		}
		path, err := lake.WriteRows(t.Context(), f.lake, table, p, []volumeRow{{Day: int32(date.Unix() / 86400), Source: "reddit", Posts: &posts, Tags: []string{"a"}}})
		if err != nil {
			t.Fatal(err)
		}
		c.Add = append(c.Add, path)
	}
	s, err := f.lake.Commit(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// publish returns what arrived, sorted out of map order, and the states.
func (f *publishFixture) publish(t *testing.T) ([]sentBatch, string, error) {
	t.Helper()
	f.sent = nil
	res, err := serving.Publish(t.Context(), f.opts)
	var states []string
	for _, r := range res.Tables {
		states = append(states, fmt.Sprintf("%s %s %d", strings.TrimPrefix(r.Table, "marts."), r.State, r.Rows))
	}
	return f.sent, strings.Join(states, ", "), err
}

func publishedDay(d int, posts int64) string {
	return fmt.Sprintf("2016-10-%02d 00:00:00 +0000 UTCreddit%d [a]", d, posts)
}

func TestPublish(t *testing.T) {
	f := newPublishFixture(t)
	first := f.put(t, "marts.volume", map[int]int64{1: 10, 2: 20, 3: 30, 4: 40, 5: 50})
	key, from := []string{"day", "source"}, "marts.volume@abc of features.posts@7 by run-1"

	step := func(name, states string, want ...sentBatch) {
		t.Helper()
		got, gotStates, err := f.publish(t)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if gotStates != states {
			t.Errorf("%s: %s; want %s", name, gotStates, states)
		}
	}
	step("first time", "other no data yet 0, volume published 5",
		sentBatch{ID: fmt.Sprintf("marts.volume@%d", first.ID), From: from, Key: key, Rows: []string{publishedDay(1, 10), publishedDay(2, 20), publishedDay(3, 30), publishedDay(4, 40), publishedDay(5, 50)}})
	step("again", "other no data yet 0, volume nothing new 0")

	second := f.put(t, "marts.volume", map[int]int64{2: 21, 4: 0, 5: 51})
	f.put(t, "marts.other", map[int]int64{7: 70})
	got, _, err := f.publish(t)
	if err != nil || len(got) != 2 {
		t.Fatalf("changed days: %d batches, %v", len(got), err)
	}
	want := sentBatch{
		ID: fmt.Sprintf("marts.volume@%d after %d", second.ID, first.ID), From: from, Key: key,
		Windows: []string{"2016-10-02/2016-10-03", "2016-10-04/2016-10-06"}, Rows: []string{publishedDay(2, 21), publishedDay(5, 51)},
	}
	if d := cmp.Diff(want, got[1]); d != "" {
		t.Errorf("changed days (-want +got):\n%s", d)
	}

	f.held["marts.volume"] = serving.Published{Snapshot: 12345} // another lake's, or expired
	step("unknown snapshot", "other nothing new 0, volume published 4",
		sentBatch{ID: fmt.Sprintf("marts.volume@%d", second.ID), From: from, Key: key, Rows: []string{publishedDay(1, 10), publishedDay(2, 21), publishedDay(3, 30), publishedDay(5, 51)}})
}

// TestPublishSources publishes a table whose partitions are source and day: a
// changed day is sent with all its sources.
func TestPublishSources(t *testing.T) {
	f := newPublishFixture(t)
	const table = "features.counts"
	spec := lake.Spec{
		Name: table, Partition: []string{"source", "day"}, Key: []string{"source", "day"},
		Columns: []lake.Column{{Name: "day", Type: "DATE"}, {Name: "source", Type: "VARCHAR"}, {Name: "posts", Type: "BIGINT"}, {Name: "tags", Type: "VARCHAR[]"}},
	}
	if err := f.lake.Ensure(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	put := func(posts int64, cells ...[2]string) {
		t.Helper()
		c := lake.Commit{Table: table}
		for _, cell := range cells {
			day, err := time.Parse(time.DateOnly, cell[1])
			if err != nil {
				t.Fatal(err)
			}
			p := lake.MakePartition("source", cell[0], "day", cell[1])
			path, err := lake.WriteRows(t.Context(), f.lake, table, p, []volumeRow{{Day: int32(day.Unix() / 86400), Source: cell[0], Posts: &posts}})
			if err != nil {
				t.Fatal(err)
			}
			c.Add, c.Replace = append(c.Add, path), append(c.Replace, p)
		}
		if _, err := f.lake.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	f.opts.Tables = []string{table}
	put(1, [2]string{"a", "2016-10-01"}, [2]string{"a", "2016-10-03"}, [2]string{"b", "2016-10-01"}, [2]string{"b", "2016-10-02"}, [2]string{"b", "2016-10-03"})
	if _, _, err := f.publish(t); err != nil {
		t.Fatal(err)
	}
	put(2, [2]string{"a", "2016-10-03"}, [2]string{"b", "2016-10-01"})
	got, _, err := f.publish(t)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d batches, %v", len(got), err)
	}
	if d := cmp.Diff([]string{"2016-10-01/2016-10-02", "2016-10-03/2016-10-04"}, got[0].Windows); d != "" {
		t.Errorf("windows (-want +got):\n%s", d)
	}
	if len(got[0].Rows) != 4 {
		t.Errorf("rows %v, want two days of two sources", got[0].Rows)
	}
}

func TestPublishFaults(t *testing.T) {
	broken := errors.New("server gone")
	for _, c := range []struct {
		name   string
		fail   map[string]error
		once   bool
		tables []string
		want   error
		states string
	}{
		{"rejected goes on", map[string]error{"marts.other": feedlake.ErrRejected}, false, nil, feedlake.ErrPartial, "other failed 0, volume published 1"},
		{"anything else stops", map[string]error{"marts.other": broken}, false, nil, broken, "other failed 0"},
		{"lost a race once", map[string]error{"marts.other": feedlake.ErrConflict}, true, nil, nil, "other published 1, volume published 1"},
		{"lost every race", map[string]error{"marts.other": feedlake.ErrConflict}, false, nil, feedlake.ErrConflict, "other failed 0"},
		{"only rejected", map[string]error{"marts.other": feedlake.ErrRejected}, false, []string{"marts.other"}, feedlake.ErrRejected, "other failed 0"},
		{"unknown table", nil, false, []string{"marts.nope"}, feedlake.ErrNotFound, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newPublishFixture(t)
			f.put(t, "marts.volume", map[int]int64{1: 10})
			f.put(t, "marts.other", map[int]int64{1: 10})
			f.fail, f.once, f.opts.Tables = c.fail, c.once, c.tables
			_, states, err := f.publish(t)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if states != c.states {
				t.Errorf("states %q, want %q", states, c.states)
			}
		})
	}
}

// TestPublishAfterCompaction sends no row of tables that were only compacted; of
// one with days the provenance moves on, so that its snapshot may expire.
func TestPublishAfterCompaction(t *testing.T) {
	f := newPublishFixture(t)
	spec := lake.Spec{Name: "marts.whole", Key: []string{"source"}, Columns: []lake.Column{{Name: "source", Type: "VARCHAR"}, {Name: "posts", Type: "BIGINT"}}}
	if err := f.lake.Ensure(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	add := func(table string, p lake.Partition, row any) {
		t.Helper()
		var path string
		var err error
		switch r := row.(type) {
		case volumeRow:
			path, err = lake.WriteRows(t.Context(), f.lake, table, p, []volumeRow{r})
		case wholeRow:
			path, err = lake.WriteRows(t.Context(), f.lake, table, p, []wholeRow{r})
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.lake.Commit(t.Context(), lake.Commit{Table: table, Add: []string{path}, Summary: map[string]string{"feedlake.model": table + "@abc"}}); err != nil {
			t.Fatal(err)
		}
	}
	day := time.Date(2016, 10, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3 {
		posts := int64(i)
		add("marts.volume", "day=2016-10-01", volumeRow{Day: int32(day.Unix() / 86400), Source: fmt.Sprint(i), Posts: &posts})
		add("marts.whole", "", wholeRow{Source: fmt.Sprint(i), Posts: posts})
	}
	if _, states, err := f.publish(t); err != nil || states != "other no data yet 0, volume published 3, whole published 3" {
		t.Fatalf("%s, %v", states, err)
	}
	rep, err := f.lake.Compact(t.Context(), lake.CompactOptions{MinFiles: 2, Rewrite: f.opts.DB.Rewrite})
	if err != nil || len(rep.Partitions) != 2 {
		t.Fatalf("compacted %+v, %v", rep.Partitions, err)
	}
	sent, states, err := f.publish(t)
	if err != nil || states != "other no data yet 0, volume published 0, whole nothing new 0" {
		t.Errorf("%s, %v", states, err)
	}
	if len(sent) != 1 || len(sent[0].Windows)+len(sent[0].Rows) != 0 || !strings.HasPrefix(sent[0].From, "marts.volume@abc") {
		t.Errorf("sent %+v", sent)
	}
	add("marts.whole", "", wholeRow{Source: "new", Posts: 1})
	if _, states, err = f.publish(t); err != nil || states != "other no data yet 0, volume nothing new 0, whole published 4" {
		t.Errorf("%s, %v", states, err)
	}
}

type wholeRow struct {
	Source string `parquet:"source,optional"`
	Posts  int64  `parquet:"posts"`
}
