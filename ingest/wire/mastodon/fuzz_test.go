package mastodon_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/mastodon"
)

// statuses are the statuses of a recorded file, one a string.
func statuses(tb testing.TB, file string) []string {
	tb.Helper()
	var b wire.Batch
	mastodon.Record(recorded(tb)[file], now, file, &b)
	out := make([]string, len(b.Posts))
	for i := range out {
		out[i] = b.Posts[i].Payload
	}
	return out
}

// fit reports what a decoder may never do.
func fit(t *testing.T, b *wire.Batch) {
	t.Helper()
	for i := range b.Posts {
		p := &b.Posts[i]
		if p.ID == "" || p.CreatedAt.IsZero() && p.CreatedAt.Year() != 1 || p.Payload == "" || p.Kind == "" {
			t.Errorf("post without what every post needs: %+v", p)
		}
		all, err := json.Marshal(p)
		if err != nil && p.CreatedAt.Year() < 10000 {
			t.Error(err)
		}
		for _, s := range append([]string{string(all), p.ID, p.Text, p.AuthorID, p.AuthorName, p.Lang, p.ReplyTo, p.QuoteOf, p.RepostOf, p.Payload}, append(p.Hashtags, p.Mentions...)...) {
			if !utf8.ValidString(s) {
				t.Errorf("not valid UTF-8: %q", s)
			}
		}
	}
	for _, r := range b.Rejects {
		if r.Reason == "" || r.Position == "" || !utf8.ValidString(r.Reason) {
			t.Errorf("reject without reason or place: %+v", r)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, name := range []string{"entity_status.json", "hashtag_tl.json", "search.json"} {
		f.Add(recorded(f)[name])
	}
	f.Add(`{"orderedItems":[{"id":"x","type":"Announce","actor":"https://a/users/b","to":"as:Public","published":"2026-03-01T10:00:00Z","object":"y"}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		var b wire.Batch
		mastodon.Record(raw, now, "place", &b)
		fit(t, &b)
	})
}

func FuzzStatus(f *testing.F) {
	for _, s := range statuses(f, "entity_status.json") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var b wire.Batch
		mastodon.Status(raw, "a.example", now, "place", &b)
		if len(b.Posts)+len(b.Rejects) != 1 {
			t.Errorf("%d posts, %d rejects", len(b.Posts), len(b.Rejects))
		}
		fit(t, &b)
	})
}

func FuzzActivity(f *testing.F) {
	f.Add(`{"id":"x/activity","type":"Create","actor":"https://a/users/b","to":["as:Public"],"object":{"id":"x","to":["as:Public"],"published":"2026-03-01T10:00:00Z","content":"<p>a"}}`)
	f.Fuzz(func(t *testing.T, raw string) {
		var b wire.Batch
		mastodon.Activity(raw, now, "place", &b)
		if len(b.Posts)+len(b.Rejects) != 1 {
			t.Errorf("%d posts, %d rejects", len(b.Posts), len(b.Rejects))
		}
		fit(t, &b)
	})
}

func FuzzEvent(f *testing.F) {
	f.Add("delete", "110446223051565765")
	f.Add("update", statuses(f, "entity_status.json")[0])
	f.Fuzz(func(t *testing.T, name, data string) {
		var b wire.Batch
		mastodon.Event(name, data, "a.example", func(string) (string, time.Time, bool) { return "", time.Time{}, false }, now, "place", &b)
		fit(t, &b)
	})
}

func BenchmarkStatus(b *testing.B) {
	all := statuses(b, "pagination_iterator.json")
	b.SetBytes(int64(len(strings.Join(all, ""))))
	b.ReportAllocs()
	posts := 0
	for b.Loop() {
		var batch wire.Batch
		for _, s := range all {
			mastodon.Status(s, "a.example", now, "place", &batch)
		}
		posts += len(batch.Posts)
	}
	b.ReportMetric(float64(posts)/b.Elapsed().Seconds(), "posts/s")
}
