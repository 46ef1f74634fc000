package serving

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// Sentiment is what a model says of one text: the likeliest label and the
// probabilities of negative, neutral and positive. Empty marks a text that holds
// nothing to judge, such as a link alone.
type Sentiment struct {
	Label string
	P     [3]float64
	Empty bool
}

// Scorer labels texts; the answer has one Sentiment per text, in order.
type Scorer interface {
	Score(ctx context.Context, texts []string) ([]Sentiment, error)
}

// Judge is a version of a model that can score.
type Judge struct {
	Scorer
	Languages []string // base languages (BCP 47) that it was judged on; texts of others are not scored
}

// Days is a range of UTC days, first and last included, as 2026-01-31; an empty
// end is open.
type Days struct{ First, Last string }

func (d Days) holds(day string) bool {
	return (d.First == "" || day >= d.First) && (d.Last == "" || day <= d.Last)
}

// ScoreOptions says what to score with which version.
type ScoreOptions struct {
	Lake    *lake.Lake
	DB      *query.DB // reads the lake's files; Score makes views in its schema scoring
	Model   string    // such as "sentiment"
	Version int       // in use: judges the days that no version has judged
	// Open opens a version; feedlake.ErrNotFound or feedlake.ErrConfig say that it
	// cannot be used any more. Each version is opened once, when it is needed.
	Open      func(ctx context.Context, version int) (Judge, error)
	Shard     Shard // look at these partitions alone; several shards may be scored at once
	Again     *Days // judge these days again with Version; nil: none
	RunID     string
	BatchRows int // rows between two commits; 0 is 200,000
	Parallel  int // partitions, and batches of one, that are judged at once; 0: one. The rows do not depend on it
	Now       func() time.Time
	Log       *slog.Logger
	Progress  func(done, total int64) // posts looked at; nil: nobody listens
}

// ScoreResult tells what Score did.
type ScoreResult struct {
	Posts      int64 // posts in the partitions that were looked at
	Scored     int64 // posts that got a score
	Language   int64 // posts not scored for their language
	Empty      int64 // posts not scored because their text holds nothing to judge
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

// scored is the state of a model's scoring: every post of the snapshot has a row.
type scored struct {
	Version  int   `json:"version"` // that was in use then
	Snapshot int64 `json:"snapshot"`
	Shape    int   `json:"shape"` // scoredShape of the program
}

// scoredShape changes with what rows say. Partitions of an older shape are judged
// again: up to 1, every version had rows of its own for each post.
const scoredShape = 2

// Reasons not to score a post.
const (
	unscoredLanguage = "language"
	unscoredEmpty    = "empty"
)

// ScoreRow is a row of ml.sentiment_scores.
type ScoreRow struct {
	Source        string    `parquet:"source,optional,dict"`
	ID            string    `parquet:"id,optional"`
	Day           int32     `parquet:"day,date"` // days since 1970-01-01
	TextMD5       string    `parquet:"text_md5,optional"`
	Label         string    `parquet:"label,optional,dict"`
	Negative      *float64  `parquet:"p_negative,optional"`
	Neutral       *float64  `parquet:"p_neutral,optional"`
	Positive      *float64  `parquet:"p_positive,optional"`
	Confidence    *float64  `parquet:"confidence,optional"`
	Model         string    `parquet:"model,optional,dict"`
	ModelVersion  int64     `parquet:"model_version"`
	InputSnapshot int64     `parquet:"input_snapshot"`
	RunID         string    `parquet:"run_id,optional,dict"`
	ScoredAt      time.Time `parquet:"scored_at,optional,timestamp(microsecond)"`
	Unscored      string    `parquet:"unscored,optional,dict"` // why there is no label
}

// Score adds a row to ml.sentiment_scores for every post of features.posts whose
// text has none of this model yet. Reposts say nothing of their own and have none.
// Only partitions that changed since the last complete scoring are looked at, some
// at a time, and committed in order, so memory does not grow with the lake. Equal
// texts are judged once, as far as a cache of bounded size remembers. The version that judged
// a partition first judges what comes late to it, while it can be opened. It may
// be stopped at any moment: what is committed stays, and the next call goes on.
// Two calls at once cannot double a row: the slower one ends with
// feedlake.ErrConflict.
func Score(ctx context.Context, o ScoreOptions) (ScoreResult, error) {
	s := scoring{ScoreOptions: o, cache: newScoreCache(scoreCacheTexts)}
	s.Open, s.Parallel = openOnce(o.Open), max(o.Parallel, 1)
	s.readers = semaphore.NewWeighted(int64(s.Parallel))
	if s.BatchRows == 0 {
		s.BatchRows = scoreCommit
	}
	if s.Progress == nil {
		s.Progress = func(int64, int64) {}
	}
	err := s.run(ctx)
	if err != nil {
		s.Lake.Discard(s.files...) // of no commit yet
		return s.res, fmt.Errorf("score %s: %w", o.Model, err)
	}
	return s.res, nil
}

// scoring is one call of Score.
type scoring struct {
	ScoreOptions
	res      ScoreResult
	cache    *scoreCache
	readers  *semaphore.Weighted // partitions that are read at once
	total    int64               // posts to look at
	expect   map[string]string   // tickets, as the last commit left them
	pending  ScoreResult         // of rows in files that are not committed
	rows     int                 // in those files
	files    []string
	replaced []lake.Partition // whose rows those files take the place of
}

func (s *scoring) run(ctx context.Context) error {
	cur, err := s.Lake.Current(ctx, scoredInput)
	if err != nil {
		return err
	}
	s.res.Snapshot = cur.ID
	if err := s.tickets(ctx); err != nil {
		return err
	}
	parts, err := s.changed(ctx, cur.ID)
	if err != nil || len(parts) == 0 && s.Shard.Of == 0 { // an empty shard is done, too
		return err
	}
	for _, p := range parts {
		s.total += rowsOf(p.posts)
	}
	take := func(j judgedPart) error { return s.take(ctx, j) }
	if err := each(ctx, s.Parallel+landing, parts, s.partition, take, s.drop); err != nil {
		return err
	}
	if s.Again != nil { // other days may wait still
		return s.commit(ctx, nil)
	}
	return s.finish(ctx)
}

// take counts a partition in, and commits when there is enough to commit.
func (s *scoring) take(ctx context.Context, j judgedPart) error {
	if j.path != "" {
		s.files = append(s.files, j.path)
	}
	if j.part.again && len(j.part.scores) > 0 {
		s.replaced = append(s.replaced, j.part.name)
	}
	s.pending.Scored, s.pending.Language, s.pending.Empty = s.pending.Scored+j.scored, s.pending.Language+j.language, s.pending.Empty+j.empty
	s.rows += j.rows
	s.res.Posts += rowsOf(j.part.posts)
	s.res.Partitions++
	s.Progress(s.res.Posts, s.total)
	if s.rows < s.BatchRows {
		return nil
	}
	return s.commit(ctx, nil)
}

// drop throws the file of a partition away that nobody takes.
func (s *scoring) drop(j judgedPart) {
	if j.path != "" {
		s.Lake.Discard(j.path)
	}
}

func (s *scoring) state() string { return scoredState + "." + s.Model }

// scorePart is one partition with its posts and the rows that it has.
type scorePart struct {
	name          lake.Partition
	posts, scores []lake.File
	again         bool // the rows are to be replaced
}

// changed lists the partitions that may hold posts without a row.
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
	todo, again, err := s.todo(ctx, snapshot)
	if err != nil {
		return nil, err
	}
	byPart := map[lake.Partition]*scorePart{}
	var out []scorePart
	for _, p := range todo {
		byPart[p] = &scorePart{name: p, again: again}
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

// todo lists the partitions to look at; again says that their rows are to be
// replaced.
func (s *scoring) todo(ctx context.Context, snapshot int64) (list []lake.Partition, again bool, err error) {
	if s.Again != nil {
		list, err = s.Lake.Changed(ctx, scoredInput, 0, snapshot)
		return slices.DeleteFunc(list, func(p lake.Partition) bool {
			day, _ := p.Value("day")
			return !s.Again.holds(day) || !s.Shard.Holds(p)
		}), true, err
	}
	key := s.state()
	if s.Shard.Of > 0 { // its own state is the newer one: the whole takes it away
		own, err := s.Lake.Property(ctx, scoredTable, key+s.Shard.suffix())
		if err != nil {
			return nil, false, err
		}
		if own != "" {
			key += s.Shard.suffix()
		}
	}
	list, was, err := changedSince(ctx, s.Lake, scoredInput, scoredTable, key, snapshot)
	if err == nil && was.Snapshot != 0 && was.Shape < scoredShape {
		list, err = s.Lake.Changed(ctx, scoredInput, 0, snapshot)
		again = true
	}
	return slices.DeleteFunc(list, func(p lake.Partition) bool { return !s.Shard.Holds(p) }), again, err
}
