package instagram_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/instagram"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
)

var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func lines(t testing.TB) []string {
	t.Helper()
	return strings.Split(strings.TrimSpace(read(t, "archive.ndjson")), "\n")
}

// seconds is a time of the year 2023.
func seconds(s int64) time.Time { return time.Unix(s, 0).UTC() }

// TestPage reads a page of the Graph API: absent counts stay NULL, and what has
// no column is in the payload.
func TestPage(t *testing.T) {
	var b wire.Batch
	instagram.Page(read(t, "graphapi.json"), now, "page 1", &b)
	at := time.Date(2023, 6, 12, 19, 20, 2, 0, time.UTC)
	want := []feedlake.Post{
		{
			ID: "3125131797864860981", URI: "https://www.instagram.com/p/CtestAAA001/", AuthorID: "17841400000000009", AuthorName: "invented_one", CreatedAt: at,
			Text: "first light 🌅 #morning", Likes: new(int64(12)), Replies: new(int64(2)), Views: new(int64(9000)), Reposts: new(int64(0)),
		},
		{ID: "3125131797864860982", URI: "https://www.instagram.com/p/CtestAAA002/", CreatedAt: at, Replies: new(int64(0))},
		{ID: "17900000000000003", URI: "https://elsewhere.example/3", CreatedAt: time.Date(2019, 10, 1, 11, 42, 2, 0, time.UTC), Likes: new(int64(0))},
	}
	var page struct{ Data []json.RawMessage }
	if err := json.Unmarshal([]byte(read(t, "graphapi.json")), &page); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i].Kind, want[i].ObservedAt, want[i].Payload = feedlake.KindPost, now, string(page.Data[i])
	}
	if d := cmp.Diff(wiretest.Of(wire.Instagram, want), b.Posts); d != "" || len(b.Rejects) > 0 {
		t.Errorf("%s%v", d, b.Rejects)
	}
	for _, p := range b.Posts {
		if strings.Contains(p.Payload, "access_token") {
			t.Errorf("%s: the payload holds a token", p.ID)
		}
	}
}

// TestRecord reads every form of archives.
func TestRecord(t *testing.T) {
	var b wire.Batch
	for _, l := range lines(t) {
		instagram.Record(l, now, "line", &b)
	}
	want := []feedlake.Post{
		{
			ID: "3123724930722523600", URI: "https://www.instagram.com/p/CtestBBB001/", AuthorID: "501", AuthorName: "invented_two", AuthorFollowers: new(int64(7)),
			Text: "item list, with caption", Mentions: []string{"invented_friend"}, Likes: new(int64(41)), Replies: new(int64(3)), Query: "https://www.instagram.com/explore/tags/morning/",
		},
		{ID: "3123724930722523601", URI: "https://www.instagram.com/p/CtestBBB002/", AuthorID: "502", AuthorName: "invented_three", Replies: new(int64(0)), Query: "https://www.instagram.com/invented_three/"},
		{
			ID: "3123724930722523602", URI: "https://www.instagram.com/p/CtestBBB003/", AuthorID: "503", AuthorName: "invented_four", AuthorFollowers: new(int64(9)),
			Text: "the older graph", Mentions: []string{"invented_friend"}, Replies: new(int64(5)), Query: "https://www.instagram.com/explore/",
		},
		{ID: "3123724930722523603", URI: "https://www.instagram.com/p/CtestBBB004/", AuthorID: "504", Likes: new(int64(8)), Replies: new(int64(1)), Views: new(int64(150)), Query: "https://www.instagram.com/reels/"},
		{ID: "3123724930722523604", URI: "https://www.instagram.com/p/CtestBBB005/", AuthorID: "505", AuthorName: "invented_six", Text: "polaris", Likes: new(int64(605)), Replies: new(int64(9)), Views: new(int64(13860))},
	}
	for i := range want {
		want[i].Kind, want[i].Payload = feedlake.KindPost, lines(t)[i]
		want[i].CreatedAt, want[i].ObservedAt = seconds(1_700_000_000+int64(i)), time.UnixMilli(1_700_000_300_123+int64(i)).UTC()
	}
	last := lines(t)[8]
	want = append(want, feedlake.Post{
		ID: "3125131797864860989", URI: "https://www.instagram.com/p/CtestAAA009/", Kind: feedlake.KindPost, Payload: last,
		CreatedAt: time.Date(2023, 6, 12, 19, 20, 2, 0, time.UTC), ObservedAt: now,
	})
	if d := cmp.Diff(wiretest.Of(wire.Instagram, want), b.Posts); d != "" {
		t.Error(d)
	}
	var reasons []string
	for _, r := range b.Rejects {
		reasons = append(reasons, r.Reason)
	}
	wantReasons := []string{
		"the record has no time that can be read; views of a grid leave it out",
		"an advertisement, not a post of somebody's choice",
		"none of the known shapes: neither media of the Graph API nor a post of the website",
	}
	if d := cmp.Diff(wantReasons, reasons); d != "" {
		t.Error(d)
	}
}

// TestRecordPage finds a page of the Graph API in an archive.
func TestRecordPage(t *testing.T) {
	var a, b wire.Batch
	instagram.Page(read(t, "graphapi.json"), now, "x", &a)
	instagram.Record(read(t, "graphapi.json"), now, "x", &b)
	if d := cmp.Diff(a.Posts, b.Posts); d != "" {
		t.Error(d)
	}
}

// TestRejects keeps what is no post.
func TestRejects(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                     "broken JSON",
		"{":                                    "broken JSON",
		"[1]":                                  "want an object",
		`{"a":"` + "\xff" + `"}`:               "not valid UTF-8",
		`{"timestamp":"yesterday"}`:            "no id",
		`{"id":"1","timestamp":"yesterday"}`:   "no time",
		`{"code":"x","pk":1,"taken_at":-5}`:    "no time",
		`{"code":"x","pk":1,"taken_at":9e300}`: "no time",
		`{"shortcode":"x","taken_at_timestamp":1,"id":{"a":"b"}}`: "no id",
	} {
		var b wire.Batch
		instagram.Record(raw, now, "line 1", &b)
		if len(b.Posts) > 0 || len(b.Rejects) != 1 || !strings.Contains(b.Rejects[0].Reason, want) || b.Rejects[0].Payload != raw || b.Rejects[0].Position != "line 1" {
			t.Errorf("%q: %+v, want %q", raw, b, want)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, l := range lines(f) {
		f.Add(l)
	}
	f.Add(read(f, "graphapi.json"))
	f.Fuzz(func(t *testing.T, raw string) { hold(t, raw, instagram.Record, true) })
}

func FuzzMedia(f *testing.F) {
	var page struct{ Data []json.RawMessage }
	if err := json.Unmarshal([]byte(read(f, "graphapi.json")), &page); err != nil {
		f.Fatal(err)
	}
	for _, m := range page.Data {
		f.Add(string(m))
	}
	f.Fuzz(func(t *testing.T, raw string) { hold(t, raw, instagram.Media, true) })
}

func FuzzPage(f *testing.F) {
	f.Add(read(f, "graphapi.json"))
	f.Fuzz(func(t *testing.T, raw string) { hold(t, raw, instagram.Page, false) })
}

// hold wants a post fit for the lake or a reject of a record, whatever it is.
func hold(t *testing.T, raw string, decode func(string, time.Time, string, *wire.Batch), one bool) {
	var b wire.Batch
	decode(raw, now, "here", &b)
	for _, p := range b.Posts {
		for _, s := range append([]string{p.ID, p.URI, p.AuthorID, p.AuthorName, p.Text, p.Query, p.Payload}, p.Mentions...) {
			if !utf8.ValidString(s) {
				t.Errorf("not valid UTF-8: %q", s)
			}
		}
		if p.ID == "" || p.CreatedAt.IsZero() || p.CreatedAt.Location() != time.UTC || p.ObservedAt.IsZero() || p.Payload == "" {
			t.Errorf("not fit: %+v", p)
		}
		for _, c := range []*int64{p.Likes, p.Reposts, p.Replies, p.Views, p.AuthorFollowers} {
			if c != nil && *c < 0 {
				t.Errorf("a count of %d", *c)
			}
		}
	}
	isPage := bytes.Contains([]byte(raw), []byte(`data`))
	if rows := len(b.Posts) + len(b.Rejects); one && !isPage && rows != 1 {
		t.Errorf("%d rows of %q", rows, raw)
	}
}

// BenchmarkRecord reads the archive's forms in turn.
func BenchmarkRecord(b *testing.B) {
	all := lines(b)[:5]
	var size int64
	for _, l := range all {
		size += int64(len(l))
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		var batch wire.Batch
		for _, l := range all {
			instagram.Record(l, now, "line", &batch)
		}
		if len(batch.Posts) != len(all) {
			b.Fatal(batch.Rejects)
		}
	}
	b.ReportMetric(float64(b.N*len(all))/b.Elapsed().Seconds(), "posts/s")
}

// BenchmarkPage reads a page of 48 media.
func BenchmarkPage(b *testing.B) {
	var page struct{ Data []json.RawMessage }
	if err := json.Unmarshal([]byte(read(b, "graphapi.json")), &page); err != nil {
		b.Fatal(err)
	}
	var many []json.RawMessage
	for range 16 {
		many = append(many, page.Data...)
	}
	raw, err := json.Marshal(map[string]any{"data": many})
	if err != nil {
		b.Fatal(err)
	}
	text := string(raw)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var batch wire.Batch
		instagram.Page(text, now, "page", &batch)
		if len(batch.Posts) != len(many) {
			b.Fatal(batch.Rejects)
		}
	}
	b.ReportMetric(float64(b.N*len(many))/b.Elapsed().Seconds(), "posts/s")
}

// TestOneID gives a post one id, whoever tells it: the two below are documented
// with their numbers by clients of the website.
func TestOneID(t *testing.T) {
	for code, want := range map[string]string{
		"B-fKL9qpeab": "2278584739065882267", "B1LbfVPlwIA": "2110901750722920960",
		"C8wJ1aTsOx_ForFollowersAlone_1": "17", "_____________": "17", "not a code": "17", "___________": "17", // the API's, in place of none
	} {
		var b wire.Batch
		for _, path := range []string{"p", "reel"} {
			instagram.Record(`{"id":"17","permalink":"https://www.instagram.com/`+path+`/`+code+`/","timestamp":"2023-06-12T19:20:02+0000"}`, now, "1", &b)
		}
		if want != "17" {
			instagram.Record(`{"data":{"pk":"`+want+`","id":"`+want+`_5","code":"`+code+`","taken_at":1700000000}}`, now, "1", &b)
			instagram.Record(`{"__typename":"GraphImage","id":"`+want+`","shortcode":"`+code+`","taken_at_timestamp":1700000000}`, now, "1", &b)
		}
		for _, p := range b.Posts {
			if p.ID != want {
				t.Errorf("%s: id %s, want %s", code, p.ID, want)
			}
		}
		if len(b.Posts) < 2 || len(b.Rejects) > 0 {
			t.Errorf("%s: %d posts, rejects %v", code, len(b.Posts), b.Rejects)
		}
	}
}
