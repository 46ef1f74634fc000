package serving_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving"
)

// inFiles reads the rows of a table as they lie, file by file, without what names
// this lake's snapshots.
func inFiles(t *testing.T, l *lake.Lake, table, columns string) map[lake.Partition][]string {
	t.Helper()
	cur, err := l.Current(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	files, err := l.Files(t.Context(), table, cur.ID)
	if err != nil {
		t.Fatal(err)
	}
	out := map[lake.Partition][]string{}
	for _, f := range files {
		out[f.Partition] = append(out[f.Partition], lines(t, l, fmt.Sprintf(
			"select concat_ws('/', file_row_number, %s) from read_parquet('%s', file_row_number = true) order by file_row_number", columns, f.Path))...)
	}
	return out
}

// TestParallelScoresTheSame scores some days, one of them long, with 1, 2 and 7 at
// once: rows, their order in files and the commits are the same, and equal texts
// are judged once.
func TestParallelScoresTheSame(t *testing.T) {
	t.Parallel()
	type result struct {
		Rows    map[lake.Partition][]string
		Commits int
		Result  serving.ScoreResult
	}
	var calls int64
	score := func(parallel int) result {
		l := scoreLake(t, t.TempDir(), nil)
		for day := 1; day <= 9; day++ {
			var posts []string
			for i := range 3 + 4000*(day/9) {
				posts = append(posts, fmt.Sprintf("%d-%04d:text %d", day, i, i), fmt.Sprintf("%d-%04d/post/fr:same", day, i+5000))
			}
			putPosts(t, l, "a", fmt.Sprintf("2026-01-%02d", day), posts...)
		}
		s := &lengths{}
		o := scoreOptions(l, openDB(t), s, 1, "r")
		o.Parallel, o.BatchRows = parallel, 12
		res, err := serving.Score(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		res.Snapshot = 0
		calls = s.calls.Load()
		commits, err := l.Snapshots(t.Context(), "ml.sentiment_scores")
		if err != nil {
			t.Fatal(err)
		}
		return result{inFiles(t, l, "ml.sentiment_scores", "id, text_md5, label, p_positive, confidence, unscored, run_id"), len(commits), res}
	}
	want := score(1)
	if calls != 4004 || want.Result.Scored != 4027 || want.Result.Language != 4027 || len(want.Rows) != 9 {
		t.Fatalf("%d texts judged, want 4004; %+v in %d partitions", calls, want.Result, len(want.Rows))
	}
	for _, parallel := range []int{2, 7} {
		if diff := cmp.Diff(want, score(parallel)); diff != "" {
			t.Errorf("1 and %d at once (-1 +%d):\n%s", parallel, parallel, diff)
		}
	}
}

// TestParallelTrendsAreTheSame judges two sources over some months.
func TestParallelTrendsAreTheSame(t *testing.T) {
	t.Parallel()
	judge := func(parallel int) (map[lake.Partition][]string, serving.TrendResult) {
		l := scoreLake(t, t.TempDir(), nil)
		for _, month := range []string{"01", "02", "03", "04"} {
			for day := 3; day < 28; day += 8 {
				putHours(t, l, fmt.Sprintf("2026-%s-%02d", month, day), fmt.Sprintf("go %d 20", day), "rust 400 20", "zig 3 3")
			}
		}
		o := trendOptions(l, openDB(t), surprise{}, 1)
		o.Parallel = parallel
		res, err := serving.Trends(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		res.Snapshot = 0
		return inFiles(t, l, "ml.trends", "hashtag, hour, observed, expected, p_value, q_value, trending, expected_day, run_id"), res
	}
	want, total := judge(1)
	if len(want) != 16 || total.Hours != 48 || total.Trending < 16 {
		t.Fatalf("%d partitions, %+v: too few to say anything", len(want), total)
	}
	for _, parallel := range []int{2, 7} {
		got, sum := judge(parallel)
		if diff := cmp.Diff(want, got) + cmp.Diff(total, sum); diff != "" {
			t.Errorf("1 and %d at once (-1 +%d):\n%s", parallel, parallel, diff)
		}
	}
}

// breaks is a Scorer that fails at a text.
type breaks struct {
	lengths
	at string
}

var errBroken = errors.New("broken")

func (b *breaks) Score(ctx context.Context, texts []string) ([]serving.Sentiment, error) {
	if slices.Contains(texts, b.at) {
		return nil, errBroken
	}
	return b.lengths.Score(ctx, texts)
}

// TestParallelScoringFails wants the fault itself, whatever goes on beside it,
// nothing left staged, and the rest by the next call.
func TestParallelScoringFails(t *testing.T) {
	t.Parallel()
	for _, parallel := range []int{1, 2, 7} {
		l := scoreLake(t, t.TempDir(), nil)
		for day := 1; day <= 9; day++ {
			putPosts(t, l, "a", fmt.Sprintf("2026-01-%02d", day), fmt.Sprintf("%d:text %d", day, day))
		}
		o := scoreOptions(l, openDB(t), &breaks{at: "text 5"}, 1, "r")
		o.Parallel = parallel
		if _, err := serving.Score(t.Context(), o); !errors.Is(err, errBroken) || errors.Is(err, context.Canceled) {
			t.Errorf("%d at once: got %v, want the scorer's fault alone", parallel, err)
		}
		if names := staged(t, l.Dir(), "sentiment_scores"); len(names) > 0 {
			t.Errorf("%d at once: %d files stay, such as %s", parallel, len(names), names[0])
		}
		o = scoreOptions(l, openDB(t), &lengths{}, 1, "again")
		o.Parallel = parallel
		if res, err := serving.Score(t.Context(), o); err != nil || res.Scored != 9 {
			t.Errorf("%d at once, again: %+v, %v", parallel, res, err)
		}
	}
}

// staged lists the data files of a table of ml.
func staged(t *testing.T, dir, table string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".parquet" && strings.Contains(path, filepath.Join("ml", table, "data")) {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
