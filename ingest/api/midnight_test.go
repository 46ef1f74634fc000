package api_test

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

// TestMidnight reserves before midnight at the end of a month and settles after
// it: what did not come is given back to the day that it was reserved of, and the
// new one has used nothing.
func TestMidnight(t *testing.T) {
	t.Parallel()
	before := time.Date(2026, 3, 31, 23, 59, 59, 0, time.UTC)
	after := before.Add(2 * time.Second)
	for name, c := range map[string]struct {
		use  func(t *testing.T, r *rig) error
		want ingest.Use
	}{
		"an answer of fewer posts": {func(t *testing.T, r *rig) error {
			a, err := r.Do(t.Context(), api.Call{Endpoint: "things", Posts: 40})
			if err != nil {
				return err
			}
			return a.Settle(t.Context(), 30)
		}, ingest.Use{Requests: 1, Posts: 30}},
		"an answer that is an error": {func(t *testing.T, r *rig) error {
			if _, err := r.Do(t.Context(), api.Call{Endpoint: "broken", Path: "broken", Posts: 40}); err == nil {
				t.Error("no error")
			}
			return nil
		}, ingest.Use{Requests: 1}},
		"a stream": {func(t *testing.T, r *rig) error {
			f := api.NewFlow(api.Options{Meter: r.meter, Credential: "me", Now: func() time.Time { return r.now }, Log: slog.New(slog.DiscardHandler)}, "stream", api.Price{})
			if err := f.Admit(t.Context()); err != nil {
				return err
			}
			f.Came(7)
			r.now = after
			return f.Settle(t.Context())
		}, ingest.Use{Posts: 7}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r *rig
			r = newRig(t, func(w http.ResponseWriter, req *http.Request) {
				r.now = after // the answer takes its time
				if req.URL.Path != "/v1" && req.URL.Path != "/v1/" {
					w.WriteHeader(http.StatusBadRequest)
				}
			}, nil)
			r.now = before
			if err := c.use(t, r); err != nil {
				t.Fatal(err)
			}
			for period, want := range map[string]ingest.Use{
				ingest.Day(before): c.want, ingest.Month(before): c.want, ingest.Day(after): {}, ingest.Month(after): {},
			} {
				if got := r.meter.Used("me", period); got != want {
					t.Errorf("%s: used %+v, want %+v", period, got, want)
				}
			}
		})
	}
}
