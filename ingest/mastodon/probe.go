package mastodon

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/wire/mastodon"
)

// Probe looks at the server, at the token and at the timeline.
func (s *source) Probe(ctx context.Context) []ingest.Finding {
	var out []ingest.Finding
	add := func(what string, err error, says string) { out = append(out, ingest.Found(what, says, err, "")) }
	server, err := s.get(ctx, "instance", "api/v2/instance", nil)
	add("server", err, "version "+server.Get("version").String())
	if s.signed {
		app, err := s.get(ctx, "verify_credentials", "api/v1/apps/verify_credentials", nil)
		add("token", err, "of application "+app.Get("name").String())
	}
	page, err := s.get(ctx, "timelines/"+s.cfg.Mode, s.cfg.path(), s.cfg.question(1))
	says := "gives posts"
	if err == nil && len(page.Array()) == 0 {
		if why := s.shut(server); why != "" {
			err = feedlake.Hint(errors.New(why), closedHint)
		}
		says = "is empty"
	}
	add("timeline", err, says)
	return out
}

func (s *source) get(ctx context.Context, endpoint, path string, q url.Values) (gjson.Result, error) {
	a, err := s.client.Do(ctx, api.Call{Endpoint: endpoint, Path: path, Query: q})
	return gjson.ParseBytes(a.Body), err
}

// closed asks the server why a timeline is empty; "" when it does not say.
func (s *source) closed(ctx context.Context) string {
	server, err := s.get(ctx, "instance", "api/v2/instance", nil)
	if err != nil { // older servers do not know it
		return ""
	}
	return s.shut(server)
}

// shut reads from a server's description whether this timeline is for everybody.
func (s *source) shut(server gjson.Result) string {
	feeds := "live_feeds"
	if s.cfg.Mode == modeTag {
		feeds = "hashtag_feeds"
	}
	parts := []string{"local", "remote"}
	if s.cfg.Local {
		parts = parts[:1]
	}
	if s.cfg.Remote {
		parts = parts[1:]
	}
	for _, part := range parts {
		switch who := server.Get("configuration.timelines_access." + feeds + "." + part).String(); {
		case who == "" || who == "public" || who == "authenticated" && s.signed:
		default:
			return fmt.Sprintf("the server answers with nothing; its timelines_access is %s for %s.%s", who, feeds, part)
		}
	}
	return ""
}

// Estimate reckons what a window costs from how close posts are at its end and
// in its middle: the API counts none. An open end is now; without a beginning
// nothing can be reckoned.
func (s *source) Estimate(ctx context.Context, w feedlake.Window) (ingest.Estimate, error) {
	if w.End.IsZero() || w.End.After(s.env.Now()) {
		w.End = s.env.Now()
	}
	if w.Start.IsZero() || !w.Start.Before(w.End) {
		return ingest.Estimate{Unknown: "without a beginning nothing can be reckoned"}, nil
	}
	length := w.End.Sub(w.Start)
	rate, samples := 0.0, 0
	for _, end := range []time.Time{w.End, w.End.Add(-length / 2)} {
		a, err := s.ask(ctx, most, mastodon.IDAt(end), mastodon.IDAt(w.Start), "")
		if err != nil {
			return ingest.Estimate{}, err
		}
		samples++
		if len(a.statuses) > 0 {
			if _, ok := mastodon.TimeOf(a.statuses[0].id); !ok {
				return ingest.Estimate{Unknown: "the ids of " + s.cfg.Server + " do not tell times, so that every page from the newest post down must be read"}, nil
			}
		}
		if n := len(a.statuses); n > 0 {
			if took := end.Sub(a.statuses[n-1].created); n == most && took > 0 {
				rate += float64(n) / took.Seconds()
			} else {
				rate += float64(n) / end.Sub(w.Start).Seconds()
			}
		}
	}
	posts := int64(rate / float64(samples) * length.Seconds())
	requests := posts/most + 2
	return ingest.Estimate{
		Requests: requests, Posts: posts, Took: time.Duration(requests/requestsAWindow) * limitWindow,
		Note: "reckoned from two samples",
	}, nil
}

// The limit of servers that have not set another: 300 requests in 5 minutes.
const (
	requestsAWindow = 300
	limitWindow     = 5 * time.Minute
)
