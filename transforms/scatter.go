package transforms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// scatterModel stands for the rules of this file where a table says what made it:
// another one makes the table anew.
const scatterModel = "features.scattered@1"

// scatterMemory bounds the DuckDB that looks for scattered posts; it spills beyond.
const scatterMemory = "1GB"

// scatter is one look for the posts whose versions lie in more than one partition
// of raw.posts. A model computes a partition from that partition's files alone, so
// it cannot see the other versions; this step looks for them by id and leaves what
// a partition must know in features.scattered. It costs a look at the ids of the
// sources' posts, and a look at the few posts that it finds.
type scatter struct {
	*runner
	st      state
	raw     source            // raw.posts
	files   []lake.File       // of features.scattered
	network map[string]string // source to the platform of its ids
	db      *query.DB
}

// scattered brings features.scattered up to date where a chosen model reads it.
func (r *runner) scattered(ctx context.Context, models []Model) error {
	table := lake.Scattered().Name
	reads := func(m Model) bool {
		return slices.ContainsFunc(m.Inputs, func(in Input) bool { return in.Table == table })
	}
	if !slices.ContainsFunc(models, reads) {
		return nil
	}
	err := r.scatter(ctx)
	if errors.Is(err, feedlake.ErrConflict) { // another run was faster: look at what it left
		r.arrived = nil
		err = r.scatter(ctx)
	}
	if err != nil {
		return fmt.Errorf("look for scattered posts: %w", err)
	}
	return nil
}

func (r *runner) scatter(ctx context.Context) (err error) {
	start := r.Now()
	s := &scatter{runner: r}
	if ready, err := s.pin(ctx); err != nil || !ready {
		return err
	}
	if !s.whole() {
		came := r.arrivals(ctx, &s.raw, s.st.Inputs[s.raw.table], s.network)
		r.arrived = came
		if came != nil && len(came.known) == 0 {
			_, _, err := s.publish(ctx, nil)
			return err
		}
	}
	var spill string
	if s.db, spill, err = openSpilling(ctx, r.TempDir, "scatter-", scatterMemory, r.Parallel); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.db.Close(), os.RemoveAll(spill)) }()
	parts, rows, err := s.compute(ctx)
	if err != nil {
		return err
	}
	if len(parts) > 0 {
		r.Log.InfoContext(ctx, "placed scattered posts", "rows", rows, "partitions", len(parts), "took", r.Now().Sub(start))
	}
	return nil
}

// pin reads what there is. ready is false when there is nothing to do.
func (s *scatter) pin(ctx context.Context) (ready bool, err error) {
	raw := lake.RawPosts()
	if _, err := s.Lake.Columns(ctx, raw.Name); errors.Is(err, feedlake.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	for _, spec := range []lake.Spec{raw, lake.Scattered()} { // a lake of before lacks columns
		if err := s.Lake.Ensure(ctx, spec); err != nil {
			return false, err
		}
	}
	if s.st, err = readState(ctx, s.Lake, lake.Scattered().Name); err != nil {
		return false, err
	}
	m := Model{Name: lake.Scattered().Name, Inputs: []Input{{Table: raw.Name}}}
	inputs, err := s.runner.pin(ctx, &m, &s.st)
	if err != nil {
		return false, err
	}
	s.raw = inputs[0]
	if s.network, err = s.Lake.Properties(ctx, raw.Name, lake.PropertyNetwork); err != nil {
		return false, err
	}
	if s.files, err = s.filesAt(ctx, lake.Scattered().Name, s.st.Base); err != nil {
		return false, err
	}
	return s.whole() || s.st.Inputs[raw.Name] != s.raw.snapshot, nil
}

// model names what the rows depend on beside raw.posts: the rules, and which
// sources are of which network.
func (s *scatter) model() string {
	var text strings.Builder
	text.WriteString(scatterModel)
	for _, source := range slices.Sorted(maps.Keys(s.network)) {
		text.WriteString(" " + strconv.Quote(source) + "=" + s.network[source])
	}
	return text.String()
}

// whole reports whether every post must be looked at.
func (s *scatter) whole() bool {
	return !s.st.Built || s.Full || s.st.Lost != "" || s.st.Model != s.model()
}

// compute finds the scattered posts, and commits the partitions whose rows differ.
func (s *scatter) compute(ctx context.Context) (parts []lake.Partition, rows int64, err error) {
	whole := s.whole()
	if err := s.views(ctx, whole); err != nil {
		return nil, 0, err
	}
	if !whole {
		if err := s.exec(ctx, touchedSQL, whole); err != nil {
			return nil, 0, err
		}
	}
	if err := s.exec(ctx, spreadSQL, whole); err != nil {
		return nil, 0, err
	}
	if err := s.places(ctx); err != nil {
		return nil, 0, err
	}
	for _, statement := range []string{versionsSQL, freshSQL, staleSQL, nextSQL} {
		if err := s.exec(ctx, statement, whole); err != nil {
			return nil, 0, err
		}
	}
	moved, err := s.db.Texts(ctx, spelled(movedSQL, whole))
	if err != nil {
		return nil, 0, err
	}
	return s.publish(ctx, moved)
}

func (s *scatter) exec(ctx context.Context, statement string, whole bool) error {
	_, err := s.db.SQL().ExecContext(ctx, spelled(statement, whole))
	return err
}

// views shows DuckDB the files, and the groups of sources.
func (s *scatter) views(ctx context.Context, whole bool) error {
	posts, rows := s.raw.files, s.files
	var added, known []lake.File
	if a := s.arrived; a != nil && !whole { // what came for the first time stands in one partition
		posts, rows = filesIn(posts, a.places), filesIn(rows, a.places)
		for _, d := range s.raw.changed {
			if a.known[d.Partition] {
				added = append(added, d.Added...)
			}
		}
	} else if !whole {
		changed := map[lake.Partition]bool{}
		for _, d := range s.raw.changed {
			changed[d.Partition] = true
			added = append(added, d.Added...)
		}
		known = filesIn(s.files, changed)
	}
	cols := lake.Scattered().Columns
	err := errors.Join(
		s.db.ViewOf(ctx, s.Lake, "scatter.posts", s.raw.columns, posts),
		s.db.ViewOf(ctx, s.Lake, "scatter.added", s.raw.columns, added),
		s.db.ViewOf(ctx, s.Lake, "scatter.rows", cols, rows),
		s.db.ViewOf(ctx, s.Lake, "scatter.known", cols, known),
	)
	if err != nil {
		return err
	}
	return s.sources(ctx)
}

// filesIn keeps the files of some partitions.
func filesIn(files []lake.File, parts map[lake.Partition]bool) (out []lake.File) {
	for _, f := range files {
		if parts[f.Partition] {
			out = append(out, f)
		}
	}
	return out
}

// sources makes the table of groups. A source without a network is a group of its
// own; no name of a network holds the separator.
func (s *scatter) sources(ctx context.Context) error {
	groups := map[string]string{}
	for _, f := range slices.Concat(s.raw.files, s.files) {
		if name, _ := f.Partition.Value("source"); groups[name] == "" {
			groups[name] = "source:" + name
			if n := s.network[name]; n != "" {
				groups[name] = n
			}
		}
	}
	if _, err := s.db.SQL().ExecContext(ctx, "create or replace table scatter.sources (source varchar, grp varchar)"); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		if _, err := s.db.SQL().ExecContext(ctx, "insert into scatter.sources values (?, ?)", name, groups[name]); err != nil {
			return err
		}
	}
	return nil
}

// places shows the files of the partitions that hold scattered posts.
func (s *scatter) places(ctx context.Context) error {
	list, err := s.db.Texts(ctx, placesSQL)
	if err != nil {
		return err
	}
	in := map[lake.Partition]bool{}
	for _, text := range list {
		in[placeOf(text)] = true
	}
	var files []lake.File
	for _, f := range s.raw.files {
		if in[f.Partition] {
			files = append(files, f)
		}
	}
	return s.db.ViewOf(ctx, s.Lake, "scatter.places", s.raw.columns, files)
}

// placeOf is the partition that a query spells as a source and a day.
func placeOf(text string) lake.Partition {
	i := strings.LastIndexByte(text, '\n')
	return lake.MakePartition("source", text[:i], "day", text[i+1:])
}

// publish writes the partitions and lands them with the state.
func (s *scatter) publish(ctx context.Context, moved []string) (parts []lake.Partition, rows int64, err error) {
	var staged []string
	for _, text := range moved {
		p := placeOf(text)
		path, n, err := s.write(ctx, p)
		if err != nil {
			s.Lake.Discard(staged...)
			return nil, 0, err
		}
		if n > 0 {
			staged = append(staged, path)
		}
		parts, rows = append(parts, p), rows+n
	}
	in, err := properties(&Model{Name: lake.Scattered().Name, Hash: s.model()}, []source{s.raw}, nil)
	if err != nil {
		return nil, 0, err
	}
	_, err = s.Lake.CommitOrAsk(ctx, lake.Commit{
		Table: lake.Scattered().Name, ID: fmt.Sprintf("scatter/%s/%d/%d", s.RunID, s.raw.snapshot, s.st.Base),
		Add: staged, Replace: parts, Base: s.st.Base, Set: in,
		Expect:  map[string]string{PropertyInputs: s.st.raw},
		Summary: map[string]string{lake.SummaryRunID: s.RunID, lake.SummaryModel: scatterModel, lake.SummaryInputs: provenance([]source{s.raw})},
	})
	if errors.Is(err, feedlake.ErrConflict) {
		s.Lake.Discard(staged...)
	}
	return parts, rows, err
}

// write writes the rows of one partition; an empty one has no file.
func (s *scatter) write(ctx context.Context, p lake.Partition) (path string, rows int64, err error) {
	if path, err = s.Lake.NewPath(lake.Scattered().Name, p); err != nil {
		return "", 0, err
	}
	name, _ := p.Value("source")
	day, _ := p.Value("day")
	list := make([]string, 0, len(lake.Scattered().Columns))
	for _, c := range lake.Scattered().Columns {
		list = append(list, query.Ident(c.Name))
	}
	from := fmt.Sprintf("from scatter.next where source = %s and day = date %s", query.Quote(name), query.Quote(day))
	if err := s.db.SQL().QueryRowContext(ctx, "select count(*) "+from).Scan(&rows); err != nil || rows == 0 {
		return "", 0, err
	}
	_, err = s.db.SQL().ExecContext(ctx, "copy (select "+strings.Join(list, ", ")+" "+from+" order by id) to "+query.Quote(path)+" (format parquet, compression zstd)")
	if err != nil {
		return "", 0, err
	}
	landed, err := s.Lake.Land(ctx, path)
	if err != nil {
		return "", 0, err
	}
	return landed[0], rows, nil
}
