package serving

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// judgedPart is what came of one partition.
type judgedPart struct {
	part                    scorePart
	path                    string // of the new file; "": no row
	rows                    int
	scored, language, empty int64
}

// scoreBatch is some posts of a partition on their way.
type scoreBatch struct {
	rows         []ScoreRow
	texts, langs []string
	got          []Sentiment
}

// choose returns the version for a partition: the one that judged it first, while
// it can be opened, else the one in use.
func (s *scoring) choose(ctx context.Context, db *query.Session, p scorePart) (version int, judge Judge, err error) {
	version = s.Version
	if !p.again && len(p.scores) > 0 {
		var first *int
		err := db.SQL().QueryRowContext(ctx, "select min(model_version) from scoring.scores where model = ?", s.Model).Scan(&first)
		if err != nil {
			return 0, judge, err
		}
		if first != nil {
			version = *first
		}
	}
	return chooseVersion(ctx, map[int]Judge{}, version, s.Version, s.Open)
}

// waiting yields the posts of a partition that have no row.
const waiting = `
select p.source, p.id, cast(cast(p.day as date) - date '1970-01-01' as integer), p.text_md5, p.text, split_part(lower(p.lang), '-', 1)
from scoring.posts p
where p.text is not null and p.kind is distinct from 'repost'
  and not exists (select 1 from scoring.scores s where s.id = p.id and s.text_md5 = p.text_md5 and s.model = ?)
order by p.id`

// partition scores one partition into one new file. Batches are judged side by
// side while the next ones are read; their rows are written in order.
func (s *scoring) partition(ctx context.Context, p scorePart) (j judgedPart, err error) {
	w, j, err := s.judgePart(ctx, p)
	if err != nil {
		if w != nil {
			w.Abort()
		}
		return j, fmt.Errorf("score posts of %s: %w", p.name, err)
	}
	if w != nil { // without a reader's place: it waits for the disk
		j.path, err = w.Close(ctx)
	}
	return j, err
}

// judgePart judges the posts of one partition. The writer is nil when it has no
// row.
func (s *scoring) judgePart(ctx context.Context, p scorePart) (w *lake.RowWriter[ScoreRow], j judgedPart, err error) {
	j.part = p
	if err := s.readers.Acquire(ctx, 1); err != nil {
		return nil, j, err
	}
	defer s.readers.Release(1)
	db, err := s.DB.Session(ctx)
	if err != nil {
		return nil, j, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := s.views(ctx, db, p); err != nil {
		return nil, j, err
	}
	version, judge, err := s.choose(ctx, db, p)
	if err != nil {
		return nil, j, err
	}
	write := func(b scoreBatch) (err error) {
		if w == nil {
			if w, err = lake.NewRowWriter[ScoreRow](s.Lake, scoredTable, p.name); err != nil {
				return err
			}
		}
		s.fill(&j, b, judge, version)
		return w.Write(b.rows)
	}
	l := newLine(ctx, s.Parallel, write, func(scoreBatch) {})
	err = db.Arrow(ctx, func(b arrow.RecordBatch) error {
		return split(b, func(b scoreBatch) error {
			return l.add(func(ctx context.Context) (scoreBatch, error) { return s.ask(ctx, b, judge, version) })
		})
	}, waiting, s.Model)
	if first := l.wait(); first != nil {
		err = first
	}
	return w, j, err
}

// views shows a session the posts of a partition, and the rows that they have.
func (s *scoring) views(ctx context.Context, db *query.Session, p scorePart) error {
	old := p.scores
	if p.again {
		old = nil
	}
	for _, v := range []struct {
		name, table string
		files       []lake.File
	}{{"posts", scoredInput, p.posts}, {"scores", scoredTable, old}} {
		cols, err := s.Lake.Columns(ctx, v.table)
		if err != nil {
			return err
		}
		if err := db.ViewOf(ctx, s.Lake, "scoring."+v.name, cols, v.files); err != nil {
			return err
		}
	}
	return nil
}

// split cuts one batch of the query's result into batches for a Scorer. Their
// texts are copies: the result's are gone when it returns.
func split(b arrow.RecordBatch, add func(scoreBatch) error) error {
	text := make([]*array.String, 0, 5)
	for _, i := range []int{0, 1, 3, 4, 5} {
		c, ok := b.Column(i).(*array.String)
		if !ok {
			return fmt.Errorf("column %s is %s, want text", b.ColumnName(i), b.Column(i).DataType())
		}
		text = append(text, c)
	}
	days, ok := b.Column(2).(*array.Int32)
	if !ok {
		return fmt.Errorf("column %s is %s, want days", b.ColumnName(2), b.Column(2).DataType())
	}
	for from := 0; from < int(b.NumRows()); from += scoreTexts {
		n := min(scoreTexts, int(b.NumRows())-from)
		out := scoreBatch{rows: make([]ScoreRow, n), texts: make([]string, n), langs: make([]string, n)}
		for i := range n {
			at := from + i
			out.rows[i] = ScoreRow{
				Source: strings.Clone(text[0].Value(at)), ID: strings.Clone(text[1].Value(at)), Day: days.Value(at), TextMD5: strings.Clone(text[2].Value(at)),
			}
			out.texts[i], out.langs[i] = strings.Clone(text[3].Value(at)), strings.Clone(text[4].Value(at))
		}
		if err := add(out); err != nil {
			return err
		}
	}
	return nil
}

// ask judges a batch; of equal texts one is judged.
func (s *scoring) ask(ctx context.Context, b scoreBatch, judge Judge, version int) (scoreBatch, error) {
	b.got = make([]Sentiment, len(b.texts))
	var texts []string
	at := map[textKey]int{}           // in texts
	from := make([]int, len(b.texts)) // of each post, in texts; -1: remembered
	for i := range b.texts {
		k := textKey{version, b.rows[i].TextMD5}
		n, twice := at[k]
		switch known, ok := s.cache.get(k); {
		case ok:
			b.got[i], from[i] = known, -1
			continue
		case !twice:
			n = len(texts)
			at[k] = n
			texts = append(texts, b.texts[i])
		}
		from[i] = n
	}
	if len(texts) == 0 {
		return b, nil
	}
	got, err := judge.Score(ctx, texts)
	if err != nil {
		return b, err
	}
	if len(got) != len(texts) {
		return b, fmt.Errorf("%d scores for %d texts", len(got), len(texts))
	}
	for i, n := range from {
		if n >= 0 {
			b.got[i] = got[n]
		}
	}
	for k, n := range at {
		s.cache.add(k, got[n])
	}
	return b, nil
}

// noLanguage is what posts carry whose language nobody told; such a post is
// scored.
const noLanguage = "und"

// fill completes the rows of a batch.
func (s *scoring) fill(j *judgedPart, b scoreBatch, judge Judge, version int) {
	now := s.Now().UTC()
	for i := range b.rows {
		r, g := &b.rows[i], &b.got[i]
		r.Model, r.ModelVersion, r.InputSnapshot, r.RunID, r.ScoredAt = s.Model, int64(version), s.res.Snapshot, s.RunID, now
		switch {
		case g.Empty:
			r.Unscored = unscoredEmpty
			j.empty++
		case b.langs[i] != "" && b.langs[i] != noLanguage && !slices.Contains(judge.Languages, b.langs[i]):
			r.Unscored = unscoredLanguage
			j.language++
		default:
			confidence := max(g.P[0], g.P[1], g.P[2])
			r.Label, r.Negative, r.Neutral, r.Positive, r.Confidence = g.Label, &g.P[0], &g.P[1], &g.P[2], &confidence
			j.scored++
		}
	}
	j.rows += len(b.rows)
}

// commit lands the finished files. The ticket changes with every commit, so that
// a second scoring that began from the same state cannot land the same rows.
func (s *scoring) commit(ctx context.Context, state map[string]string) error {
	if len(s.files) == 0 && len(s.replaced) == 0 && state == nil {
		return nil
	}
	ticket, files := rand.Text(), s.files
	s.files = nil // from here on they may be in the table
	renewed := s.renew(ticket)
	set := maps.Clone(renewed)
	maps.Copy(set, state)
	_, err := s.Lake.Commit(ctx, lake.Commit{
		Table: scoredTable, ID: "score " + ticket, Add: files, Replace: s.replaced, Set: set, Expect: s.expect,
		Summary: map[string]string{
			lake.SummaryRunID: s.RunID, lake.SummaryModel: fmt.Sprintf("%s@%d", s.Model, s.Version),
			lake.SummaryInputs: fmt.Sprintf("%s@%d", scoredInput, s.res.Snapshot),
		},
	})
	if err != nil {
		if errors.Is(err, feedlake.ErrConflict) {
			s.files = files // sure to be in no snapshot
		}
		return err
	}
	s.res.Scored, s.res.Language, s.res.Empty = s.res.Scored+s.pending.Scored, s.res.Language+s.pending.Language, s.res.Empty+s.pending.Empty
	for key, value := range renewed {
		if _, ours := s.expect[key]; ours {
			s.expect[key] = value
		}
	}
	s.replaced, s.pending, s.rows = nil, ScoreResult{}, 0
	return nil
}
