package reddit_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/reddit"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
)

func FuzzRecord(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw string) {
		var b wire.Batch
		reddit.Record(raw, now, "p", &b)
		sound(t, raw, &b)
	})
}

func FuzzListing(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw string) {
		var b wire.Batch
		if _, err := reddit.Listing(raw, now, "p", &b); err == nil && !json.Valid([]byte(raw)) {
			t.Fatal("broken JSON was taken")
		}
		sound(t, raw, &b)
	})
}

func FuzzMoreChildren(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw string) {
		var b wire.Batch
		if _, err := reddit.MoreChildren(raw, now, "p", &b); err == nil && !json.Valid([]byte(raw)) {
			t.Fatal("broken JSON was taken")
		}
		sound(t, raw, &b)
	})
}

func seeds(f *testing.F) {
	for _, raw := range recordedFiles(f) {
		var cassette []struct {
			Body json.RawMessage `json:"body"`
		}
		if err := json.Unmarshal(raw, &cassette); err != nil {
			f.Fatal(err)
		}
		var small bytes.Buffer
		if err := json.Compact(&small, cassette[0].Body); err != nil {
			f.Fatal(err)
		}
		if small.Len() < 10_000 {
			f.Add(small.String())
		}
	}
	f.Add(`{"json":{"errors":[],"data":{"things":[{"kind":"t1","data":{"name":"t1_b","body":"x","created_utc":500000000.0}}]}}}`)
	f.Add(`{"id":"b","title":"x","created_utc":"500000000","_meta":{"removal_type":"deleted"}}`)
	f.Add(`{"http_interactions":[{"recorded_at":"2016-07-04T00:04:51","response":{"body":{"string":"{}"}}}]}`)
}

// sound wants every post fit for the lake.
func sound(t *testing.T, raw string, b *wire.Batch) {
	t.Helper()
	for _, p := range b.Posts {
		if p.ID == "" || p.CreatedAt.IsZero() || p.ObservedAt.IsZero() || p.Payload == "" {
			t.Fatalf("no id, time or payload: %+v", p)
		}
		for _, s := range append([]string{p.ID, p.URI, p.AuthorID, p.AuthorName, p.Text, p.ReplyTo, p.RepostOf, p.Payload}, p.URLs...) {
			if !utf8.ValidString(s) {
				t.Fatalf("not valid UTF-8: %q", s)
			}
		}
		if json.Valid([]byte(raw)) && !json.Valid([]byte(p.Payload)) {
			t.Fatalf("payload is no JSON: %s", p.Payload)
		}
	}
	for _, r := range b.Rejects {
		if r.Reason == "" || r.Position == "" {
			t.Fatalf("reject without reason or place: %+v", r)
		}
	}
}

// BenchmarkListing reads the recorded answers as the API sends them, in compact
// JSON.
func BenchmarkListing(b *testing.B) {
	decode := func(page string, batch *wire.Batch) {
		if _, err := reddit.Listing(page, now, "page", batch); err != nil {
			b.Fatal(err)
		}
	}
	var all []string
	for name, raw := range recordedFiles(b) {
		var cassette []struct {
			Body json.RawMessage `json:"body"`
		}
		if err := json.Unmarshal(raw, &cassette); err != nil {
			b.Fatal(err)
		}
		var small bytes.Buffer
		if err := json.Compact(&small, cassette[0].Body); err != nil {
			b.Fatal(err)
		}
		all = append(all, small.String())
		b.Run(name, func(b *testing.B) { wiretest.Bench(b, decode, small.String()) })
	}
	b.Run("all", func(b *testing.B) { wiretest.Bench(b, decode, all...) })
}
