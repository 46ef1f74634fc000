package reddit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/frontier"
)

// Steps of a round, spelled as a word and what it needs.
const (
	stepList   = "list"   // sort and period
	stepTree   = "tree"   // of a submission
	stepThread = "thread" // the part of it below a comment
	stepMore   = "more"   // ids of comments
)

// hitWall says that a listing ended too early, and plans how to go round. The
// top 1000 of a week hold all of that week that the top 1000 of a year do, and
// more: longer periods than the shortest that covers the gap would add nothing,
// shorter ones do.
func (s *source) hitWall(ctx context.Context, f feed, p *place, floor time.Time) string {
	now, to := s.env.Now(), p.At.Pass.Down
	sorts := []string{"top", "controversial"}
	switch s.cfg.Mode {
	case modeSearch:
		sorts = []string{"top", "comments", "relevance"}
	case modeComments: // has no other order
		sorts = nil
	}
	p.Round = nil
	if !s.cfg.StayInside && len(sorts) > 0 {
		p.Round = &round{}
		for _, t := range periods {
			if t.length != 0 && now.Add(-t.length).After(to) {
				continue
			}
			for _, sort := range sorts {
				p.Round.Steps = append(p.Round.Steps, stepList+" "+sort+" "+t.name)
			}
			if t.length != 0 && !now.Add(-t.length).After(floor) {
				break
			}
		}
	}
	tells := "nothing"
	if p.Round != nil {
		tells = "other listings, in part"
	}
	s.env.Log.WarnContext(ctx, "Reddit lists no more than about 1000 posts: what is older cannot be had in full", "source", s.env.Name, "feed", f.key,
		"from", floor, "to", to, "listed", p.Listed, "instead", tells)
	return fmt.Sprintf("; of %s to %s Reddit tells %s", floor.UTC().Format(time.DateTime), to.Format(time.DateTime), tells)
}

// beyond looks in other listings for what lies behind the wall.
func (s *source) beyond(ctx context.Context, f feed, p *place) (part, error) {
	floor, to := p.At.Floor(s.cfg.Overlap, s.first()), p.At.Pass.Down
	known := map[string]bool{}
	for _, seen := range slices.Concat(p.At.Seen, p.At.Pass.Got) {
		known[seen.ID] = true
	}
	got, err := s.walk(ctx, f, p.Round)
	if err != nil {
		return part{}, err
	}
	got.posts = slices.DeleteFunc(got.posts, func(post feedlake.Post) bool {
		return known[post.ID] || post.CreatedAt.Before(floor) || post.CreatedAt.Truncate(time.Second).After(to)
	})
	if got.done = len(p.Round.Steps) == 0; got.done {
		s.land(p)
	}
	return got, nil
}

// turn goes through the lists of a feed that has no order of time, again and
// again. A post comes with the first round that holds it, once more when it was
// missing for a round, and when it says something else than in the round before.
func (s *source) turn(ctx context.Context, f feed, p *place) (part, error) {
	if p.Round == nil {
		p.Round = &round{}
		if s.cfg.Mode == modeTree {
			p.Round.Steps = []string{stepTree}
		} else {
			for _, t := range s.cfg.Periods {
				p.Round.Steps = append(p.Round.Steps, stepList+" top "+t)
			}
		}
	}
	got, err := s.walk(ctx, f, p.Round)
	if err != nil {
		return part{}, err
	}
	got.posts = slices.DeleteFunc(got.posts, func(post feedlake.Post) bool { return p.Seen.knows(&post) })
	if got.done = len(p.Round.Steps) == 0; got.done {
		p.Seen, p.Round = p.Round.Got, nil
	}
	return got, nil
}

// walk asks once in a round, and returns what the round had not yet.
func (s *source) walk(ctx context.Context, f feed, r *round) (part, error) {
	q, err := s.request(f, r)
	if err != nil {
		return part{}, err
	}
	step := r.Steps[0]
	a, err := s.get(ctx, q)
	if errors.Is(err, feedlake.ErrNotFound) && !strings.HasPrefix(step, stepList) {
		s.env.Log.WarnContext(ctx, "comments are gone", "source", s.env.Name, "feed", f.key, "step", step)
		a, err = answer{}, nil
	}
	if err != nil {
		return part{}, err
	}
	got := part{rejects: a.Rejects, where: ", " + step}
	for i := range a.Posts {
		if p := &a.Posts[i]; !r.Got.has(mark(p)) {
			r.Got.add(mark(p), frontier.Version(p))
			got.posts = append(got.posts, *p)
		}
	}
	r.plan(a)
	return got, nil
}

// plan says what to ask next.
func (r *round) plan(a answer) {
	if r.Page = a.next; r.Page != "" {
		return
	}
	r.Steps = slices.Clone(r.Steps[1:])
	var children []string
	for _, m := range a.More {
		if len(m.Children) == 0 {
			if !r.Asked.has(m.Parent) {
				r.Asked.add(m.Parent, "")
				r.Steps = append(r.Steps, stepThread+" "+strings.TrimPrefix(m.Parent, "t1_"))
			}
			continue
		}
		children = append(children, m.Children...)
	}
	for part := range slices.Chunk(r.unasked(children), most) {
		r.Steps = append(r.Steps, stepMore+" "+strings.Join(part, ","))
	}
}

// unasked drops the comments that were asked for, and marks the others.
func (r *round) unasked(children []string) []string {
	var out []string
	for _, id := range children {
		if name := "t3_" + id; !r.Asked.has(name) { // as a post, since as a comment it marks its thread
			r.Asked.add(name, "")
			out = append(out, id)
		}
	}
	return out
}

// request is what the first step of a round asks for.
func (s *source) request(f feed, r *round) (request, error) {
	if len(r.Steps) == 0 {
		return request{}, fmt.Errorf("cursor: a round without steps: %w", feedlake.ErrConfig)
	}
	words := strings.Fields(r.Steps[0])
	tree := url.Values{"limit": {"500"}, "sort": {"old"}, "threaded": {"1"}}
	switch {
	case len(words) == 3 && words[0] == stepList && s.cfg.Mode == modeSearch:
		return request{path: f.path, query: s.query(f, words[1], words[2], most), page: r.Page}, nil
	case len(words) == 3 && words[0] == stepList:
		return request{path: f.sub + "/" + words[1], query: s.query(f, words[1], words[2], most), page: r.Page}, nil
	case len(words) == 1 && words[0] == stepTree:
		return request{path: f.path, query: tree}, nil
	case len(words) == 2 && words[0] == stepThread:
		tree.Set("comment", words[1])
		tree.Set("context", "0")
		return request{path: f.path, query: tree}, nil
	case len(words) == 2 && words[0] == stepMore:
		return request{path: "api/morechildren", query: url.Values{
			"api_type": {"json"}, "link_id": {"t3_" + f.root}, "children": {words[1]}, "limit_children": {"false"}, "sort": {"old"}, "limit": {"100"},
		}, read: s.more}, nil
	}
	return request{}, fmt.Errorf("cursor: step %.40q: %w", r.Steps[0], feedlake.ErrConfig)
}
