package reddit

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Look asks for posts by their names: listings end after about 1000 of them.
func (s *source) Look(_ context.Context, _ feedlake.Window, ids []string) (ingest.Source, error) {
	return &named{s, slices.Sorted(slices.Values(ids))}, nil
}

// named reads posts by their names. Its cursor counts them.
type named struct {
	*source
	names []string
}

// Fetch asks for the next hundred.
func (s *named) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	begin, err := strconv.Atoi("0" + string(from))
	if err != nil {
		return ingest.Page{}, fmt.Errorf("cursor %.60q: not a number of posts: %w", from, feedlake.ErrConfig)
	}
	if begin >= len(s.names) {
		return ingest.Page{Next: from, Done: true}, ctx.Err()
	}
	end := min(begin+most, len(s.names))
	a, err := s.ask(ctx, request{path: "api/info", query: url.Values{"id": {strings.Join(s.names[begin:end], ",")}}}, "")
	if err != nil {
		return ingest.Page{}, err
	}
	for i := range a.Posts {
		a.Posts[i].Source, a.Posts[i].Query = s.env.Name, "api/info"
	}
	return ingest.Page{
		Posts: a.Posts, Rejects: a.Rejects, Next: feedlake.Cursor(strconv.Itoa(end)), Done: end == len(s.names),
		Progress: ingest.Progress{Done: int64(end), Total: int64(len(s.names)), Unit: "posts"},
	}, nil
}
