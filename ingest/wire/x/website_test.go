package x_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// tweet is a post as the website gets it; more goes into it, legacy into its old part.
func tweet(id, text, legacy, more string) string {
	return `{"__typename":"Tweet","rest_id":"` + id + `","id":1900000000000000000,` + more +
		`"core":{"user_results":{"result":{"rest_id":"7","legacy":{"followers_count":5},"core":{"screen_name":"zoe"}}}},"views":{"count":"31"},
		"legacy":{"id_str":"` + id + `","created_at":"Tue May 26 09:30:01 +0000 2026","full_text":"` + text + `","lang":"EN","favorite_count":4,"retweet_count":2,"reply_count":1,
		` + legacy + `"entities":{"hashtags":[{"text":"rain"}],"user_mentions":[{"screen_name":"yan"}],"urls":[{"expanded_url":"https://e.example/"}]}}}`
}

// TestWebsite reads posts of the website, as Zeeschuimer and 4CAT keep them.
func TestWebsite(t *testing.T) {
	created := time.Date(2026, 5, 26, 9, 30, 1, 0, time.UTC)
	plain := feedlake.Post{
		Network: wire.X, ID: "19", URI: "https://x.com/i/status/19", Kind: feedlake.KindPost, AuthorID: "7", AuthorName: "zoe", AuthorFollowers: new(int64(5)),
		CreatedAt: created, ObservedAt: time.UnixMilli(1779790000000).UTC(), Text: "wet & windy", Lang: "en", Hashtags: []string{"rain"}, Mentions: []string{"yan"},
		URLs: []string{"https://e.example/"}, Likes: new(int64(4)), Reposts: new(int64(2)), Replies: new(int64(1)), Views: new(int64(31)), Query: "https://x.com/search?q=rain",
	}
	with := func(change func(*feedlake.Post)) feedlake.Post { p := plain; change(&p); return p }
	note := `"note_tweet":{"note_tweet_results":{"result":{"text":"all of it #sun","entity_set":{"hashtags":[{"text":"sun"}]}}}},`
	for name, c := range map[string]struct {
		raw  string
		want feedlake.Post
	}{
		"post": {tweet("19", "wet &amp; windy", "", ""), plain},
		"long": {tweet("19", "all…", "", note), with(func(p *feedlake.Post) {
			p.Text, p.Hashtags, p.Mentions, p.URLs = "all of it #sun", []string{"sun"}, nil, nil
		})},
		"reply": {tweet("19", "wet &amp; windy", `"in_reply_to_status_id_str":"18",`, ""), with(func(p *feedlake.Post) { p.Kind, p.ReplyTo = feedlake.KindReply, "18" })},
		"quote": {tweet("19", "wet &amp; windy", "", `"quoted_status_result":{"result":{"tweet":`+tweet("17", "q", "", "")+`}},`), with(func(p *feedlake.Post) {
			p.Kind, p.QuoteOf = feedlake.KindQuote, "17"
		})},
		"limited": {`{"__typename":"TweetWithVisibilityResults","legacy":{},"tweet":` + tweet("19", "wet &amp; windy", "", "") + `}`, plain},
		"repost": {tweet("19", "RT @ann: who…", `"retweeted_status_result":{"result":`+tweet("16", "who…", `"quoted_status_id_str":"15",`, note)+`},`, ""), with(func(p *feedlake.Post) {
			p.Kind, p.RepostOf, p.Text, p.Hashtags, p.Mentions, p.URLs = feedlake.KindRepost, "16", "all of it #sun", []string{"sun"}, nil, nil
			p.Likes, p.Reposts, p.Replies, p.Views = nil, nil, nil, nil
		})},
	} {
		t.Run(name, func(t *testing.T) {
			const meta = `"source_platform":"twitter.com","timestamp_collected":1779790000000,"source_platform_url":"https://x.com/search?q=rain"`
			for _, raw := range []string{`{"item_id":"19",` + meta + `,"data":` + c.raw + `}`, strings.TrimSuffix(c.raw, "}") + `,"__import_meta":{` + meta + `}}`} {
				var b wire.Batch
				x.Record(raw, created.Add(24*time.Hour), "a:1", &b)
				if d := cmp.Diff([]feedlake.Post{c.want}, b.Posts, cmpopts.IgnoreFields(feedlake.Post{}, "Payload")); d != "" || len(b.Rejects) > 0 {
					t.Errorf("%s; rejects %v", d, b.Rejects)
				}
			}
		})
	}
	var b wire.Batch
	x.Record(`{"source_platform":"twitter.com","data":{"__typename":"TweetTombstone","rest_id":"3"}}`, created, "a:1", &b)
	if len(b.Posts) != 0 || len(b.Rejects) != 1 {
		t.Errorf("a tombstone: %v, %v", b.Posts, b.Rejects)
	}
}

// TestArchive reads the archive that X gives people of their own account, whose
// counts are texts and whose reposts name nobody's post.
func TestArchive(t *testing.T) {
	const times = `"created_at":"Thu Oct 13 23:08:00 +0000 2022"`
	var b wire.Batch
	for _, raw := range []string{
		`{"tweet":{"id":"1","id_str":"1",` + times + `,"full_text":"mine &amp; yours #q","favorite_count":"14","retweet_count":"0","lang":"en","entities":{"hashtags":[{"text":"q"}]}}}`,
		`{"tweet":{"id_str":"2",` + times + `,"full_text":"RT @bob: his","favorite_count":"0","retweeted":false}}`,
		`{"id_str":"3",` + times + `,"full_text":"unwrapped","in_reply_to_status_id_str":"1"}`,
		`{"tweet":{"id_str":"4",` + times + `,"full_text":"secret","deleted_at":"2022-10-14T10:00:00.000Z"}}`,
	} {
		x.Archive(raw, now, "a:1", &b)
	}
	type short struct {
		ID, Kind, Text string
		Likes, Reposts *int64
		Deleted        bool
	}
	var got []short
	for _, p := range b.Posts {
		got = append(got, short{p.ID, p.Kind, p.Text, p.Likes, p.Reposts, p.Deleted})
		if p.Deleted && (strings.Contains(p.Payload, "secret") || !p.ObservedAt.Equal(time.Date(2022, 10, 14, 10, 0, 0, 0, time.UTC))) {
			t.Errorf("a deletion: %+v", p)
		}
	}
	if d := cmp.Diff([]short{
		{"1", feedlake.KindPost, "mine & yours #q", new(int64(14)), new(int64(0)), false},
		{"2", feedlake.KindRepost, "RT @bob: his", new(int64(0)), nil, false},
		{"3", feedlake.KindReply, "unwrapped", nil, nil, false},
		{"4", feedlake.KindPost, "", nil, nil, true},
	}, got); d != "" || len(b.Rejects) > 0 {
		t.Errorf("%s; rejects %v", d, b.Rejects)
	}
}
