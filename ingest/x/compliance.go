package x

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// compliance asks which of some posts, or of their authors, are gone, in jobs: the
// ids are uploaded, X works on them, and the result lists what is gone and why.
// Each of those comes as a deletion, of the source whose posts they are.
type compliance struct {
	*asker
	of   string // that source
	most int    // ids of a job
	ids  func(ctx context.Context, after string) iter.Seq2[string, error]
}

// job is the cursor: a job over the ids above From, up to To or all of them.
type job struct {
	ID    string    `json:"id,omitempty"`
	From  string    `json:"from,omitempty"`
	To    string    `json:"to,omitempty"`
	Line  int       `json:"line,omitempty"` // of the result, read by now
	Ended time.Time `json:"ended,omitzero"` // when the last result was read to its end
}

// maxIDs is how many ids a job is about: some 20 MB of them.
const maxIDs = 1_000_000

// newCompliance takes the ids from the configuration, or else from the lake.
func newCompliance(a *asker) (*compliance, error) {
	s := &compliance{asker: a, of: cmp.Or(a.cfg.Of, a.env.Name), most: maxIDs}
	held := a.env.Holdings
	switch {
	case len(a.cfg.IDs) > 0 || a.cfg.IDsFile != "":
		ids, err := a.cfg.ids(a.env)
		slices.Sort(ids)
		s.ids = func(_ context.Context, after string) iter.Seq2[string, error] { return above(ids, after) }
		return s, err
	case held == nil:
		return nil, fmt.Errorf("of: %s: the lake is not at hand: %w", a.cfg.Of, feedlake.ErrConfig)
	case a.cfg.Subject == subjectUsers:
		s.ids = func(ctx context.Context, after string) iter.Seq2[string, error] {
			return held.AuthorIDs(ctx, s.of, after)
		}
	default:
		s.ids = func(ctx context.Context, after string) iter.Seq2[string, error] {
			return held.PostIDs(ctx, s.of, after)
		}
	}
	return s, nil
}

func above(sorted []string, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, id := range sorted {
			if id > after && !yield(id, nil) {
				return
			}
		}
	}
}

// pageLines is how many lines of a result a page holds.
const pageLines = 10_000

// A job is looked at after firstPoll, and then ever more seldom up to pollEvery.
const (
	firstPoll = 500 * time.Millisecond
	pollEvery = 10 * time.Second
)

// Fetch goes the next step: it makes a job, or waits for it and reads a part of
// its result.
func (s *compliance) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	var at job
	if from != "" {
		if err := json.Unmarshal([]byte(from), &at); err != nil {
			return ingest.Page{}, fmt.Errorf("cursor %.60q is not one of this source: %w", from, feedlake.ErrConfig)
		}
	}
	now := s.env.Now().UTC()
	if err := ctx.Err(); err != nil || !at.Ended.IsZero() && now.Before(at.Ended.Add(s.cfg.Every)) {
		return ingest.Page{Next: from, Done: true}, err
	}
	var page ingest.Page
	var err error
	switch {
	case !at.Ended.IsZero():
		at, err = s.create(ctx, "")
	case at.ID == "":
		at, err = s.create(ctx, at.From)
	default:
		page, err = s.read(ctx, &at)
	}
	if errors.Is(err, errGone) {
		s.env.Log.WarnContext(ctx, "compliance job is gone: making another", "source", s.env.Name, "job", at.ID)
		at, page, err = job{From: at.From}, ingest.Page{}, nil
	}
	if err != nil {
		return ingest.Page{}, err
	}
	page.Progress.Place, page.Done = "compliance job "+at.ID, !at.Ended.IsZero()
	b, err := json.Marshal(at)
	page.Next = feedlake.Cursor(b)
	return page, err
}

// errGone says that a job cannot give its result any more.
var errGone = errors.New("the job has failed or expired")

// state is a job as X tells of it.
type state struct {
	ID          string `json:"id"`
	Status      string `json:"status"`
	UploadURL   string `json:"upload_url"`
	DownloadURL string `json:"download_url"`
}

// create makes a job over the ids above one, and uploads them. It has ended when
// there are none.
func (s *compliance) create(ctx context.Context, from string) (job, error) {
	at := job{From: from}
	var list strings.Builder
	n, last := 0, ""
	for id, err := range s.ids(ctx, from) {
		if err != nil {
			return at, err
		}
		if strings.Trim(id, "0123456789") != "" {
			return at, feedlake.Hint(fmt.Errorf("%s of source %s: %.40q is no id of X: %w", s.cfg.Subject, s.of, id, feedlake.ErrConfig),
				"accounts under pseudonyms cannot be asked for: ask for posts")
		}
		if n == s.most {
			at.To = last
			break
		}
		n, last = n+1, id
		list.WriteString(id + "\n")
	}
	if n == 0 {
		at.Ended = s.env.Now().UTC()
		return at, nil
	}
	kind := map[string]string{subjectPosts: "tweets", subjectUsers: "users"}[s.cfg.Subject]
	st, err := s.ask(ctx, api.Call{Endpoint: "compliance/jobs", Method: http.MethodPost, Path: "compliance/jobs", JSON: []byte(`{"type":"` + kind + `","name":"feedlake"}`)})
	if err != nil {
		return at, err
	}
	at.ID = st.ID
	res, err := s.storage(ctx, http.MethodPut, st.UploadURL, list.String())
	if err != nil {
		return at, fmt.Errorf("upload ids: %w", err)
	}
	return at, res.Close()
}

func (s *compliance) ask(ctx context.Context, call api.Call) (state, error) {
	a, err := s.client.Do(ctx, call)
	if err != nil {
		return state{}, err
	}
	var answer struct{ Data state }
	if err := json.Unmarshal(a.Body, &answer); err != nil || answer.Data.ID == "" {
		return state{}, &feedlake.RetryError{Err: fmt.Errorf("read job: %s", a.Excerpt())}
	}
	return answer.Data, nil
}

// storage reaches the storage beside the API. Its addresses are secrets of their
// own, and the token does not go there.
func (s *compliance) storage(ctx context.Context, method, to, body string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(body))
	if err != nil {
		return nil, &feedlake.RetryError{Err: errors.New("the address that X gave is none")}
	}
	if method == http.MethodPut {
		r.Header.Set("Content-Type", "text/plain")
	}
	res, err := s.o.HTTP.Do(r)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return nil, &feedlake.RetryError{Err: fmt.Errorf("reach %s: %w", r.URL.Host, err)}
	}
	if res.StatusCode >= 300 {
		_ = res.Body.Close()
		return nil, &feedlake.RetryError{Err: fmt.Errorf("%s answers %s", r.URL.Host, res.Status)}
	}
	return res.Body, nil
}

// wait looks at the job until it is complete.
func (s *compliance) wait(ctx context.Context, id string) (state, error) {
	for waited, next := time.Duration(0), firstPoll; ; waited, next = waited+next, min(2*next, pollEvery) {
		st, err := s.ask(ctx, api.Call{Endpoint: "compliance/jobs/:id", Path: "compliance/jobs/" + id})
		switch {
		case errors.Is(err, feedlake.ErrNotFound) || err == nil && (st.Status == "failed" || st.Status == "expired"):
			return st, errGone
		case err != nil || st.Status == "complete":
			return st, err
		case waited+next > s.o.MaxWait:
			return st, fmt.Errorf("compliance job %s is %s; the next run goes on with it: %w", id, st.Status, feedlake.ErrPartial)
		}
		if err := s.o.Sleep(ctx, next); err != nil {
			return st, err
		}
	}
}

// read reads the next lines of a result.
func (s *compliance) read(ctx context.Context, at *job) (ingest.Page, error) {
	st, err := s.wait(ctx, at.ID)
	if err != nil {
		return ingest.Page{}, err
	}
	body, err := s.storage(ctx, http.MethodGet, st.DownloadURL, "")
	if err != nil {
		return ingest.Page{}, fmt.Errorf("download result: %w", err)
	}
	defer func() { _ = body.Close() }()
	var b wire.Batch
	done, err := s.lines(body, at, &b)
	if err != nil {
		return ingest.Page{}, &feedlake.RetryError{Err: fmt.Errorf("download result: %w", err)}
	}
	for i := range b.Posts {
		b.Posts[i].Source = s.of
	}
	for i := range b.Rejects {
		b.Rejects[i].Source = s.env.Name
	}
	switch {
	case done && at.To != "":
		*at = job{From: at.To}
	case done:
		at.Ended = s.env.Now().UTC()
	}
	return ingest.Page{Posts: b.Posts, Rejects: b.Rejects}, nil
}

// lines reads lines of a result behind those that were read, and reports whether
// they were the last.
func (s *compliance) lines(body io.Reader, at *job, b *wire.Batch) (done bool, err error) {
	decode := x.Deletion
	if s.cfg.Subject == subjectUsers {
		decode = x.DeletedUser
	}
	in := bufio.NewReader(body)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if line = bytes.TrimSpace(line); n > at.Line && len(line) > 0 {
			decode(string(line), s.env.Now().UTC(), fmt.Sprintf("compliance job %s, line %d", at.ID, n), b)
		}
		if err != nil || n >= at.Line+pageLines {
			at.Line = n
			return err != nil, nil
		}
	}
}
