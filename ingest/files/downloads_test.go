package files_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// telegramAll is an export of an account with two channels, a group and a
// conversation of two.
const telegramAll = `{"about":"x","personal_information":{"user_id":1},"contacts":{"list":[{"user_id":2,"messages":"none"}]},
"chats":{"about":"y","list":[
 {"name":"News","type":"public_channel","id":11,"messages":[
  {"id":1,"type":"service","action":"create_channel","date_unixtime":"1667876800"},
  {"id":2,"type":"message","date":"2022-11-08T04:07:14","date_unixtime":"1667876834","from":"News","from_id":"channel11","text":["Rain in ",{"type":"hashtag","text":"#Kyoto"}," by ",{"type":"mention","text":"@ann"}," ",{"type":"text_link","text":"more","href":"https://e.example/r"}],
   "text_entities":[{"type":"plain","text":"Rain in "},{"type":"hashtag","text":"#Kyoto"},{"type":"mention","text":"@ann"},{"type":"text_link","text":"more","href":"https://e.example/r"}],
   "reactions":[{"type":"emoji","count":3,"emoji":"x"},{"type":"emoji","count":4,"emoji":"y"}]}]},
 {"name":"Talk","type":"private_supergroup","id":12,"messages":[
  {"id":2,"type":"message","date_unixtime":"1667876835","from":"Zoe","from_id":"user7","reply_to_message_id":1,"text":"same number"},
  {"id":3,"type":"message","date_unixtime":"1667876836","from":"Zoe","from_id":"user7","forwarded_from":"News","text":"again"}]},
 {"name":"Bob","type":"personal_chat","id":13,"messages":[{"id":1,"type":"message","date_unixtime":"1667876837","from":"Bob","from_id":"user8","text":"a secret"}]}]}}`

// posted is what the tests of downloads look at.
type posted struct {
	ID, Kind, Author, Text, ReplyTo string
	Tags, Names, Links              []string
	Likes                           *int64
}

func posteds(posts []feedlake.Post) (out []posted) {
	for _, p := range posts {
		out = append(out, posted{p.ID, p.Kind, p.AuthorName, p.Text, p.ReplyTo, p.Hashtags, p.Mentions, p.URLs, p.Likes})
	}
	return out
}

// TestTelegram reads result.json, in small pages and from any place, as a file and
// in an archive.
func TestTelegram(t *testing.T) {
	f := newFolder(t)
	f.write("one/result.json", telegramAll)
	f.write("two/export.zip", zipOf(t, "DataExport/result.json", telegramAll, "DataExport/photos/a.json", "{}"))
	for _, path := range []string{"one/*", "two/*"} {
		open := func() ingest.Source { return openSource(t, f.dir, "path: "+path+"\nshape: telegram\n") }
		for _, src := range []ingest.Source{open(), files.Small(open())} {
			got, bad, _ := sourcetest.Drain(t, src, "")
			if d := cmp.Diff([]posted{
				{"11/2", feedlake.KindPost, "News", "Rain in #Kyoto by @ann more", "", []string{"Kyoto"}, []string{"ann"}, []string{"https://e.example/r"}, new(int64(7))},
				{"12/2", feedlake.KindReply, "Zoe", "same number", "12/1", nil, nil, nil, nil},
				{"12/3", feedlake.KindRepost, "Zoe", "again", "", nil, nil, nil, nil},
			}, posteds(got)); d != "" {
				t.Errorf("%s: %s", path, d)
			}
			if len(bad) != 1 || !strings.Contains(bad[0].Reason, "not public") || strings.Contains(bad[0].Payload, "secret") {
				t.Errorf("%s: rejects %q", path, sourcetest.Reasons(bad))
			}
		}
		sourcetest.Run(t, func(*testing.T) ingest.Source { return named{files.Small(open())} })
	}
	for content, reason := range map[string]string{
		`{"a":[1]}`:                                "holds no list of messages",
		telegramAll[:len(telegramAll)/2]:           "truncated",
		strings.Replace(telegramAll, `"e`, `e`, 1): "damaged",
		strings.Replace(telegramAll, "Rain", strings.Repeat("R", 5000), 1): "max_record_bytes",
		`{"messages":[` + strings.Repeat("[", 5000):                        "damaged",
	} {
		f := newFolder(t)
		f.write("result.json", content)
		_, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: '*'\nshape: telegram\nmax_record_bytes: 2000\n"), "")
		if !strings.Contains(strings.Join(sourcetest.Reasons(bad), "\n"), reason) {
			t.Errorf("%.40s: rejects %q, want %s", content, sourcetest.Reasons(bad), reason)
		}
	}
}

// mangled spells the bytes of a text as characters, as Meta's archives do.
func mangled(s string) string {
	var out strings.Builder
	for i := range len(s) {
		if s[i] < 0x80 {
			out.WriteByte(s[i])
		} else {
			fmt.Fprintf(&out, `\u%04x`, s[i])
		}
	}
	return out.String()
}

// TestMeta reads posts and comments of Facebook's and Instagram's archives, and
// puts their letters right.
func TestMeta(t *testing.T) {
	f := newFolder(t)
	f.write("meta.zip", zipOf(t,
		"your_facebook_activity/posts/your_posts_1.json", `[{"timestamp":1667876834,"attachments":[{"data":[{"external_context":{"url":"https://e.example/"}}]}],"data":[{"post":"`+mangled("Schöne Grüße 🎉")+`"},{"update_timestamp":1}],"title":"Zoe"}]`,
		"your_facebook_activity/comments_and_reactions/comments.json", `{"comments_v2":[{"timestamp":1667876835,"data":[{"comment":{"timestamp":1667876835,"comment":"`+mangled("na klar, é")+`","author":"Zoe"}}],"title":"t"}]}`,
		"your_instagram_activity/content/posts_1.json", `[{"media":[{"uri":"media/posts/1.jpg","creation_timestamp":1667876836,"title":"`+mangled("日本")+`"}]},{"media":[{"uri":"media/posts/2.jpg","creation_timestamp":1667876837,"title":""}],"title":"two é plain","creation_timestamp":1667876838}]`,
		"your_instagram_activity/messages/inbox/a/message_1.json", `{"messages":[{"content":"a secret"}]}`,
	))
	got, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: '*'\nshape: meta\n"), "")
	seen := map[string]bool{}
	for i := range got {
		if seen[got[i].ID] || got[i].ID == "" || got[i].Network != "" || !got[i].ObservedAt.IsZero() {
			t.Errorf("%+v", got[i])
		}
		seen[got[i].ID], got[i].ID = true, ""
	}
	if d := cmp.Diff([]posted{
		{"", feedlake.KindPost, "", "Schöne Grüße 🎉", "", nil, nil, []string{"https://e.example/"}, nil},
		{"", feedlake.KindComment, "Zoe", "na klar, é", "", nil, nil, nil, nil},
		{"", feedlake.KindPost, "", "日本", "", nil, nil, nil, nil},
		{"", feedlake.KindPost, "", "two é plain", "", nil, nil, nil, nil},
	}, posteds(got)); d != "" || len(bad) > 0 {
		t.Errorf("%s; rejects %q", d, sourcetest.Reasons(bad))
	}
}

// TestInstaloader reads a file a post, as Instaloader packs them.
func TestInstaloader(t *testing.T) {
	f := newFolder(t)
	f.write("2022-11-08_UTC.json.xz", xzOf(t, `{"node":{"__typename":"GraphImage","id":"27","shortcode":"Ab","taken_at_timestamp":1667876834,"edge_media_to_caption":{"edges":[{"node":{"text":"a #b"}}]},"edge_media_preview_like":{"count":5},"owner":{"id":"3","username":"zoe"}},"instaloader":{"version":"4.9","node_type":"Post"}}`))
	f.write("2023-11-08_UTC.json", `{"node":{"id":"28","shortcode":"Ac","date":1667876835,"caption":"newer","owner":{"pk":"3","username":"zoe"}},"instaloader":{"version":"4.13","node_type":"Post"}}`)
	f.write("zoe_3.json", `{"node":{"id":"3","username":"zoe"},"instaloader":{"node_type":"Profile"}}`)
	got, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: '*'\nshape: instaloader\n"), "")
	if d := cmp.Diff([]posted{
		{"27", feedlake.KindPost, "zoe", "a #b", "", nil, nil, nil, new(int64(5))},
		{"28", feedlake.KindPost, "zoe", "newer", "", nil, nil, nil, nil},
	}, posteds(got)); d != "" || len(bad) != 1 || !strings.Contains(bad[0].Reason, `"Profile"`) {
		t.Errorf("%s; rejects %q", d, sourcetest.Reasons(bad))
	}
}

// TestNetwork gives mapped posts the network that is declared.
func TestNetwork(t *testing.T) {
	f := newFolder(t)
	f.write("a.ndjson", ndjson(0, 2))
	for config, want := range map[string]string{"": "", "network: reddit\n": "reddit"} {
		got, _, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: '*'\n"+config+plain), "")
		if len(got) != 2 || got[0].Network != want || !got[0].ObservedAt.IsZero() {
			t.Errorf("%q: %+v", config, got)
		}
	}
	env := ingest.Env{Name: "src", Base: f.dir, Now: clock}
	for _, config := range []string{"path: '*'\nnetwork: friendster\n" + plain, "path: '*'\nnetwork: x\nshape: x\n", "path: '*'\nmembers: '['\n" + plain, "path: '*'\nescape: caret\n" + plain} {
		if _, err := registry().Open(t.Context(), files.Kind, env, decodeYAML(config)); err == nil {
			t.Errorf("%q is taken", config)
		}
	}
}
