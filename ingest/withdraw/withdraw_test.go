package withdraw_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/withdraw"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// start is the first day of the tests' posts.
func start() time.Time { return time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC) }

// rig is a lake, and what lands in it.
type rig struct {
	*testing.T
	lake  *lake.Lake
	opens int // of DuckDB
}

func newRig(t *testing.T) *rig {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: t.TempDir(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{T: t, lake: l}
}

// once is a source of one page.
type once []feedlake.Post

func (o once) Fetch(_ context.Context, from feedlake.Cursor) (ingest.Page, error) {
	return ingest.Page{Posts: o, Next: from + "x", Done: true}, nil
}

// land lands posts as a source does.
func (r *rig) land(source string, posts ...feedlake.Post) {
	r.Helper()
	_, err := ingest.Run(r.Context(), ingest.Options{
		Name: source, RunID: "run", Source: once(posts), Lake: r.lake, Now: func() time.Time { return start().AddDate(0, 0, 30) }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) withdraw(source string) int64 {
	r.Helper()
	n, err := withdraw.Posts(r.Context(), withdraw.Options{Source: source, RunID: "later", Lake: r.lake, Open: r.open})
	if err != nil {
		r.Fatal(err)
	}
	return n
}

func (r *rig) open(ctx context.Context) (*query.DB, error) {
	r.opens++
	return query.Open(ctx, query.Options{})
}

// deletions lists the ids that raw.posts says are gone, with their source, kind, creation and
// observation.
func (r *rig) deletions() []string {
	r.Helper()
	db, err := query.Open(r.Context(), query.Options{})
	if err != nil {
		r.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			r.Error(err)
		}
	}()
	if _, err := db.Pin(r.Context(), r.lake, nil); err != nil {
		r.Fatal(err)
	}
	out, err := db.Texts(r.Context(), `select concat_ws(' ', source, network, id, kind, strftime(created_at, '%d %H:%M'), strftime(observed_at, '%d %H:%M'))
		from raw.posts where deleted and run_id = 'later' order by all`)
	if err != nil {
		r.Fatal(err)
	}
	return out
}

func (r *rig) snapshot() int64 {
	r.Helper()
	s, err := r.lake.Current(r.Context(), lake.RawPosts().Name)
	if err != nil {
		r.Fatal(err)
	}
	return s.ID
}

// post is a post of an author, made some days after the start and seen some
// hours after that.
func post(id, author string, days, hours int) feedlake.Post {
	at := start().AddDate(0, 0, days)
	return feedlake.Post{ID: id, Kind: feedlake.KindPost, AuthorID: author, CreatedAt: at, ObservedAt: at.Add(time.Duration(hours) * time.Hour), Text: "text"}
}

// left is the deletion of an account, some days after the start.
func left(author string, days int) feedlake.Post {
	p := post("account:"+author, author, days, 0)
	p.Kind, p.Deleted, p.Text = feedlake.KindAccount, true, ""
	return p
}

func deleted(p feedlake.Post) feedlake.Post {
	p.Deleted = true
	return p
}

// TestAccount takes away what was seen of an account before it left, once.
func TestAccount(t *testing.T) {
	r := newRig(t)
	edited := post("edited", "gone", 1, 5)
	edited.Text = "again"
	archived := post("archived", "gone", 0, 0) // nobody knows when it was seen
	archived.ObservedAt = time.Time{}
	r.land("a", archived, post("1", "gone", 0, 1), post("edited", "gone", 1, 1), edited, post("of another", "stays", 0, 1), post("after", "gone", 4, 40),
		post("known", "gone", 0, 1), deleted(post("known", "", 0, 3)))
	r.land("b", post("of another source", "gone", 0, 1))
	if n := r.withdraw("a"); n != 0 || r.opens != 0 {
		t.Errorf("%d posts withdrawn of nobody, duckdb was opened %d times", n, r.opens)
	}
	r.land("a", left("gone", 5))
	if n := r.withdraw("a"); n != 3 {
		t.Errorf("%d posts withdrawn, want 3", n)
	}
	want := []string{"a 1 post 01 10:00 06 10:00", "a archived post 01 10:00 06 10:00", "a edited post 02 10:00 06 10:00"}
	if d := cmp.Diff(want, r.deletions()); d != "" {
		t.Error(d)
	}
	at, opens := r.snapshot(), r.opens
	if n := r.withdraw("a"); n != 0 || r.snapshot() != at || r.opens != opens {
		t.Errorf("again: %d posts, snapshot %d and then %d, duckdb opened %d times", n, at, r.snapshot(), r.opens-opens)
	}
	if n := r.withdraw("b"); n != 0 {
		t.Errorf("%d posts of another source", n)
	}

	r.land("a", post("new", "stays", 0, 1))
	for range 2 {
		if n := r.withdraw("a"); n != 0 || r.opens != opens+1 {
			t.Errorf("%d posts, duckdb opened %d times, want once for what is new", n, r.opens-opens)
		}
	}

	// An archive brings what was seen long ago, and the account comes back.
	r.land("a", post("late", "gone", 2, 2), post("back", "gone", 8, 1), post("other", "stays", 2, 2))
	if n := r.withdraw("a"); n != 1 {
		t.Errorf("%d posts withdrawn, want the late one", n)
	}
	r.land("a", left("stays", 9))
	r.withdraw("a")
	want = append(want, "a late post 03 10:00 06 10:00", "a new post 01 10:00 10 10:00", "a of another post 01 10:00 10 10:00", "a other post 03 10:00 10 10:00")
	if d := cmp.Diff(want, r.deletions()); d != "" {
		t.Error(d)
	}
}

// TestLocal finds the post that its server's number names.
func TestLocal(t *testing.T) {
	r := newRig(t)
	named := post("https://b.example/1", "x", 0, 1)
	named.Network, named.Payload = "mastodon", `{"id":"116","uri":"https://b.example/1"}`
	other := post("https://b.example/2", "x", 0, 1)
	other.Payload = `{"id":"117"}`
	broken := post("https://b.example/3", "x", 0, 1)
	broken.Payload = `{"id":"116`
	number := post("a.example:116", "", 0, 48)
	number.Kind, number.Deleted, number.CreatedAt = feedlake.KindLocal, true, number.CreatedAt.Add(-12*time.Hour) // its day is the one before
	r.land("m", named, other, broken, number)
	if n := r.withdraw("m"); n != 1 {
		t.Errorf("%d posts withdrawn", n)
	}
	if d := cmp.Diff([]string{"m mastodon https://b.example/1 post 01 10:00 03 10:00"}, r.deletions()); d != "" {
		t.Error(d)
	}
}

// TestMeanwhile loses to an ingest that lands another deletion, and finds it the
// next time.
func TestMeanwhile(t *testing.T) {
	r := newRig(t)
	r.land("a", post("1", "gone", 0, 1), post("2", "too", 0, 1), left("gone", 5))
	_, err := withdraw.Posts(t.Context(), withdraw.Options{Source: "a", RunID: "later", Lake: r.lake, Open: func(ctx context.Context) (*query.DB, error) {
		r.land("a", left("too", 6))
		return r.open(ctx)
	}})
	if !errors.Is(err, feedlake.ErrConflict) || len(r.deletions()) != 0 {
		t.Errorf("error %v, deletions %v", err, r.deletions())
	}
	if n := r.withdraw("a"); n != 2 {
		t.Errorf("%d posts withdrawn, want 2", n)
	}
}

// TestExpired looks at everything when the snapshot it came to is gone.
func TestExpired(t *testing.T) {
	r := newRig(t)
	r.land("a", post("1", "gone", 0, 1), left("gone", 5))
	r.withdraw("a")
	r.land("a", post("2", "gone", 1, 1))
	if _, err := r.lake.Expire(t.Context(), lake.ExpireOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if n := r.withdraw("a"); n != 1 {
		t.Errorf("%d posts withdrawn, want 1", n)
	}
}
