package bluesky_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest/simulate/serve"
)

// serving starts the simulator.
func serving(t *testing.T, faults []serve.Fault, now func() time.Time, around ...func(http.Handler) http.Handler) string {
	t.Helper()
	s, err := server(faults, now)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Handler(s)
	for _, a := range around {
		h = a(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}
