package bluesky

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/bluesky"
)

// most is how many posts an answer holds.
const most = 100

// search goes down from the newest post, by time: a search can be paged through
// about 10,000 posts only, and its cursor is a count, which slips when posts
// come or go. The cursor serves where a second holds more than an answer.
type search struct {
	env    ingest.Env
	cfg    Config
	client *client
	sleep  func(context.Context, time.Duration) error

	failing string // the question that the server could not answer
	fails   int    // how often, one after another
}

// Fetch reads the newest posts below the place that the pass has come to.
func (s *search) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	at, err := frontier.Parse(from)
	if err != nil {
		return ingest.Page{}, err
	}
	var b wire.Batch
	for {
		floor, below := s.bounds(at)
		rs, last, err := s.slice(ctx, floor, below, &b)
		if err != nil {
			return ingest.Page{}, err
		}
		next, fresh := take(at, rs, "", s.cfg.Overlap, &b)
		at = next
		if last {
			at = at.Landed(s.cfg.Overlap)
		}
		if fresh || last || len(b.Rejects) > 0 {
			to, err := at.Cursor()
			return page(b, s.env, s.cfg.Query, to, last, "down to "+shown(below)), err
		}
	}
}

// bounds are the times that the next question is about.
func (s *search) bounds(at frontier.Frontier) (floor, below time.Time) {
	below = s.env.Window.End
	if at.Pass != nil {
		below = at.Pass.Down.Add(time.Second) // that second once more: the answer may have cut it in two
	}
	return at.Floor(s.cfg.Overlap, s.cfg.first(s.env)), below
}

// slice asks until the answers go below their first second, or are at their end.
func (s *search) slice(ctx context.Context, floor, below time.Time, b *wire.Batch) (all []row, last bool, err error) {
	for cursor := ""; ; {
		q := s.question(floor, below, cursor)
		a, err := s.ask(ctx, q, most)
		if err != nil {
			a, err = s.again(ctx, q, err, b)
		}
		if err != nil {
			return nil, false, err
		}
		all = append(all, rows(a.Posts, bluesky.View, s.env.Now().UTC())...)
		if a.Cursor != "" && a.Cursor == cursor && len(a.Posts) > 0 {
			return nil, false, &feedlake.RetryError{Err: fmt.Errorf("the page before %s came again", cursor)}
		}
		if a.Cursor == "" || a.Cursor == cursor {
			return all, true, nil
		}
		if n := len(all); n > 0 && all[n-1].at.Truncate(time.Second).Before(all[0].at.Truncate(time.Second)) && !all[n-1].at.IsZero() {
			return all, false, nil
		}
		cursor = a.Cursor
	}
}

func (s *search) question(since, until time.Time, cursor string) url.Values {
	q := url.Values{"q": {s.cfg.Query}, "sort": {"latest"}}
	for k, v := range map[string]string{"lang": s.cfg.Lang, "author": s.cfg.Author, "cursor": cursor} {
		if v != "" {
			q.Set(k, v)
		}
	}
	for k, t := range map[string]time.Time{"since": since, "until": until} {
		if !t.IsZero() {
			q.Set(k, t.UTC().Format(time.RFC3339Nano))
		}
	}
	if len(s.cfg.Tags) > 0 {
		q["tag"] = s.cfg.Tags
	}
	return q
}

func (s *search) ask(ctx context.Context, q url.Values, posts int) (answer, error) {
	q.Set("limit", strconv.Itoa(posts))
	a, err := s.client.do(ctx, api.Call{Endpoint: "searchPosts", Path: "xrpc/app.bsky.feed.searchPosts", Query: q, Posts: int64(posts)})
	if err != nil {
		return answer{}, err
	}
	out, err := readAnswer(a.Body)
	return out, errors.Join(err, a.Settle(ctx, int64(len(out.Posts))))
}

// tries is how often a question must fail before the fault counts as its own.
const tries = 3

// again reads a page post by post when the server fails on it every time: one
// bad post does that to the whole page. The bad one is rejected. When the server
// fails on the one after it too, it is the server, and nothing is skipped.
func (s *search) again(ctx context.Context, q url.Values, err error, b *wire.Batch) (answer, error) {
	if _, ok := errors.AsType[*pageError](err); !ok {
		return answer{}, err
	}
	if key := q.Encode(); key != s.failing {
		s.failing, s.fails = key, 0
	}
	if s.fails++; s.fails < tries {
		return answer{}, err
	}
	var all answer
	start, cerr := strconv.Atoi("0" + q.Get("cursor")) // a count, though nobody promises
	if cerr != nil {
		return answer{}, err
	}
	bad := -2 // none
	for i := start; i < start+most; i++ {
		q.Set("cursor", strconv.Itoa(i))
		a, err := s.insist(ctx, q)
		if _, ok := errors.AsType[*pageError](err); ok && bad != i-1 {
			bad = i
			continue
		}
		if err != nil {
			return answer{}, err
		}
		if bad == i-1 && bad >= 0 {
			place := fmt.Sprintf("post %d below %s", bad+1, q.Get("until"))
			b.Reject("the server fails to answer with this post", "", place, s.env.Now().UTC())
		}
		all.Posts, all.Cursor = append(all.Posts, a.Posts...), a.Cursor
		if a.Cursor == "" {
			return all, nil
		}
	}
	if bad == start+most-1 { // the next page begins with it
		all.Cursor = strconv.Itoa(bad)
	}
	return all, nil
}

// insist asks for one post, several times.
func (s *search) insist(ctx context.Context, q url.Values) (a answer, err error) {
	for range tries {
		a, err = s.ask(ctx, q, 1)
		if again, ok := errors.AsType[*feedlake.RetryError](err); !ok {
			break
		} else if serr := s.sleep(ctx, max(again.After, time.Second)); serr != nil {
			return a, serr
		}
	}
	return a, err
}

// Estimate tells what a window costs: searchPosts counts, though not always to
// the last one.
func (s *search) Estimate(ctx context.Context, w feedlake.Window) (ingest.Estimate, error) {
	a, err := s.ask(ctx, s.question(w.Start, w.End, ""), 1)
	if err != nil {
		return ingest.Estimate{}, err
	}
	if a.Hits == nil {
		return ingest.Estimate{Unknown: "Bluesky did not tell how many posts there are"}, nil
	}
	n := *a.Hits
	return ingest.Estimate{Requests: max(1, (n+most-1)/most), Posts: n, Note: "hitsTotal of Bluesky may be rounded"}, nil
}

// Probe signs in and searches for one post.
func (s *search) Probe(ctx context.Context) []ingest.Finding {
	return []ingest.Finding{ingest.Found("search", "answers", second(s.ask(ctx, s.question(time.Time{}, time.Time{}, ""), 1)), "look at identifier and app_password")}
}

func second(_ answer, err error) error { return err }
