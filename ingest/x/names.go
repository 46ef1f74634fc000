package x

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/rounds"
)

// named matches the names of users. With an @ also those that look like an id.
//
//nolint:gochecknoglobals // compiled once, never changed
var named = regexp.MustCompile(`^@?[A-Za-z0-9_]{1,15}$`)

// isID reports whether a user is given by the id.
func isID(user string) bool { return user != "" && strings.Trim(user, "0123456789") == "" }

// timelines are the feeds of users. One given by name has no path yet: see find.
func timelines(c Config) []feed {
	feeds := make([]feed, len(c.Users))
	for i, user := range c.Users {
		feeds[i] = feed{key: user, user: user}
		if isID(user) {
			feeds[i].path = timeline(user)
		} else {
			feeds[i].key = "@" + strings.ToLower(strings.TrimPrefix(user, "@"))
		}
	}
	return feeds
}

func timeline(id string) string { return timelines1 + id + timelines2 }

// Around a user's id in the path of the timeline.
const (
	timelines1 = "users/"
	timelines2 = "/tweets"
)

// mostNames is how many names X looks up at once.
const mostNames = 100

// find gives a feed its path. Names are looked up once: the cursor keeps the ids,
// so that a user who takes another name is still followed.
func (s *listing) find(ctx context.Context, at *places, f feed) (feed, error) {
	if f.path != "" {
		return f, nil
	}
	if at.IDs[f.key] == "" && s.ids[f.key] == "" && s.lacks[f.key] == "" {
		if err := s.look(ctx, at.IDs); err != nil {
			return f, err
		}
	}
	if at.IDs[f.key] == "" {
		known := maps.Clone(s.ids)
		maps.Copy(known, at.IDs)
		at.IDs = known
	}
	if why := s.lacks[f.key]; at.IDs[f.key] == "" {
		return f, rounds.OfFeed(feedlake.Hint(fmt.Errorf("user %s: %s: %w", f.user, why, feedlake.ErrConfig),
			"look at the spelling; a user who is suspended or has another name now must be taken out, or be given by id"))
	}
	f.path = timeline(at.IDs[f.key])
	return f, nil
}

// look asks for the ids of all names that are not known.
func (s *listing) look(ctx context.Context, known map[string]string) error {
	var names []string
	for _, f := range s.feeds {
		if f.path == "" && known[f.key] == "" {
			names = append(names, f.key[1:])
		}
	}
	ids, lacks := map[string]string{}, map[string]string{}
	for len(names) > 0 {
		n := min(len(names), mostNames)
		if err := s.lookNames(ctx, names[:n], ids, lacks); err != nil {
			return err
		}
		names = names[n:]
	}
	s.ids, s.lacks = ids, lacks // kept should the run break off before the cursor has them: each has a price
	return nil
}

// lookNames finds the ids of users by name, and why X does not tell some.
func (s *listing) lookNames(ctx context.Context, names []string, ids, lacks map[string]string) error {
	answer, err := s.client.Do(ctx, api.Call{
		Endpoint: "users/by", Path: "users/by", Query: url.Values{"usernames": {strings.Join(names, ",")}}, Price: api.Price{Request: priceUser * int64(len(names))},
	})
	if err != nil {
		return err
	}
	var said struct {
		Data   []struct{ ID, Username string }
		Errors []struct{ Value, Detail string }
	}
	if err := json.Unmarshal(answer.Body, &said); err != nil {
		return &feedlake.RetryError{Err: fmt.Errorf("read answer of users/by: %w", err)}
	}
	for _, u := range said.Data {
		if isID(u.ID) {
			ids["@"+strings.ToLower(u.Username)] = u.ID
		}
	}
	why := map[string]string{}
	for _, e := range said.Errors {
		why[strings.ToLower(e.Value)] = e.Detail
	}
	for _, name := range names {
		if ids["@"+name] == "" {
			lacks["@"+name] = cmp.Or(why[name], "X gives no user")
		}
	}
	return nil
}
