package bluesky

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/api"
)

// sessions are those of a program, by server and account. A server makes only
// 30 in 5 minutes and 300 a day.
type sessions struct {
	mu  sync.Mutex
	all map[[3]string]*session
}

func (s *sessions) of(o api.Options, keys Secrets) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := [3]string{o.Base.String(), keys.Identifier, keys.AppPassword.Reveal()}
	if s.all == nil {
		s.all = map[[3]string]*session{}
	}
	if s.all[at] == nil {
		s.all[at] = &session{client: api.New(o), keys: keys}
	}
	return s.all[at]
}

// session is one sign-in. Its tokens live in memory alone.
type session struct {
	client *api.Client
	keys   Secrets

	mu              sync.Mutex
	access, refresh string
}

// sign adds the token to a request, and signs in before the first.
func (s *session) sign(ctx context.Context, r *http.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.access == "" {
		if err := s.create(ctx); err != nil {
			return err
		}
	}
	r.Header.Set("Authorization", "Bearer "+s.access)
	return nil
}

// renew makes a new token: by the refresh token, or, when that has expired too,
// by signing in again.
func (s *session) renew(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refresh == "" {
		return s.create(ctx)
	}
	err := s.ask(ctx, api.Call{
		Endpoint: "refreshSession", Method: http.MethodPost, Path: "xrpc/com.atproto.server.refreshSession",
		Header: http.Header{"Authorization": {"Bearer " + s.refresh}},
	})
	if errors.Is(err, errToken) || errors.Is(err, feedlake.ErrConfig) { // a refresh token that is refused, however that is said
		return s.create(ctx)
	}
	return err
}

func (s *session) create(ctx context.Context) error {
	s.access, s.refresh = "", ""
	body, err := json.Marshal(map[string]string{"identifier": s.keys.Identifier, "password": s.keys.AppPassword.Reveal()})
	if err != nil {
		return fmt.Errorf("spell sign-in: %w", err)
	}
	return s.ask(ctx, api.Call{Endpoint: "createSession", Method: http.MethodPost, Path: "xrpc/com.atproto.server.createSession", JSON: body})
}

func (s *session) ask(ctx context.Context, call api.Call) error {
	a, err := s.client.Do(ctx, call)
	if err != nil {
		return err
	}
	var out struct{ AccessJWT, RefreshJWT string }
	if err := json.Unmarshal(a.Body, &out); err != nil || out.AccessJWT == "" {
		return &feedlake.RetryError{Err: fmt.Errorf("read answer of %s: it holds no token", call.Endpoint)}
	}
	s.access, s.refresh = out.AccessJWT, out.RefreshJWT
	return nil
}
