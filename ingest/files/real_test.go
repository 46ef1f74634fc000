package files_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
	"github.com/feedlake/feedlake/lake"
)

// shared finds the real data beside the repository.
func shared(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("FEEDLAKE_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	dir = filepath.Join(dir, "data", "posts")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("real data is missing: %v", err)
		}
		t.Skipf("real data is not here; set FEEDLAKE_SHARED: %v", err)
	}
	return dir
}

const tweets = `
path: tweets_daily/*.ndjson.gz
map:
  id: id
  created_at: created_at
  text: text
  lang: {path: lang, values: {English: en}, else: und}
  kind: {path: post_type, values: {T: post, R: repost, Q: quote}, default: post}
  author_id: author
  author_name: author
  author_followers: followers
  query: {path: account_category}
unescape_html: [text]
`

const reddit = `
path: reddit_daily/*.ndjson.gz
map:
  id: id
  created_at: {path: created_utc, time: unix}
  text: {join: [title, selftext], sep: "\n\n"}
  uri: permalink
  urls: url
  likes: ups
  replies: num_comments
  query: subreddit
unescape_html: [text]
`

const fight = `
path: fivethirtyeight/mayweather_mcgregor_tweets.csv
map:
  id: id
  created_at: {path: created_at, time: "2006-01-02 15:04:05"}
  uri: link
  text: text
  author_id: screen_name
  author_name: screen_name
  kind: {path: retweeted, values: {"True": repost, "False": post}}
unescape_html: [text]
`

const ratio = `
path: fivethirtyeight/twitter-ratio_*.csv
encoding: macintosh
map:
  id: {path: url, match: 'status/(\d+)'}
  created_at: {path: created_at, time: "1/2/06 15:04"}
  uri: url
  text: text
  author_id: user
  author_name: user
  replies: replies
  reposts: retweets
  likes: favorites
unescape_html: [text]
`

func decodeYAML(text string) ingest.Decoder {
	return func(v any) error { return yaml.UnmarshalWithOptions([]byte(text), v, yaml.Strict()) }
}

func registry() ingest.Registry {
	r := ingest.Registry{}
	files.Register(r)
	return r
}

var now = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)

func openSource(t testing.TB, base, config string) ingest.Source {
	t.Helper()
	env := ingest.Env{Name: "src", Base: base, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	s, err := registry().Open(t.Context(), files.Kind, env, decodeYAML(config))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openLake(t testing.TB, dir string) *lake.Lake {
	t.Helper()
	l, err := lake.Open(context.WithoutCancel(t.Context()), lake.Config{Dir: dir, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// TestWholeRealPosts lands every real data set through its declared mapping: every
// column of every row is what its page said. It wants no reject and nothing new
// the second time.
func TestWholeRealPosts(t *testing.T) {
	t.Parallel()
	dir := shared(t)
	for _, tt := range []struct {
		name, config string
		want         int64
	}{{"tweets", tweets, 96474}, {"reddit", reddit, 38000}, {"fight", fight, 12118}} {
		t.Run(tt.name, func(t *testing.T) {
			l := openLake(t, t.TempDir())
			for run, want := range []int64{tt.want, 0} {
				src := &sourcetest.Tap{Source: openSource(t, dir, tt.config)}
				var rejects []string
				o := ingest.Options{
					Name: tt.name, RunID: "r", Source: spy{src, &rejects}, Lake: l,
					Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
				}
				got, err := ingest.Run(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if got.Posts != want || got.Rejects != 0 {
					t.Errorf("run %d: %+v, want %d posts; rejects %q", run, got, want, rejects)
				}
				if run == 0 {
					sourcetest.Landed(t, l, tt.name, src.Posts, now)
				}
				if run == 1 && got.Commits != 0 {
					t.Errorf("second run made %d commits", got.Commits)
				}
			}
		})
	}
}

// TestRealPostsOfYears reads the posts of two accounts over years, from files in
// an old encoding. They are not landed here: nearly every post has a day, and so
// a file, of its own.
func TestRealPostsOfYears(t *testing.T) {
	dir := shared(t)
	posts, bad, end := sourcetest.Drain(t, openSource(t, dir, ratio), "")
	if len(posts) != 6439 || len(bad) > 0 {
		t.Errorf("%d posts, want 6439; rejects %q", len(posts), sourcetest.Reasons(bad))
	}
	for _, p := range posts {
		if p.ID == "" || p.Likes == nil || p.Reposts == nil || p.Replies == nil || strings.Contains(p.Text, "&amp;") {
			t.Fatalf("not all of it was mapped: %+v", p)
		}
	}
	if again, _, _ := sourcetest.Drain(t, openSource(t, dir, ratio), end); len(again) > 0 {
		t.Errorf("second run: %d posts", len(again))
	}
}

// spy keeps the first rejects for a test's message.
type spy struct {
	ingest.Source
	seen *[]string
}

func (s spy) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	p, err := s.Source.Fetch(ctx, from)
	for _, r := range p.Rejects {
		if len(*s.seen) < 5 {
			*s.seen = append(*s.seen, r.Position+": "+r.Reason)
		}
	}
	return p, err
}

func clock() time.Time { return now }
