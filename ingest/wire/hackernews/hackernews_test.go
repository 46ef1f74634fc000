package hackernews_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/hackernews"
	"github.com/feedlake/feedlake/ingest/wire/htmltext"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
)

var now = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)

// recorded are the answers of Firebase that its documentation shows: six items,
// a user, and a few lists and numbers.
func recorded(t testing.TB) []json.RawMessage {
	t.Helper()
	var all []json.RawMessage
	if err := json.Unmarshal([]byte(wiretest.Read(t, "hackernews", "readme_items.json")), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// item is a Firebase item as its documentation describes it.
type item struct {
	ID          int64   `json:"id"`
	Deleted     bool    `json:"deleted"`
	Type        string  `json:"type"`
	By          string  `json:"by"`
	Time        int64   `json:"time"`
	Text        string  `json:"text"`
	Dead        bool    `json:"dead"`
	Parent      int64   `json:"parent"`
	Poll        int64   `json:"poll"`
	Kids        []int64 `json:"kids"`
	URL         string  `json:"url"`
	Score       *int64  `json:"score"`
	Title       string  `json:"title"`
	Parts       []int64 `json:"parts"`
	Descendants *int64  `json:"descendants"`
}

// post is what an item has to become.
func (it item) post(raw string) feedlake.Post {
	p := feedlake.Post{
		ID: strconv.FormatInt(it.ID, 10), Kind: feedlake.KindPost, URI: "https://news.ycombinator.com/item?id=" + strconv.FormatInt(it.ID, 10),
		AuthorID: it.By, AuthorName: it.By, CreatedAt: time.Unix(it.Time, 0).UTC(), ObservedAt: now, Deleted: it.Deleted || it.Dead,
		Likes: it.Score, Replies: it.Descendants, Payload: raw,
	}
	if parent := max(it.Parent, it.Poll); parent > 0 {
		p.Kind, p.ReplyTo = feedlake.KindComment, strconv.FormatInt(parent, 10)
	}
	if it.URL != "" {
		p.URLs = []string{it.URL}
	}
	p.Text = strings.TrimSpace(htmltext.Text(it.Title) + "\n\n" + htmltext.Text(it.Text))
	return p
}

// TestRecorded compares every recorded item with an independent reading, and
// wants whatever is no item refused.
func TestRecorded(t *testing.T) {
	items := 0
	for i, raw := range recorded(t) {
		var b wire.Batch
		hackernews.Item(string(raw), now, "here", &b)
		var it item
		if json.Unmarshal(raw, &it) != nil || it.Type == "" {
			if len(b.Posts) != 0 || len(b.Rejects) != 1 || b.Rejects[0].Position != "here" || b.Rejects[0].Payload != string(raw) {
				t.Errorf("record %d is no item: %+v", i, b)
			}
			continue
		}
		items++
		if len(b.Rejects) != 0 {
			t.Fatal(b.Rejects)
		}
		if diff := cmp.Diff(wiretest.Of(wire.HackerNews, []feedlake.Post{it.post(string(raw))}), b.Posts); diff != "" {
			t.Errorf("item %d: %s", it.ID, diff)
		}
	}
	if items != 6 {
		t.Errorf("%d items, want 6", items)
	}
}

// TestRecordedNothingLost wants every field in a column or in the payload.
func TestRecordedNothingLost(t *testing.T) {
	for _, raw := range recorded(t) {
		var b wire.Batch
		hackernews.Record(string(raw), now, "", &b)
		if len(b.Posts)+len(b.Rejects) != 1 {
			t.Fatalf("one record became %+v", b)
		}
		var payload string
		for _, p := range b.Posts {
			payload = p.Payload
		}
		for _, bad := range b.Rejects {
			payload = bad.Payload
		}
		var want, got any
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(payload), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestItem has what the recorded items do not.
func TestItem(t *testing.T) {
	type want struct {
		Kind, By, Text, ReplyTo string
		Deleted                 bool
		Likes, Replies          *int64
		URLs                    []string
		Bad                     string
	}
	story := want{Kind: feedlake.KindPost}
	for name, c := range map[string]struct {
		raw  string
		want want
	}{
		"least":             {`{"id":1,"type":"story","time":1175714200}`, story},
		"space around":      {" \n{\"id\":1,\"type\":\"story\",\"time\":1175714200}\n", story},
		"zero is a count":   {`{"id":1,"type":"story","time":1175714200,"score":0,"descendants":0}`, want{Kind: feedlake.KindPost, Likes: new(int64(0)), Replies: new(int64(0))}},
		"null is none":      {`{"id":1,"type":"story","time":1175714200,"score":null,"descendants":null,"url":null,"text":null,"parent":null}`, story},
		"deleted":           {`{"id":1,"deleted":true,"time":1175714200,"type":"comment","parent":7}`, want{Kind: feedlake.KindComment, ReplyTo: "7", Deleted: true}},
		"deleted, bare":     {`{"id":1,"deleted":true,"time":1175714200}`, want{Kind: feedlake.KindPost, Deleted: true}},
		"dead":              {`{"id":1,"dead":true,"deleted":false,"time":1175714200,"type":"story","title":"[dead]"}`, want{Kind: feedlake.KindPost, Deleted: true, Text: "[dead]"}},
		"not deleted":       {`{"id":1,"dead":false,"deleted":false,"time":1175714200,"type":"story"}`, story},
		"markup":            {`{"id":1,"type":"story","time":1175714200,"title":"A &amp; B","text":"<i>x</i><p>y"}`, want{Kind: feedlake.KindPost, Text: "A & B\n\nx\n\ny"}},
		"unknown field":     {`{"id":1,"type":"story","time":1175714200,"new":{"id":2,"time":3}}`, story},
		"option of a poll":  {`{"id":1,"type":"pollopt","time":1175714200,"poll":9,"score":2,"text":"yes","by":"b"}`, want{Kind: feedlake.KindComment, ReplyTo: "9", Text: "yes", By: "b", Likes: new(int64(2))}},
		"no type":           {`{"id":1,"time":1175714200}`, want{Bad: "the item has no type"}},
		"no id":             {`{"type":"story","time":1175714200}`, want{Bad: "the record has no id"}},
		"no time":           {`{"id":1,"type":"story"}`, want{Bad: "the record has no time"}},
		"negative":          {`{"id":-1,"type":"story","time":1175714200}`, want{Bad: "the record has no id"}},
		"a list":            {`[1]`, want{Bad: `want an object, got "[1]"`}},
		"a number":          {`7`, want{Bad: `want an object, got "7"`}},
		"broken":            {`{"id":1,`, want{Bad: "broken JSON"}},
		"nothing":           {``, want{Bad: "broken JSON"}},
		"wrong types":       {`{"id":{"a":1},"type":7,"time":[],"by":3}`, want{Bad: "the item has no type"}},
		"does not exist":    {`null`, want{Bad: "-"}},
		"null with a space": {" null\n", want{Bad: "-"}},
	} {
		t.Run(name, func(t *testing.T) {
			var b wire.Batch
			hackernews.Item(c.raw, now, "p", &b)
			var got want
			switch {
			case len(b.Posts) == 1 && len(b.Rejects) == 0:
				p := b.Posts[0]
				got = want{p.Kind, p.AuthorID, p.Text, p.ReplyTo, p.Deleted, p.Likes, p.Replies, p.URLs, ""}
			case len(b.Rejects) == 1 && len(b.Posts) == 0:
				got.Bad = b.Rejects[0].Reason
			case len(b.Posts)+len(b.Rejects) == 0:
				got.Bad = "-"
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHit(t *testing.T) {
	base := feedlake.Post{
		ID: "8", Kind: feedlake.KindPost, URI: "https://news.ycombinator.com/item?id=8", AuthorID: "a", AuthorName: "a",
		CreatedAt: time.Unix(1175714200, 0).UTC(), ObservedAt: now,
	}
	const head = `{"objectID":"8","author":"a","created_at_i":1175714200,"created_at":"2007-04-04T19:16:40Z"`
	for name, c := range map[string]struct {
		raw  string
		want func(p *feedlake.Post)
	}{
		"story": {head + `,"title":"T","url":"http://x/","points":3,"num_comments":0,"story_text":null,"_tags":["story"],"children":[9]}`, func(p *feedlake.Post) {
			p.Text, p.URLs, p.Likes, p.Replies = "T", []string{"http://x/"}, new(int64(3)), new(int64(0))
		}},
		"question":           {head + `,"title":"Ask","story_text":"a &lt; b<p>c","url":"","story_id":8}`, func(p *feedlake.Post) { p.Text = "Ask\n\na < b\n\nc" }},
		"comment":            {head + `,"comment_text":"<p>hi","parent_id":5,"story_id":4,"story_title":"S","points":null}`, func(p *feedlake.Post) { p.Kind, p.ReplyTo, p.Text = feedlake.KindComment, "5", "hi" }},
		"comment, no parent": {head + `,"comment_text":"hi","story_id":4}`, func(p *feedlake.Post) { p.Kind, p.ReplyTo, p.Text = feedlake.KindComment, "4", "hi" }},
		"old id":             {strings.Replace(head, `"8"`, "8", 1) + `}`, func(*feedlake.Post) {}},
	} {
		t.Run(name, func(t *testing.T) {
			var b wire.Batch
			hackernews.Record(c.raw, now, "", &b)
			want := base
			want.Payload = c.raw
			c.want(&want)
			if diff := cmp.Diff(wiretest.Of(wire.HackerNews, []feedlake.Post{want}), b.Posts); diff != "" {
				t.Error(diff, b.Rejects)
			}
		})
	}
	for raw, reason := range map[string]string{
		`{"objectID":"x","created_at_i":1}`: "the record has no id", `{"objectID":"8"}`: "the record has no time", `"objectID"`: `want an object, got "\"objectID\""`, `{`: "broken JSON",
	} {
		var b wire.Batch
		hackernews.Hit(raw, now, "", &b)
		if len(b.Rejects) != 1 || b.Rejects[0].Reason != reason {
			t.Errorf("%s: %+v", raw, b)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, raw := range recorded(f) {
		f.Add(string(raw))
	}
	f.Add(`{"objectID":"8","author":"a","created_at_i":1175714200,"comment_text":"<p>hi","parent_id":5}`)
	f.Add(`{"id":1e300,"time":-1e300,"type":"story","score":1.5}`)
	f.Fuzz(func(t *testing.T, raw string) {
		var b wire.Batch
		hackernews.Record(raw, now, "p", &b)
		if n := len(b.Posts) + len(b.Rejects); n != 1 && strings.TrimSpace(raw) != "null" {
			t.Fatalf("one record became %d", n)
		}
		for _, p := range b.Posts {
			if p.ID == "" || p.ID[0] == '-' || p.CreatedAt.IsZero() || p.Payload != strings.TrimSpace(raw) && p.Payload != raw {
				t.Errorf("%+v", p)
			}
			texts := slices.Concat([]string{p.Text, p.AuthorID, p.ReplyTo}, p.URLs)
			if utf8.ValidString(raw) && !utf8.ValidString(strings.Join(texts, "")) {
				t.Errorf("invalid text of %q: %q", raw, texts)
			}
		}
	})
}

func BenchmarkItem(b *testing.B) {
	var raws []string
	size := 0
	for _, raw := range recorded(b) {
		var it item
		if json.Unmarshal(raw, &it) == nil && it.Type != "" {
			raws = append(raws, string(raw))
			size += len(raw)
		}
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	var batch wire.Batch
	for b.Loop() {
		batch.Posts = batch.Posts[:0]
		for _, raw := range raws {
			hackernews.Item(raw, now, "", &batch)
		}
	}
	b.ReportMetric(float64(b.N*len(raws))/b.Elapsed().Seconds(), "posts/s")
}
