package reddit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/reddit"
)

// most is how many items a page of a listing holds.
const most = 100

// endpoint names all calls of the API: they share one limit.
const endpoint = "oauth"

// request is one thing to ask for.
type request struct {
	path  string
	query url.Values
	page  string // anchors, the one to go on behind first
	read  func(raw string, position string, b *wire.Batch) (reddit.Page, error)
}

// answer is a page of Reddit.
type answer struct {
	wire.Batch
	reddit.Page
	next string // anchors of the next page; "": this is the last one
}

// get asks for a page of a listing. A page goes on behind an anchor, the last
// post of the page before. Where that was deleted meanwhile, Reddit knows of
// nothing behind it: then the anchors before it are tried. When it gives the page
// that ends at the anchor once more, the question is asked again.
func (s *source) get(ctx context.Context, q request) (answer, error) {
	anchors := strings.Fields(q.page)
	if len(anchors) == 0 {
		anchors = []string{""}
	}
	for again := 0; ; {
		a, err := s.ask(ctx, q, anchors[0])
		switch {
		case err != nil:
			return a, err
		case len(a.Names) == 0 && a.After == "" && len(anchors) > 1:
			s.env.Log.DebugContext(ctx, "nothing behind an anchor: trying the one before", "source", s.env.Name, "path", q.path, "anchor", anchors[0])
			anchors = anchors[1:]
			continue
		case a.After != "" && a.After == anchors[0]:
			if again++; again == 3 {
				return a, &feedlake.RetryError{Err: errors.New("the same page comes again and again")}
			}
			continue
		}
		if a.After != "" {
			a.next = a.After
			for _, back := range [...]int{2, 5, 20} {
				if i := len(a.Names) - back; i >= 0 {
					a.next += " " + a.Names[i]
				}
			}
		}
		return a, nil
	}
}

// ask asks once.
func (s *source) ask(ctx context.Context, q request, after string) (answer, error) {
	query := url.Values{"raw_json": {"1"}}
	maps.Copy(query, q.query)
	if after != "" {
		query.Set("after", after)
	}
	posts := int64(most)
	if n, err := strconv.Atoi(query.Get("limit")); err == nil {
		posts = int64(n)
	}
	a, err := s.client.Do(ctx, api.Call{Endpoint: endpoint, Path: q.path, Query: query, Posts: posts})
	if err != nil {
		return answer{}, err
	}
	var out answer
	position := q.path
	if after != "" {
		position += " behind " + after
	}
	if q.read == nil {
		q.read = s.listing
	}
	out.Page, err = q.read(string(a.Body), position, &out.Batch)
	if serr := a.Settle(ctx, int64(len(out.Posts))); serr != nil {
		return answer{}, serr
	}
	if err != nil {
		return answer{}, &feedlake.RetryError{Err: err}
	}
	if strings.HasPrefix(out.Other, "t5") {
		return answer{}, feedlake.Hint(fmt.Errorf("%s: there is no such subreddit: %w", q.path, feedlake.ErrNotFound), "look at its spelling")
	}
	return out, nil
}

func (s *source) listing(raw, position string, b *wire.Batch) (reddit.Page, error) {
	return reddit.Listing(raw, s.env.Now().UTC(), position, b)
}

func (s *source) more(raw, position string, b *wire.Batch) (reddit.Page, error) {
	return reddit.MoreChildren(raw, s.env.Now().UTC(), position, b)
}
