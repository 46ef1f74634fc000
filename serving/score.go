package serving

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// Sentiment is what a model says of one text: the likeliest label and the
// probabilities of negative, neutral and positive.
type Sentiment struct {
	Label string
	P     [3]float64
}

// Scorer labels texts; the answer has one Sentiment per text, in order.
type Scorer interface {
	Score(ctx context.Context, texts []string) ([]Sentiment, error)
}

// ScoreOptions says what to score with which version.
type ScoreOptions struct {
	Lake      *lake.Lake
	DB        *query.DB // reads the lake's files; Score makes views in its schema scoring
	Scorer    Scorer
	Model     string // such as "sentiment"
	Version   int
	RunID     string
	BatchRows int // rows between two commits; 0 is 200,000
	Now       func() time.Time
	Log       *slog.Logger
	Progress  func(done, total int64) // posts looked at; nil: nobody listens
}

// ScoreResult tells what Score did.
type ScoreResult struct {
	Posts      int64 // posts in the partitions that were looked at
	Scored     int64 // rows added to ml.sentiment_scores
	Partitions int   // partitions looked at; the others had not changed
	Snapshot   int64 // of features.posts
}

const (
	scoredTable  = "ml.sentiment_scores"
	scoredInput  = "features.posts"
	scoreTexts   = 1024    // texts that a Scorer gets at once
	scoreCommit  = 200_000 // rows between two commits
	scoredState  = "feedlake.scored"
	scoredTicket = "feedlake.scored-ticket"
)

// scored is the state of a model's scoring: every post of the snapshot has a
// score of the version.
type scored struct {
	Version  int   `json:"version"`
	Snapshot int64 `json:"snapshot"`
}

// ScoreRow is a row of ml.sentiment_scores.
type ScoreRow struct {
	Source        string    `parquet:"source,optional,dict"`
	ID            string    `parquet:"id,optional"`
	Day           int32     `parquet:"day,date"` // days since 1970-01-01
	TextMD5       string    `parquet:"text_md5,optional"`
	Label         string    `parquet:"label,optional,dict"`
	Negative      float64   `parquet:"p_negative"`
	Neutral       float64   `parquet:"p_neutral"`
	Positive      float64   `parquet:"p_positive"`
	Confidence    float64   `parquet:"confidence"`
	Model         string    `parquet:"model,optional,dict"`
	ModelVersion  int64     `parquet:"model_version"`
	InputSnapshot int64     `parquet:"input_snapshot"`
	RunID         string    `parquet:"run_id,optional,dict"`
	ScoredAt      time.Time `parquet:"scored_at,optional,timestamp(microsecond)"`
}

// Score adds a row to ml.sentiment_scores for every post of features.posts
// whose text has none of this model and version yet. Only partitions that
// changed since the last complete scoring are looked at, one after the other,
// so memory does not grow with the lake. It may be stopped at any moment: what
// is committed stays, and the next call goes on. Two calls at once cannot
// double a row: the slower one ends with feedlake.ErrConflict.
func Score(ctx context.Context, o ScoreOptions) (ScoreResult, error) {
	s := scoring{ScoreOptions: o}
	if s.BatchRows == 0 {
		s.BatchRows = scoreCommit
	}
	if s.Progress == nil {
		s.Progress = func(int64, int64) {}
	}
	err := s.run(ctx)
	s.abort()
	if err != nil {
		return s.res, fmt.Errorf("score %s: %w", o.Model, err)
	}
	return s.res, nil
}

// scoring is one call of Score.
type scoring struct {
	ScoreOptions
	res     ScoreResult
	ticket  string // as the last commit left it
	pending int    // rows in files that are not committed
	files   []string
	open    *lake.RowWriter[ScoreRow]
}

func (s *scoring) run(ctx context.Context) error {
	cur, err := s.Lake.Current(ctx, scoredInput)
	if err != nil {
		return err
	}
	s.res.Snapshot = cur.ID
	if s.ticket, err = s.Lake.Property(ctx, scoredTable, scoredTicket); err != nil {
		return err
	}
	parts, err := s.changed(ctx, cur.ID)
	if err != nil || len(parts) == 0 {
		return err
	}
	total := int64(0)
	for _, p := range parts {
		for _, f := range p.posts {
			total += f.Rows
		}
	}
	for _, p := range parts {
		if err := s.partition(ctx, p); err != nil {
			return err
		}
		for _, f := range p.posts {
			s.res.Posts += f.Rows
		}
		s.res.Partitions++
		s.Progress(s.res.Posts, total)
		if s.pending >= s.BatchRows {
			if err := s.commit(ctx, nil); err != nil {
				return err
			}
		}
	}
	state, err := json.Marshal(scored{s.Version, cur.ID})
	if err != nil {
		return err
	}
	return s.commit(ctx, map[string]string{s.state(): string(state)})
}

func (s *scoring) state() string { return scoredState + "." + s.Model }

// scorePart is one partition with its posts and the scores that it has.
type scorePart struct {
	name          lake.Partition
	posts, scores []lake.File
}

// changed lists the partitions that may hold posts without a score.
func (s *scoring) changed(ctx context.Context, snapshot int64) ([]scorePart, error) {
	posts, err := s.Lake.Files(ctx, scoredInput, snapshot)
	if err != nil {
		return nil, err
	}
	have, err := s.Lake.Current(ctx, scoredTable)
	if err != nil {
		return nil, err
	}
	scores, err := s.Lake.Files(ctx, scoredTable, have.ID)
	if err != nil {
		return nil, err
	}
	todo, err := changedSince(ctx, s.Lake, scoredInput, scoredTable, s.state(), s.Version, snapshot)
	if err != nil {
		return nil, err
	}
	byPart := map[lake.Partition]*scorePart{}
	var out []scorePart
	for _, p := range todo {
		byPart[p] = &scorePart{name: p}
	}
	for _, f := range posts {
		if p := byPart[f.Partition]; p != nil {
			p.posts = append(p.posts, f)
		}
	}
	for _, f := range scores {
		if p := byPart[f.Partition]; p != nil {
			p.scores = append(p.scores, f)
		}
	}
	for _, p := range todo {
		if len(byPart[p].posts) > 0 {
			out = append(out, *byPart[p])
		}
	}
	return out, nil
}

// changedSince lists the partitions of the input that changed from the snapshot
// that the output's state names to now. Another version, or a snapshot that is
// gone, means every partition.
func changedSince(ctx context.Context, l *lake.Lake, input, output, key string, version int, now int64) ([]lake.Partition, error) {
	text, err := l.Property(ctx, output, key)
	if err != nil {
		return nil, err
	}
	var was scored
	if text == "" || json.Unmarshal([]byte(text), &was) != nil || was.Version != version {
		return l.Changed(ctx, input, 0, now)
	}
	list, err := l.Changed(ctx, input, was.Snapshot, now)
	if errors.Is(err, feedlake.ErrNotFound) {
		return l.Changed(ctx, input, 0, now)
	}
	return list, err
}

// unscored yields the posts of a partition without a score of the version.
const unscored = `
select p.source, p.id, cast(cast(p.day as date) - date '1970-01-01' as integer), p.text_md5, p.text
from scoring.posts p
where p.text is not null and trim(p.text) <> ''
  and not exists (
    select 1 from scoring.scores s
    where s.id = p.id and s.text_md5 = p.text_md5 and s.model = ? and s.model_version = ?)
order by p.id`

// partition scores one partition into one new file.
func (s *scoring) partition(ctx context.Context, p scorePart) error {
	for name, files := range map[string][]lake.File{"posts": p.posts, "scores": p.scores} {
		table := map[string]string{"posts": scoredInput, "scores": scoredTable}[name]
		cols, err := s.Lake.Columns(ctx, table)
		if err != nil {
			return err
		}
		if err := s.DB.ViewOf(ctx, s.Lake, "scoring."+name, cols, files); err != nil {
			return err
		}
	}
	err := s.DB.Arrow(ctx, func(b arrow.RecordBatch) error { return s.batch(ctx, p.name, b) }, unscored, s.Model, int64(s.Version))
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
	text := make([]*array.String, 0, 4)
	for _, i := range []int{0, 1, 3, 4} {
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
		rows, texts := make([]ScoreRow, to-from), make([]string, to-from)
		for i := range rows {
			at := from + i
			rows[i] = ScoreRow{Source: text[0].Value(at), ID: text[1].Value(at), Day: days.Value(at), TextMD5: text[2].Value(at)}
			texts[i] = text[3].Value(at)
		}
		if err := s.write(ctx, p, rows, texts); err != nil {
			return err
		}
	}
	return nil
}

// write scores a batch and adds it to the partition's file.
func (s *scoring) write(ctx context.Context, p lake.Partition, batch []ScoreRow, texts []string) error {
	if len(batch) == 0 {
		return nil
	}
	got, err := s.Scorer.Score(ctx, texts)
	if err != nil {
		return err
	}
	if len(got) != len(texts) {
		return fmt.Errorf("%d scores for %d texts", len(got), len(texts))
	}
	now := s.Now().UTC()
	for i := range batch {
		r, g := &batch[i], got[i]
		r.Label, r.Negative, r.Neutral, r.Positive = g.Label, g.P[0], g.P[1], g.P[2]
		r.Confidence = max(g.P[0], g.P[1], g.P[2])
		r.Model, r.ModelVersion, r.InputSnapshot, r.RunID, r.ScoredAt = s.Model, int64(s.Version), s.res.Snapshot, s.RunID, now
	}
	if s.open == nil {
		if s.open, err = lake.NewRowWriter[ScoreRow](s.Lake, scoredTable, p); err != nil {
			return err
		}
	}
	if err := s.open.Write(batch); err != nil {
		return err
	}
	s.pending += len(batch)
	return nil
}

// commit lands the finished files. The ticket changes with every commit, so that
// a second scoring that began from the same state cannot land the same rows.
func (s *scoring) commit(ctx context.Context, state map[string]string) error {
	if len(s.files) == 0 && state == nil {
		return nil
	}
	ticket := rand.Text()
	set := map[string]string{scoredTicket: ticket}
	maps.Copy(set, state)
	_, err := s.Lake.Commit(ctx, lake.Commit{
		Table: scoredTable, ID: "score " + ticket, Add: s.files, Set: set, Expect: map[string]string{scoredTicket: s.ticket},
		Summary: map[string]string{
			lake.SummaryRunID: s.RunID, lake.SummaryModel: fmt.Sprintf("%s@%d", s.Model, s.Version),
			lake.SummaryInputs: fmt.Sprintf("%s@%d", scoredInput, s.res.Snapshot),
		},
	})
	if err != nil {
		return err
	}
	s.res.Scored += int64(s.pending)
	s.ticket, s.files, s.pending = ticket, nil, 0
	return nil
}

// abort throws away a file that was begun.
func (s *scoring) abort() {
	if s.open != nil {
		s.open.Abort()
		s.open = nil
	}
}
