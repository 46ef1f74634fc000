package instagram

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/rounds"
)

// An account may ask for so many hashtags in so long; asking for one again is
// free, and does not begin its time anew.
const (
	perWeek = 30
	week    = 7 * 24 * time.Hour
)

// quota is what an account has asked for in the last 7 days, by any program.
type quota struct {
	used map[string]bool // hashtags by id
	full bool            // the platform said so
}

func (q *quota) free() bool { return !q.full && len(q.used) < perWeek }

// admit reports whether the list whose turn it is may be read, and finds its id.
// The first ones of the configuration get what is left of the quota.
func (s *source) admit(ctx context.Context, at *place) (bool, error) {
	if s.cfg.Mode == modeAccount {
		return true, nil
	}
	l := at.list(at.Turn)
	if l.ID != "" && s.env.Now().Before(at.Asked[l.ID].Add(week)) {
		return true, nil
	}
	if s.quota == nil {
		q, err := s.searched(ctx)
		if err != nil {
			return false, err
		}
		s.quota = q
	}
	if l.ID != "" && s.quota.used[l.ID] {
		return true, nil
	}
	if !s.quota.free() {
		s.waiting = append(s.waiting, at.Turn)
		return false, nil
	}
	if l.ID == "" {
		id, err := s.lookUp(ctx, at.Turn)
		if s.ofHashtag(ctx, at, at.Turn, err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		l.ID = id
	}
	if !s.quota.used[l.ID] {
		s.quota.used[l.ID] = true
		for id, when := range at.Asked {
			if !s.env.Now().Before(when.Add(week)) {
				delete(at.Asked, id)
			}
		}
		at.Asked[l.ID] = s.env.Now().UTC().Truncate(time.Second)
	}
	return true, nil
}

// searched asks which hashtags count at the moment.
func (s *source) searched(ctx context.Context) (*quota, error) {
	a, err := s.ask(ctx, s.cfg.UserID+"/recently_searched_hashtags", url.Values{"limit": {"30"}}, 0)
	if err != nil {
		return nil, fmt.Errorf("recent hashtags of account %s: %w", s.cfg.UserID, err)
	}
	data := gjson.GetBytes(a.Body, "data")
	if !gjson.ValidBytes(a.Body) || !data.IsArray() {
		return nil, &feedlake.RetryError{Err: errors.New("recent hashtags: the answer holds no list")}
	}
	q := &quota{used: map[string]bool{}}
	for _, v := range data.Array() {
		q.used[v.Get("id").String()] = true
	}
	return q, nil
}

// lookUp finds a hashtag's id. This is the question that counts.
func (s *source) lookUp(ctx context.Context, name string) (string, error) {
	a, err := s.ask(ctx, "ig_hashtag_search", url.Values{"user_id": {s.cfg.UserID}, "q": {name}}, 0)
	if err != nil {
		return "", err
	}
	if !gjson.ValidBytes(a.Body) {
		return "", &feedlake.RetryError{Err: errors.New("hashtag search: the answer is no JSON")}
	}
	for _, path := range [...]string{"data.0.id", "id"} {
		if id := gjson.GetBytes(a.Body, path).String(); id != "" && strings.Trim(id, "0123456789") == "" {
			return id, nil
		}
	}
	return "", errHashtag
}

// ofHashtag reports whether an error is one of this hashtag alone, so that the
// others may be read; it is told at the end of the round.
func (s *source) ofHashtag(ctx context.Context, at *place, name string, err error) bool {
	switch {
	case s.cfg.Mode == modeAccount:
		return false
	case errors.Is(err, errQuota) && ctx.Err() == nil: // another program was faster
		if s.quota == nil {
			s.quota = &quota{used: map[string]bool{}}
		}
		s.quota.full = true
		s.waiting = append(s.waiting, name)
		return true
	case errors.Is(err, errHashtag):
		err = rounds.OfFeed(err)
	}
	return at.Failed.Alone(ctx, "hashtag "+name, err)
}

// missing is what a round could not read; nil: nothing.
func (s *source) missing(at place) error {
	var errs []error
	if n := len(s.cfg.Hashtags); len(at.Failed) > 0 { // that all are held back is no fault of the configuration
		errs = append(errs, feedlake.Hint(at.Failed.Err(max(n, len(at.Failed)+1)),
			"look at the spelling; Instagram tells nothing of hashtags that are rare or held back: take them out of hashtags then"))
	}
	if len(s.waiting) > 0 {
		errs = append(errs, feedlake.Hint(
			&ingest.LimitError{Endpoint: fmt.Sprintf("new hashtags, %d in 7 days; waiting: %s", perWeek, strings.Join(s.waiting, ", ")), Until: s.freed(at)},
			"a run from then on asks for the next one; the first ones in the configuration go first"))
	}
	return errors.Join(errs...)
}

// freed is when the quota has room again. The platform does not tell since when
// a hashtag counts: one that this source has not asked for counts for 7 more days
// at most.
func (s *source) freed(at place) time.Time {
	now := s.env.Now().UTC()
	first := now.Add(week)
	for id := range s.quota.used {
		if when, ok := at.Asked[id]; ok && when.Add(week).After(now) && when.Add(week).Before(first) {
			first = when.Add(week)
		}
	}
	return first
}
