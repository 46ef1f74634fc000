package x_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// searches are the recorded answers of version 1.1.
func searches(t testing.TB) map[string]json.RawMessage {
	t.Helper()
	var cassette []struct{ Body json.RawMessage }
	if err := json.Unmarshal([]byte(recorded(t, "x_v1/search_tweets_tweepy.json")), &cassette); err != nil {
		t.Fatal(err)
	}
	return map[string]json.RawMessage{"tweepy": cassette[0].Body, "twitter": json.RawMessage(recorded(t, "x_v1/search_tweets_twitter.json"))}
}

// TestStatuses compares every recorded status with another reading of it.
func TestStatuses(t *testing.T) {
	for name, raw := range searches(t) {
		t.Run(name, func(t *testing.T) {
			var answer struct{ Statuses []object }
			if err := json.Unmarshal(raw, &answer); err != nil || len(answer.Statuses) == 0 {
				t.Fatal(err)
			}
			var b wire.Batch
			x.Record(string(raw), now, name, &b)
			var wanted []feedlake.Post
			for i, s := range answer.Statuses {
				wanted = append(wanted, wantStatus(t, s))
				var payload object
				if err := json.Unmarshal([]byte(b.Posts[i].Payload), &payload); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(s, payload); d != "" {
					t.Error(d)
				}
				b.Posts[i].Payload = ""
			}
			if d := cmp.Diff(wiretest.Of(wire.X, wanted), b.Posts); d != "" || len(b.Rejects) > 0 {
				t.Error(d, b.Rejects)
			}
		})
	}
}

func wantStatus(t *testing.T, s object) feedlake.Post {
	t.Helper()
	at, err := time.Parse("Mon Jan 2 15:04:05 -0700 2006", str(s["created_at"]))
	if err != nil {
		t.Fatal(err)
	}
	u, _ := s["user"].(object)
	p := feedlake.Post{
		ID: str(s["id_str"]), URI: "https://x.com/i/status/" + str(s["id_str"]), Kind: feedlake.KindPost, AuthorID: str(u["id_str"]), AuthorName: str(u["screen_name"]),
		AuthorFollowers: number(u, "followers_count"), CreatedAt: at.UTC(), ObservedAt: now, Lang: str(s["lang"]),
		Likes: number(s, "favorite_count"), Reposts: number(s, "retweet_count"), Replies: number(s, "reply_count"), ReplyTo: str(s["in_reply_to_status_id_str"]),
	}
	original := s
	switch of, ok := s["retweeted_status"].(object); {
	case ok:
		original, p.RepostOf, p.Kind = of, str(of["id_str"]), feedlake.KindRepost
	case p.ReplyTo != "":
		p.Kind = feedlake.KindReply
	case s["quoted_status_id_str"] != nil:
		p.Kind = feedlake.KindQuote
	}
	if p.RepostOf == "" {
		p.QuoteOf = str(s["quoted_status_id_str"])
	}
	p.Text = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(str(original["text"]))
	e, _ := original["entities"].(object)
	p.Hashtags, p.Mentions, p.URLs = strs(e["hashtags"], "text"), strs(e["user_mentions"], "screen_name"), strs(e["urls"], "expanded_url")
	return p
}
