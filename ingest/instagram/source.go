package instagram

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/rounds"
)

// endpoint names every call for pace and budget: the platform's limits are those
// of an app and of an account, whatever is asked.
const endpoint = "media"

// most is how many media a page holds at most.
const most = 50

// maxSteps is how many answers without a new post one page may take together.
const maxSteps = 100

// source goes through its lists in turn; a round ends when each was read down to
// what the round before has read.
type source struct {
	env    ingest.Env
	cfg    Config
	keys   Keys
	client *api.Client

	quota    *quota            // of this round; nil: not asked yet
	walk     walk              // how this process came to the place
	waiting  []string          // hashtags that do not fit into the quota in this round
	insights map[string]string // of media, while a page is put together
	end      rounds.End
}

// walk is what only the process that follows a list knows of it.
type walk struct {
	stands feedlake.Cursor // where it is
	begun  bool
	met    map[string]bool // media of its answers
	idle   int             // answers in a row that held only those
}

// Fetch reads on until there are posts or a round is at its end.
func (s *source) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	at, err := parse(from)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return ingest.Page{}, err
	}
	if err := s.end.Due(from); err != nil {
		return ingest.Page{}, err
	}
	if !s.walk.begun || s.walk.stands != from {
		s.walk = walk{met: map[string]bool{}}
	}
	var p ingest.Page
	for n := 0; n < maxSteps && err == nil && !p.Done && len(p.Posts)+len(p.Rejects) == 0; n++ {
		p, err = s.step(ctx, &at)
	}
	return s.handOut(ctx, from, at, p, err)
}

// handOut returns a page and keeps in mind where it ends. After an error what was
// read before it counts; the next page meets the error, if it lasts.
func (s *source) handOut(ctx context.Context, from feedlake.Cursor, at place, p ingest.Page, failure error) (ingest.Page, error) {
	var missing error
	if p.Done {
		missing, at.Failed = s.missing(at), nil
	}
	next, err := at.cursor()
	if err != nil {
		return ingest.Page{}, err
	}
	if l := at.Lists[at.Turn]; failure != nil && l != nil && l.Same { // the platform may have moved on without us
		s.walk.begun = false
	}
	if failure != nil && (ctx.Err() != nil || next == from) {
		return ingest.Page{}, failure
	}
	s.walk.stands = next
	p.Next = next
	if p.Done {
		s.quota, s.waiting = nil, nil
	}
	return s.end.Page(from, p, missing)
}

// step takes one answer of the list whose turn it is.
func (s *source) step(ctx context.Context, at *place) (ingest.Page, error) {
	name, err := s.turn(ctx, at)
	if err != nil || name == "" {
		return ingest.Page{Done: err == nil}, err
	}
	l := at.list(name)
	a, err := s.answer(ctx, l)
	if s.ofHashtag(ctx, at, name, err) {
		s.next(at)
		return ingest.Page{Done: at.Turn == ""}, nil
	}
	if err != nil {
		return ingest.Page{}, err
	}
	p, err := s.take(ctx, at, a)
	if err != nil {
		return ingest.Page{}, err
	}
	p.Progress = ingest.Progress{Place: fmt.Sprintf("%s, page %d", name, l.Answers)}
	if s.ended(ctx, name, l, a) {
		l.land(s.overlap(), s.keep())
		s.next(at)
	}
	p.Done = at.Turn == ""
	return p, nil
}

// lists are the lists in their order.
func (s *source) lists() []string {
	if s.cfg.Mode == modeAccount {
		return []string{accountList}
	}
	return s.cfg.Hashtags
}

// next passes the turn on; "" after the last one.
func (s *source) next(at *place) {
	all := s.lists()
	i := slices.Index(all, at.Turn)
	at.Turn = ""
	if i >= 0 && i+1 < len(all) {
		at.Turn = all[i+1]
	} else {
		at.Told = nil
	}
	s.walk.met, s.walk.idle = map[string]bool{}, 0
}

// turn is the next list that may be read; "" when there is none left in this
// round. Its id is known then.
func (s *source) turn(ctx context.Context, at *place) (string, error) {
	if !slices.Contains(s.lists(), at.Turn) { // a round begins, or the configuration has changed
		at.Turn, at.Told = s.lists()[0], nil
		s.quota, s.waiting, at.Failed = nil, nil, nil
	}
	for at.Turn != "" {
		ok, err := s.admit(ctx, at)
		if err != nil || ok {
			return at.Turn, err
		}
		s.next(at)
	}
	return "", nil
}

// answer asks for the next page of a list. When the link to it always was the
// same, and it was not this process that followed it here, nobody knows where the
// platform stands: then from the top again, past what is known.
func (s *source) answer(ctx context.Context, l *list) (page, error) {
	q, path, token := s.cfg.base(), l.ID+"/recent_media", ""
	switch s.cfg.Mode {
	case modeTop:
		path = l.ID + "/top_media"
	case modeAccount:
		path = s.cfg.UserID + "/media"
		s.bound(q)
	}
	if l.At.Pass != nil {
		token = l.At.Pass.Page
	}
	if l.Same && !s.walk.begun {
		token = ""
	}
	more, err := url.ParseQuery(token)
	if err != nil {
		return page{}, fmt.Errorf("cursor: page %q: %w: %w", token, err, feedlake.ErrConfig)
	}
	maps.Copy(q, more)
	a, err := s.ask(ctx, path, q, most)
	if err != nil {
		return page{}, err
	}
	out, err := readPage(a.Body)
	if err != nil {
		return page{}, err
	}
	out.asked = token
	s.walk.begun = true
	return out, a.Settle(ctx, int64(len(out.media)))
}

// bound keeps a question about an account to a window.
func (s *source) bound(q url.Values) {
	start := s.env.Window.Start
	if start.IsZero() {
		start = s.cfg.Since
	}
	if !start.IsZero() {
		q.Set("since", fmt.Sprint(start.Unix()))
	}
	if end := s.env.Window.End; !end.IsZero() {
		q.Set("until", fmt.Sprint(end.Unix()))
	}
}

// ask asks the API. Where an object is said not to exist, the platform may as
// well refuse because of a limit: the own account, which exists, tells. A
// hashtag's media are never "none" for that.
func (s *source) ask(ctx context.Context, path string, q url.Values, posts int64) (api.Answer, error) {
	call := api.Call{Endpoint: endpoint, Path: path, Query: q, Posts: posts}
	a, err := s.do(ctx, call)
	if !errors.Is(err, errMissing) {
		return a, err
	}
	_, other := s.do(ctx, api.Call{Endpoint: endpoint, Path: s.cfg.UserID, Query: url.Values{"fields": {"id"}}})
	switch {
	case errors.Is(other, errMissing):
		return a, &feedlake.RetryError{
			Err: feedlake.Hint(fmt.Errorf("%w; nor can the account %s be seen: a rate limit", err, s.cfg.UserID),
				"if this lasts for more than an hour, user_id is not an account of this token"),
			After: time.Minute,
		}
	case other != nil:
		return a, other
	}
	if a, err = s.do(ctx, call); errors.Is(err, errMissing) {
		return a, fmt.Errorf("%w: %w", err, feedlake.ErrNotFound)
	}
	return a, err
}

// do asks once; the answer holds no token.
func (s *source) do(ctx context.Context, call api.Call) (api.Answer, error) {
	a, err := s.client.Do(ctx, call)
	a.Body = []byte(hide(s.keys.AccessToken, string(a.Body)))
	return a, err
}
