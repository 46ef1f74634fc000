package hackernews

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/hackernews"
)

// most is how many hits HN Search gives for one question, whatever the paging.
// There is no need for more: the next question is for what is older.
const most = 1000

// search goes down from the newest hit, by time.
type search struct {
	env    ingest.Env
	cfg    Config
	client *api.Client
}

// Fetch reads the newest hits below the place that the pass has come to.
func (s *search) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	at, err := frontier.Parse(from)
	if err != nil {
		return ingest.Page{}, err
	}
	floor, below := s.bounds(at)
	a, err := s.ask(ctx, floor, below, most)
	if err != nil {
		return ingest.Page{}, err
	}
	var b wire.Batch
	for i, raw := range a.Hits {
		hackernews.Hit(string(raw), s.env.Now().UTC(), fmt.Sprintf("hit %d of %s", i+1, shown(below)), &b)
	}
	fresh, next := at.Down(b.Posts, "", s.cfg.Overlap)
	b.Rejects, next.Bad = next.Bad.Fresh(b.Rejects)
	for i := range fresh {
		fresh[i].Query = s.cfg.Query
	}
	last := len(a.Hits) >= a.NbHits && (a.Exhaustive || len(a.Hits) < most) // a full answer whose number is a guess is not the last
	if !last && len(fresh) == 0 {
		s.env.Log.WarnContext(ctx, "a search holds nothing new and is not at its end: going below its last second", "source", s.env.Name, "second", next.Pass.Down, "hits", a.NbHits)
	}
	if last {
		next = next.Landed(s.cfg.Overlap)
	}
	p := ingest.Page{Posts: fresh, Rejects: b.Rejects, Done: last, Progress: ingest.Progress{Place: "down to " + shown(below)}}
	p.Next, err = next.Cursor()
	return p, err
}

func shown(t time.Time) string {
	if t.IsZero() {
		return "now"
	}
	return t.UTC().Format(time.DateTime)
}

// bounds are the times that the next question is about.
func (s *search) bounds(at frontier.Frontier) (floor, below time.Time) {
	first, below := s.env.Window.Start, s.env.Window.End
	if first.IsZero() {
		first = s.cfg.Since
	}
	if first.IsZero() {
		first = s.env.Now().Add(-24 * time.Hour).Truncate(time.Second)
	}
	if at.Pass != nil {
		below = at.Pass.Down.Add(time.Second) // that second once more: the answer may have cut it in two
	}
	floor = at.Floor(s.cfg.Overlap, first)
	if floor.Before(s.env.Window.Start) { // a pass after the window was read
		floor = s.env.Window.Start
	}
	return floor, below
}

// answer is a page of HN Search.
type answer struct {
	Hits       []json.RawMessage `json:"hits"`
	NbHits     int               `json:"nbHits"`
	Exhaustive bool              `json:"exhaustiveNbHits"` // NbHits was counted, not guessed
}

// ask asks for the newest hits created from start on and before end; zero is
// open.
func (s *search) ask(ctx context.Context, start, end time.Time, hits int) (answer, error) {
	var filters []string
	if !start.IsZero() {
		filters = append(filters, "created_at_i>="+seconds(start))
	}
	if !end.IsZero() {
		filters = append(filters, "created_at_i<"+seconds(end))
	}
	q := url.Values{"tags": {"(" + strings.Join(s.cfg.Tags, ",") + ")"}, "hitsPerPage": {strconv.Itoa(hits)}}
	if len(filters) > 0 {
		q.Set("numericFilters", strings.Join(filters, ","))
	}
	if s.cfg.Query != "" {
		q.Set("query", s.cfg.Query)
	}
	a, err := s.client.Do(ctx, api.Call{Endpoint: "search_by_date", Path: "search_by_date", Query: q, Posts: int64(hits)})
	if err != nil {
		return answer{}, err
	}
	var out answer
	if err := json.Unmarshal(a.Body, &out); err != nil {
		return out, &feedlake.RetryError{Err: fmt.Errorf("read answer: %w", err)}
	}
	return out, a.Settle(ctx, int64(len(out.Hits)))
}

// seconds are those of t, rounded up: posts have whole ones.
func seconds(t time.Time) string {
	return strconv.FormatInt(t.Add(time.Second-time.Nanosecond).Unix(), 10)
}

// Estimate tells what a window costs: HN Search counts.
func (s *search) Estimate(ctx context.Context, w feedlake.Window) (ingest.Estimate, error) {
	a, err := s.ask(ctx, w.Start, w.End, 1)
	if err != nil {
		return ingest.Estimate{}, err
	}
	n := questions(int64(a.NbHits), w)
	return ingest.Estimate{Requests: n, Posts: int64(a.NbHits), Took: time.Duration(n) * searchPace, Exact: a.Exhaustive}, nil
}

// questions reckons how many questions give so many hits. Each but the first
// tells the hits of a second once more.
func questions(hits int64, w feedlake.Window) int64 {
	if hits <= most {
		return 1
	}
	again := 1.0
	if s := w.End.Sub(w.Start).Seconds(); s > 0 {
		again += float64(hits) / s
	}
	return 1 + int64(math.Ceil(float64(hits-most)/max(1, most-again)))
}
