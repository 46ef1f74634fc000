package mapping_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/decode/mapping"
)

var now = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)

func config(t testing.TB, text string) mapping.Config {
	t.Helper()
	var c mapping.Config
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return c
}

func decoder(t testing.TB, text string, columns bool) *mapping.Decoder {
	t.Helper()
	p, err := mapping.Compile(config(t, text), mapping.Options{Source: "src", Columns: columns})
	if err != nil {
		t.Fatal(err)
	}
	return p.Decoder()
}

const full = `
map:
  id: id
  created_at: {path: at, time: [rfc3339, unix, "2006-01-02 15:04"], zone: Europe/Berlin}
  observed_at: {path: seen, time: unix_ms}
  text: {join: [title, body], sep: "\n\n"}
  lang: {path: lang, values: {English: en}, else: und, default: xx}
  kind: {path: type, values: {T: post, R: repost, 1: quote, true: reply}, default: post}
  author_id: user.id
  author_name: user.name
  author_followers: user.stats.followers
  uri: {path: url, match: 'https?://\S+/(\d+)'}
  hashtags: entities.hashtags.#.text
  mentions: {path: mentions, sep: ","}
  urls: links
  likes: likes
  reposts: {path: reposts, values: {"n/a": ""}}
  deleted: {path: gone, values: {"yes, gone": true}, default: false}
  source: {path: net, default: fallback}
  query: {const: 7}
unescape_html: [text, hashtags]
`

func TestDecode(t *testing.T) {
	base := func() feedlake.Post {
		return feedlake.Post{Source: "fallback", ID: "1", Kind: "post", Lang: "xx", Query: "7", ObservedAt: now, CreatedAt: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)}
	}
	tests := []struct {
		name, record string
		want         func(*feedlake.Post)
	}{
		{"least", `{"id":"1","at":"2020-01-02T03:04:05Z"}`, func(*feedlake.Post) {}},
		{"number as id", `{"id":901656910939770881,"at":"2020-01-02T03:04:05Z"}`, func(p *feedlake.Post) { p.ID = "901656910939770881" }},
		{"unix", `{"id":"1","at":1577934245}`, func(*feedlake.Post) {}},
		{"unix with fraction", `{"id":"1","at":"1577934245.5"}`, func(p *feedlake.Post) { p.CreatedAt = p.CreatedAt.Add(500 * time.Millisecond) }},
		{"layout in zone", `{"id":"1","at":"2020-07-02 03:04"}`, func(p *feedlake.Post) { p.CreatedAt = time.Date(2020, 7, 2, 1, 4, 0, 0, time.UTC) }},
		{"offset", `{"id":"1","at":"2020-01-02T05:04:05+02:00"}`, func(*feedlake.Post) {}},
		{"observed", `{"id":"1","at":"2020-01-02T03:04:05Z","seen":1577934245123}`, func(p *feedlake.Post) { p.ObservedAt = time.UnixMilli(1577934245123).UTC() }},
		{"join", `{"id":"1","at":"2020-01-02T03:04:05Z","title":"A &amp; B","body":"\u00fc\n"}`, func(p *feedlake.Post) { p.Text = "A & B\n\nü\n" }},
		{"join of one", `{"id":"1","at":"2020-01-02T03:04:05Z","title":"","body":"b"}`, func(p *feedlake.Post) { p.Text = "b" }},
		{"join of null", `{"id":"1","at":"2020-01-02T03:04:05Z","title":null,"body":12}`, func(p *feedlake.Post) { p.Text = "12" }},
		{"values", `{"id":"1","at":"2020-01-02T03:04:05Z","lang":"English","type":"R"}`, func(p *feedlake.Post) { p.Lang, p.Kind = "en", "repost" }},
		{"values of other types", `{"id":"1","at":"2020-01-02T03:04:05Z","type":1}`, func(p *feedlake.Post) { p.Kind = "quote" }},
		{"values of truth", `{"id":"1","at":"2020-01-02T03:04:05Z","type":true}`, func(p *feedlake.Post) { p.Kind = "reply" }},
		{"value not listed", `{"id":"1","at":"2020-01-02T03:04:05Z","lang":"Klingon","type":"comment"}`, func(p *feedlake.Post) { p.Lang, p.Kind = "und", "comment" }},
		{"value that means nothing", `{"id":"1","at":"2020-01-02T03:04:05Z","reposts":"n/a"}`, func(*feedlake.Post) {}},
		{"nested", `{"id":"1","at":"2020-01-02T03:04:05Z","user":{"id":5,"x":{},"name":"Ann","stats":{"followers":"1,234,567"}}}`, func(p *feedlake.Post) {
			p.AuthorID, p.AuthorName, p.AuthorFollowers = "5", "Ann", new(int64(1234567))
		}},
		{"nested null", `{"id":"1","at":"2020-01-02T03:04:05Z","user":null}`, func(*feedlake.Post) {}},
		{"match", `{"id":"1","at":"2020-01-02T03:04:05Z","url":"see https://x.org/status/77?a"}`, func(p *feedlake.Post) { p.URI = "77" }},
		{"no match", `{"id":"1","at":"2020-01-02T03:04:05Z","url":"nothing"}`, func(*feedlake.Post) {}},
		{"lists", `{"id":"1","at":"2020-01-02T03:04:05Z","entities":{"hashtags":[{"text":"#a"},{"text":"b&amp;c"}]},"mentions":"@x, y","links":["u",""]}`, func(p *feedlake.Post) {
			p.Hashtags, p.Mentions, p.URLs = []string{"a", "b&c"}, []string{"x", "y"}, []string{"u"}
		}},
		{"empty list is not absent", `{"id":"1","at":"2020-01-02T03:04:05Z","links":[]}`, func(p *feedlake.Post) { p.URLs = []string{} }},
		{"counts", `{"id":"1","at":"2020-01-02T03:04:05Z","likes":12.0,"reposts":"-3"}`, func(p *feedlake.Post) { p.Likes, p.Reposts = new(int64(12)), new(int64(-3)) }},
		{"count with exponent", `{"id":"1","at":"2020-01-02T03:04:05Z","likes":1.2e3}`, func(p *feedlake.Post) { p.Likes = new(int64(1200)) }},
		{"count null and empty", `{"id":"1","at":"2020-01-02T03:04:05Z","likes":null,"reposts":""}`, func(*feedlake.Post) {}},
		{"zero is a count", `{"id":"1","at":"2020-01-02T03:04:05Z","likes":0}`, func(p *feedlake.Post) { p.Likes = new(int64(0)) }},
		{"deleted", `{"id":"1","at":"2020-01-02T03:04:05Z","gone":"yes, gone"}`, func(p *feedlake.Post) { p.Deleted = true }},
		{"deleted as number", `{"id":"1","at":"2020-01-02T03:04:05Z","gone":1}`, func(p *feedlake.Post) { p.Deleted = true }},
		{"own source", `{"id":"1","at":"2020-01-02T03:04:05Z","net":"n"}`, func(p *feedlake.Post) { p.Source = "n" }},
		{"escaped keys", `{"\u0069d":"1","at":"2020-01-02T03:04:05Z"}`, func(*feedlake.Post) {}},
		{"space around", " {\"id\":\"1\" ,\"at\" : \"2020-01-02T03:04:05Z\"}\t", func(*feedlake.Post) {}},
	}
	d := decoder(t, full, false)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := base()
			tt.want(&want)
			want.Payload = tt.record
			var got feedlake.Post
			if err := d.Decode(tt.record, now, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReject(t *testing.T) {
	const ok = `"id":"1","at":"2020-01-02T03:04:05Z"`
	tests := []struct{ name, record, want string }{
		{"cut", `{"id":"1","at":"2020`, "broken JSON: unexpected end of JSON input (byte 20 of the record)"},
		{"no JSON", `hello`, "broken JSON: invalid character 'h' looking for beginning of value (byte 1 of the record)"},
		{"no object", `["id"]`, "want an object, got a list"},
		{"bare number", `1`, "want an object, got a number"},
		{"bytes", "{" + ok + `,"title":"` + "\xff" + `"}`, "not valid UTF-8 at byte 47 of the record"},
		{"key twice", `{` + ok + `,"id":"2"}`, `key "id" stands twice in the record`},
		{"unmapped key twice", `{"x":1,"y":{"a":1,"a":2},"x":2,` + ok + `}`, `key "x" stands twice in the record`},
		{"nested key twice", `{` + ok + `,"user":{"id":1,"id":2}}`, `key "id" stands twice in the record`},
		{"text in place of a count", `{` + ok + `,"likes":"many"}`, `likes: want a whole number, got "many"`},
		{"half a like", `{` + ok + `,"likes":1.5}`, `likes: want a whole number, got "1.5"`},
		{"too many likes", `{` + ok + `,"likes":99999999999999999999}`, `likes: want a whole number, got "99999999999999999999"`},
		{"comma as decimal mark", `{` + ok + `,"likes":"1,5"}`, `likes: want a whole number, got "1,5"`},
		{"object as count", `{` + ok + `,"likes":{}}`, "likes: want a whole number, got an object"},
		{"list as text", `{` + ok + `,"user":{"name":[1]}}`, "author_name: want text, got a list"},
		{"truth as text", `{` + ok + `,"title":true}`, "text: want text at title, got a truth value"},
		{"kind", `{` + ok + `,"type":"poem"}`, `kind: "poem" is none of post, reply, repost, quote, comment`},
		{"list with object", `{` + ok + `,"links":[{}]}`, "urls: want a list of texts, got one with an object"},
		{"object as list", `{` + ok + `,"links":{}}`, "urls: want a list of texts, got an object"},
		{"time", `{"id":"1","at":"yesterday"}`, `created_at: want a time as rfc3339 or unix or 2006-01-02 15:04, got "yesterday"`},
		{"truth", `{` + ok + `,"gone":"perhaps"}`, `deleted: want true or false, got "perhaps"`},
		{"no id", `{"at":"2020-01-02T03:04:05Z"}`, "id: the record has no id"},
		{"no time", `{"id":"1"}`, "created_at: the record has no at"},
		{"far past", `{"id":"1","at":"1066-10-14T09:00:00Z"}`, "post fallback/1 created at 1066-10-14T09:00:00Z, outside 1990-01-01 and now + 48h0m0s"},
		{"far future", `{"id":"1","at":99999999999}`, "post fallback/1 created at 5138-11-16T09:46:39Z, outside 1990-01-01 and now + 48h0m0s"},
		{"beyond every clock", `{"id":"1","at":99999999999999999}`, `created_at: want a time as rfc3339 or unix or 2006-01-02 15:04, got "99999999999999999"`},
		{"deep", strings.Repeat("[", 1<<20), "broken JSON: invalid character '[' exceeded max depth (byte 10001 of the record)"},
	}
	d := decoder(t, full, false)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p feedlake.Post
			err := d.Decode(tt.record, now, &p)
			column, _, _ := strings.Cut(tt.want, ":")
			if slices.Contains([]string{"likes", "author_name", "text", "urls"}, column) { // what a post can be without
				if err != nil || p.ID != "1" || !slices.Equal(d.Notes(), []string{tt.want}) || p.Likes != nil || p.Text != "" || p.AuthorName != "" || p.URLs != nil {
					t.Errorf("%v, notes %q, post %+v", err, d.Notes(), p)
				}
				return
			}
			if !errors.Is(err, feedlake.ErrRejected) {
				t.Fatalf("got %v, want a reject", err)
			}
			if err.Error() != tt.want {
				t.Errorf("reason\n got %s\nwant %s", err, tt.want)
			}
		})
	}
}

// TestKeyOrder mixes records of many shapes through one decoder: the order that
// it learns must change neither values nor the search for repeated keys.
func TestKeyOrder(t *testing.T) {
	d := decoder(t, "map: {id: id, created_at: {path: at, time: unix}, text: t, likes: n}", false)
	fields := []string{`"id":"i"`, `"at":1577934245`, `"t":"x"`, `"n":3`, `"u":0`}
	want := feedlake.Post{Source: "src", ID: "i", Kind: "post", ObservedAt: now, CreatedAt: time.Unix(1577934245, 0).UTC(), Text: "x", Likes: new(int64(3))}
	for _, order := range permutations(5) {
		var parts []string
		for _, i := range order {
			parts = append(parts, fields[i])
		}
		for cut := 5; cut > 0; cut-- {
			var got feedlake.Post
			rec := "{" + strings.Join(parts[:cut], ",") + "}"
			err := d.Decode(rec, now, &got)
			if !slices.Contains(order[:cut], 0) || !slices.Contains(order[:cut], 1) {
				if err == nil {
					t.Fatalf("%s: decoded without id or time", rec)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Payload = ""; cut == 5 && !cmp.Equal(want, got) {
				t.Fatalf("%s: %s", rec, cmp.Diff(want, got))
			}
			twice := "{" + strings.Join(append(slices.Clone(parts[:cut]), parts[cut/2]), ",") + "}"
			if err := d.Decode(twice, now, &got); err == nil || !strings.Contains(err.Error(), "stands twice") {
				t.Fatalf("%s: %v", twice, err)
			}
		}
	}
}

func permutations(k int) [][]int {
	if k == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, p := range permutations(k - 1) {
		for at := range k {
			out = append(out, slices.Insert(slices.Clone(p), at, k-1))
		}
	}
	return out
}

func TestDataAsKeys(t *testing.T) {
	d := decoder(t, "map: {id: id, created_at: {path: at, time: unix}}", false)
	for i := range 3 {
		var b strings.Builder
		b.WriteString(`{"id":"1"`)
		for k := range 5000 {
			b.WriteString(`,"k` + strings.Repeat("x", i) + time.Duration(k).String() + `":1`)
		}
		b.WriteString(`,"at":1577934245}`)
		var p feedlake.Post
		if err := d.Decode(b.String(), now, &p); err != nil || p.ID != "1" {
			t.Fatalf("%v %v", p.ID, err)
		}
	}
}

func TestColumnsTakeDotsAsTheyAre(t *testing.T) {
	d := decoder(t, `map: {id: user.id, created_at: {path: "at#1", time: unix}}`, true)
	var p feedlake.Post
	if err := d.Decode(`{"user.id":"7","at#1":"1577934245"}`, now, &p); err != nil || p.ID != "7" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestCompileErrors(t *testing.T) {
	const req = "map: {id: id, created_at: at"
	tests := []struct{ name, yaml, want string }{
		{"no id", "map: {created_at: at}", "map.id: missing"},
		{"no time", "map: {id: id}", "map.created_at: missing"},
		{"unknown column", req + ", likez: n}", "map.likez: no such column"},
		{"payload", req + ", payload: n}", "map.payload: no such column"},
		{"nothing", req + ", text: {sep: x}}", "map.text: give one of path, const and join"},
		{"two ways", req + ", text: {path: a, const: b}}", "map.text: give one of path, const and join"},
		{"join of counts", req + ", likes: {join: [a, b]}}", "map.likes: join: only a text column"},
		{"time of text", req + ", text: {path: a, time: unix}}", "map.text: time and zone"},
		{"layout", "map: {id: id, created_at: {path: at, time: '%Y-%m-%d'}}", `time: "%Y-%m-%d" is no layout`},
		{"misspelt format", "map: {id: id, created_at: {path: at, time: unixms}}", `time: "unixms" is no layout`},
		{"zone", "map: {id: id, created_at: {path: at, zone: Mars/Base}}", "map.created_at: zone: unknown time zone Mars/Base"},
		{"regexp", "map: {id: {path: id, match: '('}, created_at: at}", "map.id: match: error parsing regexp"},
		{"kind value", req + ", kind: {path: k, values: {T: tweet}}}", `map.kind: value "tweet": "tweet" is none of`},
		{"constant count", req + ", likes: {const: lots}}", `map.likes: value "lots"`},
		{"else alone", req + ", lang: {path: l, else: en}}", "map.lang: else: only with values"},
		{"values of list", req + ", urls: {path: l, values: {a: b}}}", "map.urls: match and values"},
		{"unescape", req + "}\nunescape_html: [text]", `unescape_html: "text" is no mapped text column`},
		{"unescape count", req + ", likes: n}\nunescape_html: [likes]", `unescape_html: "likes" is no mapped text column`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := mapping.Compile(config(t, tt.yaml), mapping.Options{})
			if !errors.Is(err, feedlake.ErrConfig) || errors.Is(err, feedlake.ErrRejected) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a configuration error with %q", err, tt.want)
			}
		})
	}
}

func TestUnknownKeysOfAField(t *testing.T) {
	var c mapping.Config
	err := yaml.UnmarshalWithOptions([]byte("map:\n  id: id\n  created_at: {path: at, tme: unix}\n"), &c, yaml.Strict())
	if err == nil || !strings.Contains(err.Error(), "tme") || !strings.Contains(err.Error(), "[3:") {
		t.Errorf("got %v, want an error naming tme and its place", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"id":"1","at":"2020-01-02T03:04:05Z","user":{"id":5},"entities":{"hashtags":[{"text":"a"}]}}`)
	f.Add(`{"id":"1","at":1e3,"likes":"1,234","title":"\ud800","links":[1]}`)
	f.Add(`{"id":"1","id":"1"}`)
	f.Add("{\"id\":\"\xff\"}")
	f.Add(`[[[[`)
	d := decoder(f, full, false)
	f.Fuzz(func(t *testing.T, record string) {
		var p, again feedlake.Post
		err := d.Decode(record, now, &p)
		if err == nil {
			if verr := p.Validate(now); verr != nil {
				t.Errorf("decoded a post that may not enter the lake: %v", verr)
			}
		} else if !errors.Is(err, feedlake.ErrRejected) {
			t.Errorf("error of another kind: %v", err)
		}
		fresh := decoder(t, full, false)
		err2 := fresh.Decode(record, now, &again)
		if (err == nil) != (err2 == nil) || (err == nil && !cmp.Equal(p, again)) {
			t.Errorf("a decoder with a past differs from a new one: %v / %v\n%s", err, err2, cmp.Diff(p, again))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	const tweet = `{"id": "ira-2016-09-15-000001", "created_at": "2016-09-15T00:06:00Z", "author": "USA_Gunslinger", "text": "A \"basket of deplorables\" volunteers at Trump Southern California H.Q. https://t.co/z0LXzAIbra", "lang": "English", "region": "United States", "followers": 22953, "following": 19987, "updates": 2398, "post_type": "T", "account_category": "RightTroll", "account_type": "Right"}`
	d := decoder(b, `
map:
  id: id
  created_at: created_at
  text: text
  lang: {path: lang, values: {English: en}, else: und}
  kind: {path: post_type, values: {T: post, R: repost, Q: quote}, default: post}
  author_id: author
  author_name: author
  author_followers: followers
unescape_html: [text]`, false)
	b.SetBytes(int64(len(tweet)))
	b.ReportAllocs()
	var p feedlake.Post
	for b.Loop() {
		if err := d.Decode(tweet, now, &p); err != nil {
			b.Fatal(err)
		}
	}
}
