package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fourcat is a small table for each platform in the form of 4CAT's exports, with
// line breaks, quotes and commas inside values.
func fourcat() map[string]string {
	return map[string]string{
		"search-reddit-1.csv": "thread_id,id,timestamp,body,subject,author,author_flair,post_flair,image_file,domain,url,image_md5,subreddit,parent,score,unix_timestamp\n" +
			"abc,abc,2024-01-31 12:00:00,\"line one\nline two, \"\"quoted\"\"\",A title,someone,,,,self.cats,https://reddit.com/x,,cats,,12,1706702400\n" +
			"abc,def,2024-01-31 12:05:00,an answer,,other,,,,,,,cats,t3_abc,-3,1706702700\n" +
			"abc,ghi,1706703000,deeper,,other,,,,,,,cats,t1_def,1,1706703000\n",
		"twitter-2.csv": "id,thread_id,timestamp,unix_timestamp,link,subject,body,author,author_fullname,author_id,author_followers,source,language_guess,possibly_sensitive,retweet_count,reply_count,like_count,quote_count,impression_count," +
			"is_retweet,retweeted_user,is_quote_tweet,quoted_user,is_reply,replied_user,hashtags,urls,images,videos,mentions,long_lat,place_name\n" +
			"1752600000000000001,1752600000000000001,2024-01-31 12:00:00,1706702400,https://twitter.com/a/status/1,,\"Hi,\r\nyou \"\"all\"\"\",a,A A,77,1200,web,en,no,4,-1,9,0,,no,,no,,no,,\"cats,dogs\",https://a.example,,,\"b,c\",,\n" +
			"1752600000000000002,1752600000000000001,2024-01-31 12:01:00,1706702460,https://twitter.com/a/status/2,,RT @b: x,a,A A,77,1200,web,en,no,4,0,0,0,10,yes,b,no,,no,,,,,,b,,\n" +
			"1752600000000000003,1752600000000000001,2024-01-31 12:02:00,1706702520,https://twitter.com/a/status/3,,yes,a,A A,77,1200,web,und,no,0,0,0,0,11,no,,no,,yes,b,,,,,b,,\n",
		"search-instagram-3.csv": "\ufeffid,timestamp,thread_id,parent_id,url,body,author,author_fullname,verified,author_avatar_url,coauthors,coauthor_fullnames,coauthor_ids,media_type,num_media,image_urls,media_urls," +
			"hashtags,usertags,likes_hidden,num_likes,num_comments,location_name,location_id,location_latlong,location_city,unix_timestamp,missing_media\n" +
			"Cabc_-1,2024-01-31 12:00:00,Cabc_-1,Cabc_-1,https://www.instagram.com/p/Cabc_-1,\"Sun\n\nand #sea\",me,Me,False,,,,,photo,1,,,sea,you,yes,-1,5,,,,,1706702400,\n",
		"bsky-4.csv": "collected_at,query,rank,id,thread_id,created_at,author,author_id,body,link,tags,like_count,quote_count,reply_count,repost_count,quoted_post,quoted_user,replied_to_post,replied_to_user,replies_allowed," +
			"mentions,links,images,labels,has_poll,languages,author_display_name,author_profile,author_avatar,author_created_at,timestamp\n" +
			"2024-02-01T00:00:00,cats,1,at://did:plc:a/app.bsky.feed.post/1,at://did:plc:a/app.bsky.feed.post/1,2024-01-31T12:00:00.123000+00:00,a.example,did:plc:a,\"cats, \"\"cats\"\"\n!\",https://bsky.app/profile/a.example/post/1,\"cats,pets\",3,0,1,2,,,,,True,,,,,False,\"en,de\",A,,,2023-05-01T00:00:00+00:00,1706702400.123\n" +
			"2024-02-01T00:00:00,cats,2,at://did:plc:b/app.bsky.feed.post/2,at://did:plc:a/app.bsky.feed.post/1,2024-01-31T12:10:00+00:00,b.example,did:plc:b,no,https://bsky.app/profile/b.example/post/2,,0,0,0,0,,,https://bsky.app/profile/a.example/post/1,a.example,True,,,,,False,N/A,B,,,2023-05-01T00:00:00+00:00,1706703000.0\n",
	}
}

// TestFourCAT reads the example's tables by its own mappings.
func TestFourCAT(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "")
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "4cat.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c.write("feedlake.yaml", strings.Replace(string(b), "../4cat-lake", "lake", 1))
	c.env["FOURCAT"] = "tables"
	if err := os.Mkdir(filepath.Join(c.dir, "tables"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, text := range fourcat() {
		c.write(filepath.Join("tables", name), text)
	}
	c.run(0, "ingest")
	out, _ := c.run(0, "sql", "--csv", `select source, id, kind, strftime(created_at, '%H:%M') as at, author_name, replace(replace(text, chr(13), ''), chr(10), '|') as text, lang,
		array_to_string(hashtags, '+') as tags, array_to_string(mentions, '+') as mentions, reply_to, likes, reposts, replies, views from raw.posts order by source, created_at, id`)
	want := `source,id,kind,at,author_name,text,lang,tags,mentions,reply_to,likes,reposts,replies,views
4cat-bluesky,at://did:plc:a/app.bsky.feed.post/1,post,12:00,a.example,"cats, ""cats""|!",en,cats+pets,,,3,2,1,
4cat-bluesky,at://did:plc:b/app.bsky.feed.post/2,reply,12:10,b.example,no,,,,,0,0,0,
4cat-instagram,Cabc_-1,post,12:00,me,Sun||and #sea,,sea,you,,,,5,
4cat-reddit,abc,post,12:00,someone,"A title||line one|line two, ""quoted""",,,,,12,,,
4cat-reddit,def,comment,12:05,other,an answer,,,,abc,-3,,,
4cat-reddit,ghi,comment,12:10,other,deeper,,,,def,1,,,
4cat-x,1752600000000000001,post,12:00,a,"Hi,|you ""all""",en,cats+dogs,b+c,,9,4,,
4cat-x,1752600000000000002,repost,12:01,a,RT @b: x,en,,b,,,,,
4cat-x,1752600000000000003,reply,12:02,a,yes,,,b,,0,0,0,11
`
	if d := cmp.Diff(want, out); d != "" {
		t.Error(d)
	}
	if n := c.value("select count(*) from raw.rejects"); n != "0" {
		t.Errorf("%s rejects: %s", n, c.value("select string_agg(reason, ' ') from raw.rejects"))
	}
}
