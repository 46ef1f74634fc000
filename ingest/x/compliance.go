package x

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// compliance asks which of some posts are gone, in a job: the ids are uploaded,
// X works on them, and the result lists what is gone and why. Each of those comes
// as a deletion.
type compliance struct {
	*asker
	ids []string
}

// job is the cursor.
type job struct {
	ID    string    `json:"id,omitempty"`
	Line  int       `json:"line,omitempty"` // of the result, read by now
	Ended time.Time `json:"ended,omitzero"` // when the result was read to its end
}

// pageLines is how many lines of a result a page holds.
const pageLines = 10_000

// pollEvery is how often a job is looked at.
const pollEvery = 10 * time.Second

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
	if at.ID == "" || !at.Ended.IsZero() {
		at = job{}
		at.ID, err = s.create(ctx)
	} else {
		page, err = s.read(ctx, &at)
	}
	if errors.Is(err, errGone) {
		s.env.Log.WarnContext(ctx, "compliance job is gone: making another", "source", s.env.Name, "job", at.ID)
		at, page, err = job{}, ingest.Page{}, nil
	}
	if err != nil {
		return ingest.Page{}, err
	}
	page.Progress.Place = "compliance job " + at.ID
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

// create makes a job and uploads the ids.
func (s *compliance) create(ctx context.Context) (string, error) {
	st, err := s.ask(ctx, api.Call{Endpoint: "compliance/jobs", Method: http.MethodPost, Path: "compliance/jobs", JSON: []byte(`{"type":"tweets","name":"feedlake"}`)})
	if err != nil {
		return "", err
	}
	res, err := s.storage(ctx, http.MethodPut, st.UploadURL, strings.Join(s.ids, "\n")+"\n")
	if err != nil {
		return "", fmt.Errorf("upload ids: %w", err)
	}
	return st.ID, res.Close()
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
	for waited := time.Duration(0); ; waited += pollEvery {
		st, err := s.ask(ctx, api.Call{Endpoint: "compliance/jobs/:id", Path: "compliance/jobs/" + id})
		switch {
		case errors.Is(err, feedlake.ErrNotFound) || err == nil && (st.Status == "failed" || st.Status == "expired"):
			return st, errGone
		case err != nil || st.Status == "complete":
			return st, err
		case waited+pollEvery > s.o.MaxWait:
			return st, fmt.Errorf("compliance job %s is %s; the next run goes on with it: %w", id, st.Status, feedlake.ErrPartial)
		}
		if err := s.o.Sleep(ctx, pollEvery); err != nil {
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
	lines := bufio.NewReader(body)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return ingest.Page{}, &feedlake.RetryError{Err: fmt.Errorf("download result: %w", err)}
		}
		if line = bytes.TrimSpace(line); n > at.Line && len(line) > 0 {
			x.Deletion(string(line), s.env.Now().UTC(), fmt.Sprintf("compliance job %s, line %d", at.ID, n), &b)
		}
		if err != nil {
			s.own(&b)
			at.Line, at.Ended = n, s.env.Now().UTC()
			return ingest.Page{Posts: b.Posts, Rejects: b.Rejects, Done: true}, nil
		}
		if n >= at.Line+pageLines {
			s.own(&b)
			at.Line = n
			return ingest.Page{Posts: b.Posts, Rejects: b.Rejects}, nil
		}
	}
}
