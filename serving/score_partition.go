package serving

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/feedlake/feedlake/lake"
)

// choose sets the version for a partition: the one that judged it first, while
// it can be opened, else the one in use.
func (s *scoring) choose(ctx context.Context, p scorePart) error {
	s.version = s.Version
	if !p.again && len(p.scores) > 0 {
		var first *int
		err := s.DB.SQL().QueryRowContext(ctx, "select min(model_version) from scoring.scores where model = ?", s.Model).Scan(&first)
		if err != nil {
			return err
		}
		if first != nil {
			s.version = *first
		}
	}
	var err error
	s.version, s.judge, err = chooseVersion(ctx, s.judges, s.version, s.Version, s.Open)
	return err
}

// waiting yields the posts of a partition that have no row.
const waiting = `
select p.source, p.id, cast(cast(p.day as date) - date '1970-01-01' as integer), p.text_md5, p.text, split_part(lower(p.lang), '-', 1)
from scoring.posts p
where p.text is not null and p.kind is distinct from 'repost'
  and not exists (select 1 from scoring.scores s where s.id = p.id and s.text_md5 = p.text_md5 and s.model = ?)
order by p.id`

// partition scores one partition into one new file.
func (s *scoring) partition(ctx context.Context, p scorePart) error {
	old := p.scores
	if p.again {
		old = nil
		if len(p.scores) > 0 {
			s.replaced = append(s.replaced, p.name)
		}
	}
	for name, files := range map[string][]lake.File{"posts": p.posts, "scores": old} {
		table := map[string]string{"posts": scoredInput, "scores": scoredTable}[name]
		cols, err := s.Lake.Columns(ctx, table)
		if err != nil {
			return err
		}
		if err := s.DB.ViewOf(ctx, s.Lake, "scoring."+name, cols, files); err != nil {
			return err
		}
	}
	if err := s.choose(ctx, p); err != nil {
		return err
	}
	err := s.DB.Arrow(ctx, func(b arrow.RecordBatch) error { return s.batch(ctx, p.name, b) }, waiting, s.Model)
	if err != nil {
		return fmt.Errorf("score posts of %s: %w", p.name, err)
	}
	if s.open == nil {
		return nil
	}
	path, err := s.open.Close(ctx)
	s.open = nil
	if err != nil {
		return err
	}
	s.files = append(s.files, path)
	return nil
}

// batch scores one batch of the query's result. Texts are read where they lie:
// they are needed no longer than the batch.
func (s *scoring) batch(ctx context.Context, p lake.Partition, b arrow.RecordBatch) error {
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
		to := min(from+scoreTexts, int(b.NumRows()))
		rows, texts, langs := make([]ScoreRow, to-from), make([]string, to-from), make([]string, to-from)
		for i := range rows {
			at := from + i
			rows[i] = ScoreRow{Source: text[0].Value(at), ID: text[1].Value(at), Day: days.Value(at), TextMD5: text[2].Value(at)}
			texts[i], langs[i] = text[3].Value(at), text[4].Value(at)
		}
		if err := s.write(ctx, p, rows, texts, langs); err != nil {
			return err
		}
	}
	return nil
}

// noLanguage is what posts carry whose language nobody told; such a post is
// scored.
const noLanguage = "und"

// write scores a batch and adds it to the partition's file.
func (s *scoring) write(ctx context.Context, p lake.Partition, batch []ScoreRow, texts, langs []string) error {
	if len(batch) == 0 {
		return nil
	}
	got, err := s.judge.Score(ctx, texts)
	if err != nil {
		return err
	}
	if len(got) != len(texts) {
		return fmt.Errorf("%d scores for %d texts", len(got), len(texts))
	}
	now := s.Now().UTC()
	for i := range batch {
		r, g := &batch[i], &got[i]
		r.Model, r.ModelVersion, r.InputSnapshot, r.RunID, r.ScoredAt = s.Model, int64(s.version), s.res.Snapshot, s.RunID, now
		switch {
		case g.Empty:
			r.Unscored = unscoredEmpty
			s.pending.Empty++
		case langs[i] != "" && langs[i] != noLanguage && !slices.Contains(s.judge.Languages, langs[i]):
			r.Unscored = unscoredLanguage
			s.pending.Language++
		default:
			confidence := max(g.P[0], g.P[1], g.P[2])
			r.Label, r.Negative, r.Neutral, r.Positive, r.Confidence = g.Label, &g.P[0], &g.P[1], &g.P[2], &confidence
			s.pending.Scored++
		}
	}
	if s.open == nil {
		if s.open, err = lake.NewRowWriter[ScoreRow](s.Lake, scoredTable, p); err != nil {
			return err
		}
	}
	if err := s.open.Write(batch); err != nil {
		return err
	}
	s.rows += len(batch)
	return nil
}

// commit lands the finished files. The ticket changes with every commit, so that
// a second scoring that began from the same state cannot land the same rows.
func (s *scoring) commit(ctx context.Context, state map[string]string) error {
	if len(s.files) == 0 && len(s.replaced) == 0 && state == nil {
		return nil
	}
	ticket := rand.Text()
	renewed := s.renew(ticket)
	set := maps.Clone(renewed)
	maps.Copy(set, state)
	_, err := s.Lake.Commit(ctx, lake.Commit{
		Table: scoredTable, ID: "score " + ticket, Add: s.files, Replace: s.replaced, Set: set, Expect: s.expect,
		Summary: map[string]string{
			lake.SummaryRunID: s.RunID, lake.SummaryModel: fmt.Sprintf("%s@%d", s.Model, s.Version),
			lake.SummaryInputs: fmt.Sprintf("%s@%d", scoredInput, s.res.Snapshot),
		},
	})
	if err != nil {
		return err
	}
	s.res.Scored, s.res.Language, s.res.Empty = s.res.Scored+s.pending.Scored, s.res.Language+s.pending.Language, s.res.Empty+s.pending.Empty
	for key, value := range renewed {
		if _, ours := s.expect[key]; ours {
			s.expect[key] = value
		}
	}
	s.files, s.replaced, s.pending, s.rows = nil, nil, ScoreResult{}, 0
	return nil
}

// abort throws away a file that was begun.
func (s *scoring) abort() {
	if s.open != nil {
		s.open.Abort()
		s.open = nil
	}
}
