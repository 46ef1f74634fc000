package x_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// recorded reads a recorded answer beside the repository.
func recorded(t testing.TB, name string) string {
	t.Helper()
	return wiretest.Read(t, strings.Split(name, "/")...)
}

// lines are those of a recorded file.
func lines(t testing.TB, name string) []string {
	t.Helper()
	return strings.Split(strings.TrimSpace(recorded(t, name)), "\n")
}

// files of version 2 that hold posts, with how many.
var files = map[string]int{
	"brexit": 100, "edited": 1, "geo_tweets": 2, "kpop": 100, "media_tweet": 1, "noflat": 100, "streaming_output_with_error": 7, "two_tweets": 1, "verified_type": 1,
}

// object is JSON as encoding/json reads it.
type object = map[string]any

func list(v any) []object {
	var out []object
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			o, _ := e.(object)
			out = append(out, o)
		}
	case object:
		out = append(out, v)
	}
	return out
}

func find(in []object, key string, value any) object {
	for _, o := range in {
		if value != nil && o[key] == value {
			return o
		}
	}
	return nil
}

func str(v any) string { s, _ := v.(string); return s }

func number(o any, key string) *int64 {
	m, _ := o.(object)
	n, ok := m[key].(float64)
	if !ok {
		return nil
	}
	i := int64(n)
	return &i
}

// strs are a field of the objects of an array; nil without one.
func strs(v any, key string) []string {
	if v == nil {
		return nil
	}
	out := []string{}
	for _, o := range list(v) {
		out = append(out, str(o[key]))
	}
	return out
}

// want reads a post of an answer field by field, in another way than the decoder.
func want(t *testing.T, d, answer object) feedlake.Post {
	t.Helper()
	in, _ := answer["includes"].(object)
	at, err := time.Parse(time.RFC3339, str(d["created_at"]))
	if err != nil {
		t.Fatal(err)
	}
	twarc, _ := answer["__twarc"].(object)
	seen, err := time.Parse(time.RFC3339, str(twarc["retrieved_at"]))
	if err != nil {
		t.Fatal(err)
	}
	by := find(list(in["users"]), "id", d["author_id"])
	p := feedlake.Post{
		ID: str(d["id"]), URI: "https://x.com/i/status/" + str(d["id"]), Kind: feedlake.KindPost, AuthorID: str(d["author_id"]), AuthorName: str(by["username"]),
		AuthorFollowers: number(by["public_metrics"], "followers_count"), CreatedAt: at, ObservedAt: seen.UTC(), Lang: str(d["lang"]),
		Likes: number(d["public_metrics"], "like_count"), Reposts: number(d["public_metrics"], "retweet_count"),
		Replies: number(d["public_metrics"], "reply_count"), Views: number(d["public_metrics"], "impression_count"),
	}
	original := d
	for _, r := range list(d["referenced_tweets"]) {
		switch id := str(r["id"]); r["type"] {
		case "replied_to":
			p.ReplyTo, p.Kind = id, feedlake.KindReply
		case "quoted":
			p.QuoteOf = id
			if p.ReplyTo == "" {
				p.Kind = feedlake.KindQuote
			}
		case "retweeted":
			p.RepostOf, p.Kind = id, feedlake.KindRepost
			if o := find(list(in["tweets"]), "id", id); o != nil {
				original = o
			}
		}
	}
	if p.ReplyTo != "" {
		p.Kind = feedlake.KindReply
	}
	p.Text = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(str(original["text"]))
	if e, ok := original["entities"].(object); ok { // kinds that the post has none of are left out
		none := object{"hashtags": []any{}, "mentions": []any{}, "urls": []any{}}
		maps.Copy(none, e)
		p.Hashtags, p.Mentions, p.URLs = strs(none["hashtags"], "tag"), strs(none["mentions"], "username"), strs(none["urls"], "expanded_url")
	}
	return p
}

// TestRecorded compares every recorded post with another reading of it.
func TestRecorded(t *testing.T) {
	for name, n := range files {
		t.Run(name, func(t *testing.T) {
			var b wire.Batch
			var wanted []feedlake.Post
			var answers []object
			broken := 0 // the recorded stream ends with a word that twarc wrote
			for _, line := range lines(t, "x_v2/"+name+".jsonl") {
				var answer object
				if err := json.Unmarshal([]byte(line), &answer); err != nil {
					broken++
				}
				for _, d := range list(answer["data"]) {
					wanted, answers = append(wanted, want(t, d, answer)), append(answers, answer)
				}
				x.Record(line, now, name, &b)
			}
			if len(b.Rejects) != broken || len(b.Posts) != n {
				t.Fatalf("%d posts, want %d; rejects %v", len(b.Posts), n, b.Rejects)
			}
			for i := range b.Posts {
				payload(t, b.Posts[i], answers[i])
				b.Posts[i].Payload = ""
			}
			if d := cmp.Diff(wiretest.Of(wire.X, wanted), b.Posts); d != "" {
				t.Error(d)
			}
			for _, p := range b.Posts {
				if at, ok := x.CreatedAt(p.ID); !ok || !at.Equal(p.CreatedAt) {
					t.Errorf("%s: its id says %s, the answer %s", p.ID, at, p.CreatedAt)
				}
			}
		})
	}
}

// payload wants the post as it came, what it refers to, and nothing else.
func payload(t *testing.T, p feedlake.Post, answer object) {
	t.Helper()
	var got object
	if err := json.Unmarshal([]byte(p.Payload), &got); err != nil {
		t.Fatalf("%s: %v", p.ID, err)
	}
	if _, one := answer["data"].(object); one {
		if d := cmp.Diff(answer, got); d != "" {
			t.Errorf("%s: a line is its own payload: %s", p.ID, d)
		}
		return
	}
	in, _ := answer["includes"].(object)
	d := find(list(answer["data"]), "id", p.ID)
	wanted := object{"data": d}
	if includes := referred(d, in); len(includes) > 0 {
		wanted["includes"] = includes
	}
	for _, e := range list(answer["errors"]) {
		about := func(o object) bool {
			entities, _ := o["entities"].(object)
			names := strs(entities["mentions"], "username")
			return slices.Contains(names, str(e["value"]))
		}
		others, _ := wanted["includes"].(object)
		if hasMentions(d) && about(d) || slices.ContainsFunc(list(others["tweets"]), func(o object) bool { return hasMentions(o) && about(o) }) {
			wanted["errors"] = append(anys(wanted["errors"]), e)
		}
	}
	sorted(wanted)
	sorted(got)
	if d := cmp.Diff(wanted, got); d != "" {
		t.Errorf("%s: payload: %s", p.ID, d)
	}
}

func hasMentions(o object) bool { e, _ := o["entities"].(object); return e["mentions"] != nil }

func anys(v any) []any { l, _ := v.([]any); return l }

// referred is what a post of an answer refers to, by a walk over the answer.
func referred(d, in object) object {
	posts := []object{d}
	out := object{}
	ids := strs(d["referenced_tweets"], "id")
	for _, id := range anys(d["edit_history_tweet_ids"]) {
		if id != d["id"] {
			ids = append(ids, str(id))
		}
	}
	for _, o := range list(in["tweets"]) {
		if slices.Contains(ids, str(o["id"])) && find(list(out["tweets"]), "id", o["id"]) == nil { // some come twice
			posts = append(posts, o)
			out["tweets"] = append(anys(out["tweets"]), o)
		}
	}
	for group, key := range map[string]string{"users": "id", "media": "media_key", "places": "id", "polls": "id"} {
		for _, o := range list(in[group]) {
			for _, p := range posts {
				if refers(p, group, o, str(o[key])) {
					out[group] = append(anys(out[group]), o)
					break
				}
			}
		}
	}
	return out
}

func refers(p object, group string, o object, key string) bool {
	e, _ := p["entities"].(object)
	a, _ := p["attachments"].(object)
	g, _ := p["geo"].(object)
	switch group {
	case "users":
		return p["author_id"] == key || p["in_reply_to_user_id"] == key || slices.Contains(strs(e["mentions"], "username"), str(o["username"]))
	case "media":
		return slices.Contains(anys(a["media_keys"]), any(key))
	case "polls":
		return slices.Contains(anys(a["poll_ids"]), any(key))
	}
	return g["place_id"] == key
}

// sorted puts the lists of includes in an order of their own.
func sorted(o object) {
	in, _ := o["includes"].(object)
	for _, l := range in {
		slices.SortFunc(anys(l), func(a, b any) int {
			key := func(v any) string { o, _ := v.(object); return str(o["id"]) + str(o["media_key"]) }
			return strings.Compare(key(a), key(b))
		})
	}
}

// TestMeta wants the token of the next page and the answer's errors.
func TestMeta(t *testing.T) {
	var b wire.Batch
	m := x.Page(recorded(t, "x_v2/kpop.jsonl"), now, "page", &b)
	if m.NextToken == "" || m.NewestID != b.Posts[0].ID || m.OldestID != b.Posts[99].ID || m.Results != 100 || len(m.Problems) != 1 || m.Broken {
		t.Errorf("got %+v", m)
	}
	if e := m.Problems[0]; !e.Is("resource-not-found") || e.Parameter != "entities.mentions.username" || e.Value == "" {
		t.Errorf("got %+v", e)
	}
}

// TestCounts are no posts.
func TestCounts(t *testing.T) {
	var b wire.Batch
	x.Record(recorded(t, "x_v2/counts.jsonl"), now, "counts", &b)
	if len(b.Posts) != 0 || len(b.Rejects) != 1 {
		t.Errorf("%d posts and %d rejects", len(b.Posts), len(b.Rejects))
	}
}
