package x

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

// search is a listing that X can count.
type search struct{ listing }

// Estimate tells what a window costs: X counts, at the price of a request for
// every month or so.
func (s *search) Estimate(ctx context.Context, w feedlake.Window) (ingest.Estimate, error) {
	n, asked, err := s.count(ctx, w)
	if err != nil {
		return ingest.Estimate{}, err
	}
	per := int64(s.cfg.PageSize)
	e := ingest.Estimate{Requests: max(1, (n+per-1)/per), Posts: n, Micros: n * pricePost, Exact: true}
	calls, pace := int64(450), time.Duration(0)
	e.Note = fmt.Sprintf("counts have a price of their own: %d a slice were asked for", asked)
	if s.cfg.Mode == modeAll {
		calls, pace = 300, time.Second
	} else if first := s.env.Now().Add(-week); !w.Start.IsZero() && w.Start.Before(first) {
		e.Note, e.Exact = "recent search knows only what came since "+first.UTC().Format(time.RFC3339)+": mode all has the rest", false
	}
	e.Took = max(time.Duration((e.Requests-1)/calls)*window, time.Duration(e.Requests)*pace)
	return e, nil
}

// window is how long a rate limit lasts.
const window = 15 * time.Minute

// count counts the posts of a window, and the requests that it took.
func (a *asker) count(ctx context.Context, w feedlake.Window) (posts, requests int64, err error) {
	q := url.Values{"query": {a.cfg.Query}, "granularity": {"day"}}
	first := a.env.Now().Add(-week)
	if !w.Start.IsZero() && (a.cfg.Mode == modeAll || w.Start.After(first.Add(margin))) {
		q.Set("start_time", stamp(w.Start))
	}
	if !w.End.IsZero() && w.End.Before(a.env.Now()) {
		q.Set("end_time", stamp(w.End))
	}
	price := api.Price{Request: priceCountsRecent}
	if a.cfg.Mode == modeAll {
		price.Request = priceCountsAll
	}
	for {
		answer, err := a.client.Do(ctx, api.Call{Endpoint: "tweets/counts/" + a.cfg.Mode, Path: "tweets/counts/" + a.cfg.Mode, Query: q, Price: price})
		if err != nil {
			return posts, requests, err
		}
		requests++
		meta := gjson.GetBytes(answer.Body, "meta")
		posts += max(meta.Get("total_tweet_count").Int(), meta.Get("total_post_count").Int())
		next := meta.Get("next_token").Str
		if next == "" || next == q.Get("next_token") {
			return posts, requests, nil
		}
		q.Set("next_token", next)
	}
}

// stamp spells a time as X takes it, to the second.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// ask is the question of a feed for what comes next.
func (s *listing) ask(f feed, b bounds, token string) url.Values {
	q := url.Values{"max_results": {strconv.Itoa(s.cfg.PageSize)}}
	if f.user == "" {
		q.Set("query", f.query)
	}
	set := func(name, v string) {
		if v != "" {
			q.Set(name, v)
		}
	}
	set("start_time", b.startTime)
	set("end_time", b.endTime)
	set("since_id", b.sinceID)
	set("until_id", b.untilID)
	if f.user == "" {
		set("next_token", token)
	} else {
		set("pagination_token", token)
	}
	return q
}
