package dashboard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// reply makes the answer to a request, at one set of snapshots.
type reply func(ctx context.Context, p pinState, f filter) (any, error)

func (s *server) apiRoutes(mux *http.ServeMux) {
	mux.Handle("GET /api/version", s.endpoint(s.version))
	mux.Handle("GET /api/filters", s.endpoint(s.filters))
	mux.Handle("GET /api/summary", s.endpoint(s.summary))
	mux.Handle("GET /api/volume", s.endpoint(s.volume))
	mux.Handle("GET /api/heatmap", s.endpoint(s.list(heatQuestion)))
	mux.Handle("GET /api/sentiment", s.endpoint(s.sentiment))
	mux.Handle("GET /api/engagement", s.endpoint(s.list(engagementQuestion)))
	mux.Handle("GET /api/hashtags", s.endpoint(s.list(hashtagsQuestion), "limit"))
	mux.Handle("GET /api/runs", s.endpoint(s.list(runsQuestion), "limit"))
	mux.HandleFunc("GET /api/models/{name}", s.model)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, "the API only reads", "use GET")
			return
		}
		fail(w, http.StatusNotFound, "no such path: "+r.URL.Path, "try /api/summary")
	})
}

// endpoint answers with f's value as JSON, tagged with the set of snapshots: a
// reader that has this answer already gets 304.
func (s *server) endpoint(f reply, params ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		query, err := parseFilter(r.URL.Query(), params...)
		if err != nil {
			s.refuse(ctx, w, err)
			return
		}
		tag, body, err := s.body(ctx, r, query, f)
		if err != nil {
			s.refuse(ctx, w, err)
			return
		}
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "private, no-cache")
		if body == nil {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(body) //nolint:gosec // JSON, typed and made here; the reader may have left; whoever reads slowly holds nobody up
	})
}

// body is the answer to a request and its tag; nil when the reader has it already.
func (s *server) body(ctx context.Context, r *http.Request, query filter, f reply) (tag string, body []byte, err error) {
	if err := s.refresh(ctx); err != nil {
		return "", nil, err
	}
	tag = s.tag(s.shown(), r)
	if slices.Contains(strings.Split(strings.ReplaceAll(r.Header.Get("If-None-Match"), " ", ""), ","), tag) {
		return tag, nil, nil
	}
	asked := tag
	body, err = s.answers.of(ctx, asked, func(ctx context.Context) (version string, body []byte, err error) {
		err = s.read(func(p pinState) error {
			if s.tag(p, r) != asked { // the lake moved on between
				return errMoved
			}
			version, query.columns = p.version, p.columns
			v, err := f(ctx, p, query)
			if err != nil {
				return err
			}
			if body, err = json.Marshal(v); err != nil {
				return fmt.Errorf("answer %s: %w", r.URL.Path, err)
			}
			return nil
		})
		return version, body, err
	})
	if errors.Is(err, errMoved) {
		return s.body(ctx, r, query, f)
	}
	return tag, body, err
}

// errMoved ends an answer that was asked for at snapshots that are shown no more.
var errMoved = errors.New("the lake moved on")

// tag names an answer: the snapshots, the question, and the program's texts.
func (s *server) tag(p pinState, r *http.Request) string {
	sum := sha256.Sum256([]byte(p.version + "\n" + r.URL.Path + "?" + r.URL.Query().Encode() + "\n" + s.o.Command + assetVersion()))
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}

// refuse answers with an error. What went wrong inside is logged, not told.
func (s *server) refuse(ctx context.Context, w http.ResponseWriter, err error) {
	w.Header().Del("ETag")
	if bad, ok := errors.AsType[*badRequest](err); ok {
		fail(w, http.StatusBadRequest, bad.message, bad.hint)
		return
	}
	if errors.Is(err, context.Canceled) {
		return // the reader left
	}
	s.log.ErrorContext(ctx, "dashboard answer", "err", err)
	if errors.Is(err, context.DeadlineExceeded) {
		fail(w, http.StatusServiceUnavailable, "the lake took too long to answer", "choose a shorter range, or try again")
		return
	}
	fail(w, http.StatusInternalServerError, "the lake cannot be read", "the log of feedlake serve says why")
}

// fail writes an error as JSON.
func fail(w http.ResponseWriter, status int, message, hint string) {
	body, err := json.Marshal(map[string]any{"error": map[string]string{"message": message, "hint": hint}})
	if err != nil {
		body = []byte(`{"error":{"message":"error","hint":""}}`) // two strings always marshal
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the reader may have left
}

// version tells which snapshots answers come from now; the page polls it.
func (s *server) version(_ context.Context, p pinState, _ filter) (any, error) {
	out := struct {
		Version string     `json:"version"`
		AsOf    *time.Time `json:"as_of"`
		Tables  []tableRef `json:"tables"`
		Login   bool       `json:"login"` // whether there is a session to end
	}{Version: p.version, Tables: []tableRef{}, Login: s.o.Token != ""}
	for _, name := range pinnedTables() {
		if snap, ok := p.tables[name]; ok && snap.ID != 0 {
			out.Tables = append(out.Tables, refOf(name, snap))
		}
	}
	if !p.asOf.IsZero() {
		out.AsOf = &p.asOf
	}
	return out, nil
}

// noMatch is what an answer without rows says.
const noMatch = "No data for this filter."

// list answers a question with its rows.
func (s *server) list(ask func(filter) question) reply {
	return func(ctx context.Context, p pinState, f filter) (any, error) {
		rows, a, err := s.ask(ctx, p, ask(f))
		if err != nil {
			return nil, err
		}
		if a.State == stateOK && len(rows) == 0 {
			a.State, a.Message = stateEmpty, noMatch
		}
		if rows == nil {
			rows = []row{}
		}
		a.Data = map[string]any{"rows": rows}
		return a, nil
	}
}

func (s *server) filters(ctx context.Context, p pinState, f filter) (any, error) {
	rows, a, err := s.ask(ctx, p, filtersQuestion(f))
	if err != nil {
		return nil, err
	}
	lists := map[string][]row{"source": {}, "lang": {}}
	first, last := "", ""
	for _, r := range rows {
		kind := text(r["kind"])
		delete(r, "kind")
		lists[kind] = append(lists[kind], r)
		if d := text(r["first_day"]); first == "" || d < first {
			first = d
		}
		last = max(last, text(r["last_day"]))
	}
	if a.State == stateOK && len(rows) == 0 {
		a.State, a.Message = stateEmpty, "No posts yet."
	}
	a.Data = map[string]any{"sources": lists["source"], "langs": lists["lang"], "first_day": first, "last_day": last}
	return a, nil
}

// volume shows short ranges by hour, others by day.
func (s *server) volume(ctx context.Context, p pinState, f filter) (any, error) {
	rows, a, err := s.ask(ctx, p, volumeQuestion(f, "day"))
	if err != nil {
		return nil, err
	}
	unit := "day"
	if n := len(rows); n > 0 && daysBetween(text(rows[0]["bucket"]), text(rows[n-1]["bucket"])) < hourlyUpTo {
		unit = "hour"
		if rows, a, err = s.ask(ctx, p, volumeQuestion(f, "hour")); err != nil {
			return nil, err
		}
	}
	if a.State == stateOK && len(rows) == 0 {
		a.State, a.Message = stateEmpty, noMatch
	}
	if rows == nil {
		rows = []row{}
	}
	a.Data = map[string]any{"unit": unit, "rows": rows}
	return a, nil
}

func daysBetween(first, last string) int {
	a, aerr := time.Parse(time.DateOnly, first)
	b, berr := time.Parse(time.DateOnly, last)
	if aerr != nil || berr != nil {
		return hourlyUpTo // not days: keep the coarse view
	}
	return int(b.Sub(a).Hours() / 24)
}

func (s *server) sentiment(ctx context.Context, p pinState, f filter) (any, error) {
	rows, a, err := s.ask(ctx, p, sentimentDaysQuestion(f))
	if err != nil {
		return nil, err
	}
	var posts, scored int64
	for _, r := range rows {
		posts += number(r["posts"])
		scored += number(r["scored"])
	}
	judgeSentiment(&a, posts, scored)
	if rows == nil {
		rows = []row{}
	}
	a.Data = map[string]any{"rows": rows}
	return a, nil
}

// judgeSentiment says in words why there may be no sentiment.
func judgeSentiment(a *answer, posts, scored int64) {
	switch {
	case a.State != stateOK:
	case posts == 0:
		a.State, a.Message = stateEmpty, noMatch
	case scored == 0:
		a.State, a.Message = stateUnscored, "Not scored yet: no sentiment model has looked at these posts. feedlake score does."
	}
}

// model tells how a table is built.
func (s *server) model(w http.ResponseWriter, r *http.Request) {
	doc, ok := s.o.Models[r.PathValue("name")]
	if !ok {
		fail(w, http.StatusNotFound, fmt.Sprintf("no SQL model builds %.80q", r.PathValue("name")), "feedlake's own tables, such as ml.trends, have none")
		return
	}
	body, err := json.Marshal(doc)
	if err != nil {
		s.refuse(r.Context(), w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "private, no-cache")
	_, _ = w.Write(body) // the reader may have left
}
