package files_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// kinds are records of each platform: posts, by the shapes that read them, and
// what is no post.
func kinds() map[string]struct {
	raw    string
	shapes string // that land a post of it
	seems  string // what a reject says of it
} {
	return map[string]struct{ raw, shapes, seems string }{
		"x post":        {`{"id":"1580696888344707072","text":"a","author_id":"1","created_at":"2022-10-13T23:08:00.000Z"}`, "x", "a post of X"},
		"x page":        {`{"data":[{"id":"1580696888344707072","text":"a","author_id":"1","created_at":"2022-10-13T23:08:00.000Z"}],"meta":{}}`, "x", "a post of X"},
		"x status":      {`{"id_str":"1580696888344707072","full_text":"a","created_at":"Thu Oct 13 23:08:00 +0000 2022"}`, "x x-archive", "a post of X"},
		"x archive":     {`{"tweet":{"id_str":"1580696888344707072","full_text":"a","created_at":"Thu Oct 13 23:08:00 +0000 2022"}}`, "x x-archive", "a post of X"},
		"x website":     {`{"rest_id":"1580696888344707072","legacy":{"full_text":"a","created_at":"Thu Oct 13 23:08:00 +0000 2022"}}`, "x", "a post of X"},
		"x user":        {`{"id":"7","username":"a","name":"A","created_at":"2007-03-25T00:02:48.000Z","public_metrics":{"followers_count":5}}`, "", "a user of X"},
		"x users":       {`{"data":[{"id":"7","username":"a","name":"A","created_at":"2007-03-25T00:02:48.000Z"}],"meta":{"result_count":1}}`, "", "a user of X"},
		"x stream user": {`{"data":{"id":"7","username":"a","name":"A","created_at":"2007-03-25T00:02:48.000Z"}}`, "", "a user of X"},
		"x old user":    {`{"id":7,"id_str":"7","screen_name":"a","created_at":"Thu Oct 13 23:08:00 +0000 2022","status":{"id_str":"1"}}`, "", "a user of X"},
		"x list":        {`{"data":[{"id":"1350391817490067458","name":"L","owner_id":"7","member_count":3,"created_at":"2021-01-16T10:37:53.000Z"}]}`, "", "a list of X"},
		"x space":       {`{"data":[{"id":"1DXxyRYNejbKM","state":"live","host_ids":["7"],"created_at":"2021-01-16T10:37:53.000Z"}]}`, "", "a space of X"},
		"x media":       {`{"data":{"media_key":"3_1","type":"photo","id":"1350391817490067458"}}`, "", "a medium of X"},
		"x gone user":   {`{"id":"11","action":"delete","created_at":"2013-06-04T16:25:04.000Z","reason":"protected"}`, "x-users", "compliance job"},
		"reddit post":   {`{"id":"x2swux","subreddit":"a","title":"t","selftext":"s","author":"b","created_utc":1661991002}`, "reddit", "a post or comment of Reddit"},
		"reddit comment": {
			`{"id":"c13","subreddit":"a","body":"b","author":"b","link_id":"t3_17863","parent_id":"t3_17863","created_utc":1134365188}`, "reddit", "a post or comment of Reddit",
		},
		"reddit group":    {`{"kind":"t5","data":{"id":"2qh","display_name":"a","subscribers":3,"created_utc":1134365188}}`, "", "a subreddit of Reddit"},
		"reddit user":     {`{"id":"abc","name":"a","link_karma":3,"created_utc":1134365188}`, "", "a user of Reddit"},
		"mastodon status": {`{"id":"1","uri":"https://m.example/1","created_at":"2022-11-08T03:07:14Z","visibility":"public","content":"<p>a","account":{"acct":"a","id":"2"}}`, "mastodon", "a status of Mastodon"},
		"mastodon user":   {`{"id":"1","uri":"https://m.example/users/a","username":"a","acct":"a","created_at":"2022-11-08T03:07:14Z","followers_count":1}`, "", "an account of Mastodon"},
		"activity":        {`{"id":"https://m.example/1","type":"Announce","actor":"https://m.example/users/a","published":"2022-11-08T03:07:14Z","to":["as:Public"],"object":"https://o.example/2"}`, "mastodon", "an activity of ActivityPub"},
		"hn item":         {`{"id":1,"type":"story","by":"a","time":1175714200,"title":"one"}`, "hackernews", "an item of Hacker News"},
		"hn hit":          {`{"objectID":"3","author":"b","created_at_i":1175714202,"comment_text":"c","parent_id":1}`, "hackernews", "a hit of HN Search"},
		"hn user":         {`{"id":"pg","karma":3,"created":1160418092,"submitted":[1]}`, "", "a user of Hacker News"},
		"jetstream":       {`{"did":"did:plc:a","time_us":1725911162329308,"kind":"commit","commit":{"rev":"r","operation":"create","collection":"app.bsky.feed.post","rkey":"3l3qo2vuowo2b","record":{"$type":"app.bsky.feed.post","createdAt":"2024-09-09T19:46:02.102Z","text":"a"}}}`, "bluesky", "Jetstream"},
		"bluesky user":    {`{"did":"did:plc:a","handle":"a.example","followersCount":2,"createdAt":"2024-09-09T19:46:02.102Z"}`, "", "a user of Bluesky"},
		"instagram media": {`{"id":"17","caption":"a","media_type":"IMAGE","permalink":"https://www.instagram.com/p/A/","timestamp":"2022-11-08T03:07:14+0000"}`, "instagram", "a post of Instagram"},
		"instagram user":  {`{"id":"17","username":"a","name":"A","followers_count":3,"media_count":4}`, "", "no"},
		"telegram":        {`{"name":"A","type":"public_channel","id":7,"messages":[{"id":5,"type":"message","date_unixtime":"1667876834","from":"A","from_id":"channel7","text":"a"}]}`, "telegram", "a chat of Telegram"},
		"telegram, bare":  {`{"id":5,"type":"message","date":"2022-11-08T03:07:14","date_unixtime":"1667876834","from":"A","from_id":"user1","text":"a"}`, "", "no"},
		"instaloader":     {`{"node":{"__typename":"GraphImage","id":"27","shortcode":"A","taken_at_timestamp":1667876834,"owner":{"id":"3"}},"instaloader":{"node_type":"Post"}}`, "instaloader instagram", "a post of Instagram"},
		"meta":            {`{"timestamp":1667876834,"data":[{"post":"a"}]}`, "meta", "a post of a Meta archive"},
		"tiktok":          {`{"item_id":"7678907398077074695","source_platform":"tiktok.com","timestamp_collected":1779790000000,"data":{"id":"7678907398077074695","desc":"a","createTime":"1692590706"}}`, "", "tiktok.com"},
		"anything":        {`{"id":"1","text":"","created":1}`, "", ""},
		"nothing":         {`{}`, "", ""},
		"a number":        {`12`, "", ""},
	}
}

// TestForeignRecords is a contract: what is no post of a shape's platform is a
// reject, which says what it seems to be.
func TestForeignRecords(t *testing.T) {
	for _, shape := range files.Shapes() {
		for name, k := range kinds() {
			f := newFolder(t)
			f.write("a.ndjson", k.raw+"\n")
			got, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: a.ndjson\nformat: ndjson\nshape: "+shape), "")
			own := strings.Contains(" "+k.shapes+" ", " "+shape+" ")
			switch {
			case own && (len(got) != 1 || len(bad) != 0):
				t.Errorf("%s does not read %s: %d posts, rejects %q", shape, name, len(got), sourcetest.Reasons(bad))
			case !own && (len(got) != 0 || len(bad) != 1):
				t.Errorf("%s takes %s: %s, rejects %q", shape, name, fmt.Sprint(got), sourcetest.Reasons(bad))
			case !own && k.seems != "no" && !strings.Contains(bad[0].Reason, k.seems):
				t.Errorf("%s says of %s: %q, want %q", shape, name, bad[0].Reason, k.seems)
			case own && (got[0].Network == "") != (shape == "meta"):
				t.Errorf("%s names no network", shape)
			}
		}
	}
}
