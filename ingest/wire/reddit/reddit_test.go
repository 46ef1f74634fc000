package reddit_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/reddit"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
)

var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func unix(s int64) time.Time { return time.Unix(s, 0).UTC() }

// TestRecord reads one record of each form.
func TestRecord(t *testing.T) {
	dump := feedlake.Post{
		ID: "t3_1jpihf", URI: "https://www.reddit.com/r/tea/comments/1jpihf/cups/", Kind: "post", AuthorID: "t2_9", AuthorName: "ann", CreatedAt: unix(1375660804),
		ObservedAt: unix(1375700000), Text: "Cups < bowls & pots\n\nq", URLs: []string{"https://a.example/?x&y"}, Likes: new(int64(0)), Replies: new(int64(3)), Reposts: new(int64(2)),
	}
	line := `{"id":"1jpihf","author":"ann","author_fullname":"t2_9","created_utc":"1375660804","retrieved_on":1375700000,"title":"Cups &lt; bowls &amp; pots","selftext":"q",` +
		`"permalink":"/r/tea/comments/1jpihf/cups/","url":"https://a.example/?x&amp;y","is_self":false,"score":0,"num_comments":3,"num_crossposts":2,"view_count":null}`
	comment := feedlake.Post{
		ID: "t1_c2", URI: "https://www.reddit.com/r/tea/comments/p1/_/c2/", Kind: "comment", AuthorID: "bob", AuthorName: "bob", CreatedAt: unix(1467590690), ObservedAt: now,
		Text: "&gt; yes", ReplyTo: "t1_c1",
	}
	hidden := `{"kind":"t1","data":{"name":"t1_c2","id":"c2","author":"bob","created_utc":1467590690.0,"body":"&gt; yes","parent_id":"t1_c1","link_id":"t3_p1","subreddit":"tea","score":1,"score_hidden":true}}`
	for _, tt := range []struct {
		name, raw string
		want      []feedlake.Post
	}{
		{"dump of submissions", line, []feedlake.Post{dump}},
		{"looked at twice", strings.Replace(line, `"selftext"`, `"_meta":{"retrieved_2nd_on":1375800000},"selftext"`, 1), []feedlake.Post{with(dump, func(p *feedlake.Post) { p.ObservedAt = unix(1375800000) })}},
		{"thing", hidden, []feedlake.Post{comment}},
		{"data before kind", `{"data":` + hidden[len(`{"kind":"t1","data":`):len(hidden)-1] + `,"kind":"t1"}`, []feedlake.Post{comment}},
		{"dump of comments", `{"id":"c2","author":"bob","created_utc":1467590690,"body":"&amp;gt; yes","parent_id":"t1_c1","link_id":"t3_p1","subreddit":"tea","score":7}`, []feedlake.Post{with(comment, func(p *feedlake.Post) { p.Likes = new(int64(7)) })}},
		{"listing", `{"kind":"Listing","data":{"after":null,"children":[` + hidden + `]}}`, []feedlake.Post{comment}},
		{"page of a submission", `[{"kind":"Listing","data":{"children":[]}},{"kind":"Listing","data":{"children":[` + hidden + `]}}]`, []feedlake.Post{comment}},
		{"morechildren", `{"json":{"errors":[],"data":{"things":[` + hidden + `]}}}`, []feedlake.Post{comment}},
		{"interaction", `[{"recorded_at":"2016-07-04T00:04:51","body":` + hidden + `}]`, []feedlake.Post{with(comment, func(p *feedlake.Post) { p.ObservedAt = time.Date(2016, 7, 4, 0, 4, 51, 0, time.UTC) })}},
		{"cassette", `{"http_interactions":[{"recorded_at":"2016-07-04T00:04:51","response":{"body":{"string":` + quoted(hidden) + `}}}]}`, []feedlake.Post{with(comment, func(p *feedlake.Post) { p.ObservedAt = time.Date(2016, 7, 4, 0, 4, 51, 0, time.UTC) })}},
		{"crosspost", `{"name":"t3_b","created_utc":5e8,"title":"x","crosspost_parent":"t3_a","url":"/r/tea/comments/a/x/","is_self":false}`, []feedlake.Post{{
			ID: "t3_b", URI: "https://www.reddit.com/comments/b/", Kind: "quote", CreatedAt: unix(5e8), ObservedAt: now, Text: "x", URLs: []string{"https://www.reddit.com/r/tea/comments/a/x/"}, QuoteOf: "t3_a",
		}}},
		{"author gone, post not", `{"name":"t3_b","author":"[deleted]","created_utc":500000000,"title":"x","is_self":true,"url":"https://x.example"}`, []feedlake.Post{{
			ID: "t3_b", URI: "https://www.reddit.com/comments/b/", Kind: "post", CreatedAt: unix(5e8), ObservedAt: now, Text: "x",
		}}},
		{"more", `{"kind":"more","data":{"count":2,"parent_id":"t3_b","children":["x","y"]}}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b wire.Batch
			reddit.Record(tt.raw, now, "line 1", &b)
			if len(b.Rejects) > 0 {
				t.Errorf("rejects: %+v", b.Rejects)
			}
			for i := range b.Posts {
				if !json.Valid([]byte(b.Posts[i].Payload)) {
					t.Errorf("payload is no JSON: %s", b.Posts[i].Payload)
				}
				b.Posts[i].Payload = ""
			}
			if d := cmp.Diff(wiretest.Of(wire.Reddit, tt.want), b.Posts); d != "" {
				t.Error(d)
			}
		})
	}
}

func with(p feedlake.Post, change func(*feedlake.Post)) feedlake.Post {
	change(&p)
	return p
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // of a string: no error
	return string(b)
}

// TestDeleted wants nothing of a deleted post kept, not even in its payload.
func TestDeleted(t *testing.T) {
	const secret = "sesame"
	rest := `"author":"sesame","author_fullname":"t2_sesame","permalink":"/r/x/comments/b/sesame/","url":"https://sesame.example","selftext_html":"sesame","media":{"t":"sesame"}`
	for name, raw := range map[string]string{
		"deleted comment":     `{"name":"t1_b","created_utc":500000000,"body":"[deleted]",` + rest + `}`,
		"removed submission":  `{"name":"t3_b","created_utc":500000000,"title":"sesame","selftext":"[removed]",` + rest + `}`,
		"removed by category": `{"name":"t3_b","created_utc":500000000,"title":"sesame","selftext":"sesame","removed_by_category":"moderator",` + rest + `}`,
		"deleted later":       `{"name":"t3_b","created_utc":500000000,"title":"sesame","selftext":"sesame","_meta":{"was_deleted_later":true,"corrupted_body":"sesame"},` + rest + `}`,
		"removed later":       `{"name":"t1_b","created_utc":500000000,"body":"sesame","_meta":{"removal_type":"removed by reddit"},` + rest + `}`,
		"by its user":         `{"name":"t3_b","created_utc":500000000,"title":"[deleted by user]","selftext":"",` + rest + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			var b wire.Batch
			reddit.Record(raw, now, "line 1", &b)
			if len(b.Posts) != 1 || !b.Posts[0].Deleted || b.Posts[0].Text != "" {
				t.Fatalf("want one deletion, got %+v, rejects %+v", b.Posts, b.Rejects)
			}
			if all := fmt.Sprintf("%+v", b.Posts[0]); strings.Contains(all, secret) || !json.Valid([]byte(b.Posts[0].Payload)) {
				t.Errorf("something is left of it: %s", all)
			}
		})
	}
	var b wire.Batch
	if reddit.Record(`{"name":"t3_b","created_utc":500000000,"title":"x","removed_by_category":null,"_meta":{"was_deleted_later":false,"was_initially_deleted":true}}`, now, "", &b); len(b.Posts) != 1 || b.Posts[0].Deleted {
		t.Errorf("a post that is there is no deletion: %+v", b)
	}
}

// TestRejects wants a reason for what is no post.
func TestRejects(t *testing.T) {
	for raw, want := range map[string]string{
		``:                                      "broken JSON",
		`{"name":"t3_b",`:                       "broken JSON",
		`{"name":"t3_b"} x`:                     "broken JSON",
		`{"name":"t3_b","x":01}`:                "broken JSON",
		"{\"name\":\"t3_b\",\"x\":\"\n\"}":      "broken JSON",
		"{\"name\":\"t3_b\",\"x\":\"\x01n\"}":   "broken JSON",
		`{"name":"t3_b","x":"\q"}`:              "broken JSON",
		`17`:                                    "want an object",
		`{"title":"x","created_utc":500000000}`: "the record has no id",
		`{"name":"t3_b","title":"x"}`:           "the record has no time",
		`{"name":"t3_b","title":"x","created_utc":"1e300"}`:                   "the record has no time",
		`{"name":"t3_b","title":"x","created_utc":-5}`:                        "the record has no time",
		`{"id":"b","created_utc":500000000}`:                                  "neither a submission nor a comment",
		`{"kind":"t5","data":{"name":"t5_x"}}`:                                `a thing of kind "t5" is no post`,
		"{\"name\":\"t3_b\",\"title\":\"\xff\",\"created_utc\":500000000}":    "not valid UTF-8",
		`{"recorded_at":"2016-07-04T00:04:51","body":"<html>"}`:               "a recorded answer that holds no JSON",
		`{"recorded_at":"2016-07-04T00:04:51","body":"{"}`:                    "a recorded answer of broken JSON",
		`{"recorded_at":"2016-07-04T00:04:51","body":"{\"access_token\":1}"}`: "a recorded token, no posts",
		strings.Repeat("[", 1000) + strings.Repeat("]", 1000):                 "broken JSON",
	} {
		var b wire.Batch
		reddit.Record(raw, now, "line 1", &b)
		if len(b.Posts) != 0 || len(b.Rejects) != 1 || b.Rejects[0].Reason != want || !strings.HasPrefix(b.Rejects[0].Position, "line 1") {
			t.Errorf("%.80q: posts %d, rejects %+v, want %q", raw, len(b.Posts), b.Rejects, want)
		}
	}
}

// TestTree reads a comment with answers below it, and what is left out.
func TestTree(t *testing.T) {
	raw := `[{"kind":"Listing","data":{"children":[{"kind":"t3","data":{"name":"t3_p","title":"x","created_utc":500000000}}],"after":null}},` +
		`{"kind":"Listing","data":{"after":null,"children":[{"kind":"t1","data":{"name":"t1_a","body":"a","created_utc":500000001,"parent_id":"t3_p","replies":` +
		`{"kind":"Listing","data":{"after":"t1_no","children":[{"kind":"t1","data":{"name":"t1_b","body":"below","created_utc":500000002,"parent_id":"t1_a","replies":""}},` +
		`{"kind":"more","data":{"count":0,"id":"_","parent_id":"t1_b","children":[]}}]}},"score":3}},{"kind":"more","data":{"count":2,"parent_id":"t3_p","children":["c","d"]}}]}}]`
	var b wire.Batch
	page, err := reddit.Listing(raw, now, "page", &b)
	if err != nil || len(b.Rejects) > 0 {
		t.Fatal(err, b.Rejects)
	}
	want := reddit.Page{Names: []string{"t3_p", "t1_a"}, More: []reddit.More{{Parent: "t1_b"}, {Parent: "t3_p", Children: []string{"c", "d"}}}}
	if d := cmp.Diff(want, page); d != "" {
		t.Error(d)
	}
	got := map[string]string{}
	for _, p := range b.Posts {
		got[p.ID] = p.ReplyTo
		if p.ID == "t1_a" && (strings.Contains(p.Payload, "below") || !strings.Contains(p.Payload, `"replies":"","score":3`)) {
			t.Errorf("payload of a comment: %s", p.Payload)
		}
	}
	if d := cmp.Diff(map[string]string{"t3_p": "", "t1_a": "t3_p", "t1_b": "t1_a"}, got); d != "" {
		t.Error(d)
	}
	if _, err := reddit.MoreChildren(`{"json":{"errors":[["TOO_MANY","too many","children"]]}}`, now, "", &b); err == nil {
		t.Error("errors of morechildren are not told")
	}
	if _, err := reddit.Listing(`<html>`, now, "", &b); err == nil {
		t.Error("HTML was taken for a listing")
	}
}

// recordedFiles finds the recorded answers.
func recordedFiles(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for name, raw := range wiretest.Glob(t, "reddit", "*.json") {
		out[name] = []byte(raw)
	}
	return out
}

// TestRecorded compares what every recorded answer decodes to with another
// reading of the same JSON.
func TestRecorded(t *testing.T) {
	files := recordedFiles(t)
	if len(files) != 7 {
		t.Errorf("%d recorded files, want 7", len(files))
	}
	for name, raw := range files {
		t.Run(name, func(t *testing.T) {
			var b wire.Batch
			reddit.Record(string(raw), now, name, &b)
			if len(b.Rejects) > 0 {
				t.Fatalf("rejects: %+v", b.Rejects[0])
			}
			var cassette []struct {
				At   string          `json:"recorded_at"`
				Body json.RawMessage `json:"body"`
			}
			if err := json.Unmarshal(raw, &cassette); err != nil {
				t.Fatal(err)
			}
			want := map[string]feedlake.Post{}
			for _, i := range cassette {
				at, err := time.Parse("2006-01-02T15:04:05", i.At)
				if err != nil {
					t.Fatal(err)
				}
				var body any
				if err := json.Unmarshal(i.Body, &body); err != nil {
					t.Fatal(err)
				}
				expect(t, body, at, want)
			}
			got := map[string]feedlake.Post{}
			for _, p := range b.Posts {
				samePayload(t, p, want[p.ID])
				p.Payload = ""
				got[p.ID] = p
			}
			for id, p := range want {
				p.Payload, p.Network = "", wire.Reddit
				want[id] = p
			}
			if len(b.Posts) != len(want) || len(want) == 0 {
				t.Errorf("%d posts, want %d", len(b.Posts), len(want))
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func samePayload(t *testing.T, got, want feedlake.Post) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got.Payload), &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want.Payload), &w); err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(g, w) {
		t.Errorf("%s: the payload is another", got.ID)
	}
}

// expect reads the things of a decoded answer, at any depth.
func expect(t *testing.T, v any, at time.Time, to map[string]feedlake.Post) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			expect(t, x, at, to)
		}
	case map[string]any:
		kind, _ := v["kind"].(string)
		data, _ := v["data"].(map[string]any)
		if kind != "t1" && kind != "t3" {
			expect(t, data["children"], at, to)
			return
		}
		if replies, ok := data["replies"].(map[string]any); ok {
			expect(t, replies, at, to)
			data["replies"] = ""
		}
		p := expectPost(kind, data)
		p.ObservedAt = at
		raw, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		p.Payload = string(raw)
		to[p.ID] = p
	}
}

func expectPost(kind string, m map[string]any) feedlake.Post {
	str := func(key string) string { s, _ := m[key].(string); return s }
	count := func(key string) *int64 {
		if f, ok := m[key].(float64); ok {
			return new(int64(f))
		}
		return nil
	}
	created, _ := m["created_utc"].(float64)
	p := feedlake.Post{ID: str("name"), CreatedAt: unix(int64(created)), Likes: count("score"), Replies: count("num_comments"), AuthorID: str("author"), AuthorName: str("author")}
	if p.AuthorName == "[deleted]" {
		p.AuthorID, p.AuthorName = "", ""
	}
	if kind == "t1" {
		p.Kind, p.ReplyTo, p.Text = feedlake.KindComment, str("parent_id"), str("body")
		p.URI = "https://www.reddit.com/r/" + str("subreddit") + "/comments/" + strings.TrimPrefix(str("link_id"), "t3_") + "/_/" + str("id") + "/"
		if m["score_hidden"] == true {
			p.Likes = nil
		}
		return p
	}
	p.Kind, p.Text, p.URI = feedlake.KindPost, str("title"), "https://www.reddit.com"+str("permalink")
	if body := str("selftext"); body != "" {
		p.Text += "\n\n" + body
	}
	if m["is_self"] != true {
		p.URLs = []string{str("url")}
	}
	return p
}
