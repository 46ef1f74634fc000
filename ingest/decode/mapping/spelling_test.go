package mapping_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
)

// TestIdents spells an id in one way, whatever wrote it, and refuses one that may
// have lost digits.
func TestIdents(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{ // "": refused
		`"100000"`: "100000", `"100000.0"`: "100000", `"1.0e5"`: "100000", `"1E+5"`: "100000", `100000.0`: "100000", `1.0e5`: "100000", `1e5`: "100000", `100000`: "100000",
		`"=\"1582825767519809536\""`: "1582825767519809536", `"'1582825767519809537"`: "1582825767519809537", `1582825767519809537`: "1582825767519809537",
		`"1e5"`: "1e5", `"c0ffee"`: "c0ffee", `"2.10"`: "2.10", `"at://a/b.c"`: "at://a/b.c", `"007"`: "007", `"1.23456789012E+11"`: "123456789012", `"12.5E1"`: "125", `"-5.0"`: "-5",
		`"7.9155723368987E+017"`: "", `"1.2E+17"`: "", `1.2345e17`: "", `"1.23457E+12"`: "", `1582825767519809536.0`: "", `"1.25E+1"`: "", `"1.5E-3"`: "", `1e999`: "",
	} {
		for column, of := range map[string]func(*feedlake.Post) string{
			"id": func(p *feedlake.Post) string { return p.ID }, "author_id": func(p *feedlake.Post) string { return p.AuthorID }, "repost_of": func(p *feedlake.Post) string { return p.RepostOf },
		} {
			mapped := "map: {id: id, created_at: {path: at, time: unix}, " + column + ": v}"
			record := `{"id":"x","at":1577934245,"v":` + raw + `}`
			if column == "id" {
				mapped = "map: {id: v, created_at: {path: at, time: unix}}"
			}
			d := decoder(t, mapped, false)
			var p feedlake.Post
			err := d.Decode(record, now, &p)
			switch {
			case column == "id" && want == "":
				if err == nil {
					t.Errorf("%s: %s is %q", column, raw, p.ID)
				}
			case err != nil || of(&p) != want || (want == "") != (len(d.Notes()) == 1):
				t.Errorf("%s: %s is %q, want %q; %v, notes %q", column, raw, of(&p), want, err, d.Notes())
			}
		}
	}
}

// TestLists reads the lists that a cell can hold.
func TestLists(t *testing.T) {
	t.Parallel()
	d := decoder(t, `map: {id: id, created_at: {path: at, time: unix}, hashtags: {path: h, sep: ","}, mentions: m, urls: u}`, true)
	for cell, want := range map[string][]string{
		`[]`: {}, `['a', "b's", 'c\'d', u'e\n']`: nil, `['a', "b's", 'c\'d']`: {"a", "b's", "c'd"}, `["a","b"]`: {"a", "b"}, `[{"start": 0, "tag": "a"}]`: {"a"},
		`[{'text': '#a', 'indices': [0, 1], 'x': None, 'y': True}]`: {"a"}, `None`: nil, `nan`: nil, `#a, b`: {"a", "b"}, `['ü', 'x\u00e9']`: {"ü", "xé"}, `[a, b]`: {"[a", "b]"}, `none`: {"none"}, ``: nil,
	} {
		if strings.Contains(cell, "u'e") {
			continue
		}
		var p feedlake.Post
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(cell)
		if err := d.Decode(`{"id":"1","at":"1577934245","h":"`+quoted+`"}`, now, &p); err != nil || len(d.Notes()) > 0 {
			t.Fatalf("%s: %v, notes %q", cell, err, d.Notes())
		}
		if diff := cmp.Diff(want, p.Hashtags); diff != "" {
			t.Errorf("%s: %s", cell, diff)
		}
	}
	var p feedlake.Post
	if err := d.Decode(`{"id":"1","at":"1577934245","m":"[{'screen_name': 'ann', 'name': 'Ann A'}]","u":"[{\"url\":\"s\",\"expanded_url\":\"l\"}]"}`, now, &p); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]string{{"ann"}, {"l"}}, [][]string{p.Mentions, p.URLs}); d != "" {
		t.Error(d)
	}
}

// TestZoneNames honours the names of zones that mean one offset, and refuses
// others unless the mapping tells the zone.
func TestZoneNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, zone, want string }{
		{"2023-08-21 04:05:06 UTC", "", "2023-08-21T04:05:06Z"},
		{"2023-08-21 04:05:06 GMT", "", "2023-08-21T04:05:06Z"},
		{"2023-08-21 04:05:06 CEST", "", "2023-08-21T02:05:06Z"},
		{"2023-08-21 04:05:06 EST", "", "2023-08-21T09:05:06Z"},
		{"2023-08-21 04:05:06 EST", "Europe/Berlin", "2023-08-21T09:05:06Z"},
		{"2023-01-21 04:05:06 JST", "", "2023-01-20T19:05:06Z"},
		{"2023-01-21 04:05:06 CST", "", ""},
		{"2023-01-21 04:05:06 CST", "Asia/Shanghai", "2023-01-20T20:05:06Z"},
		{"2023-01-21 04:05:06 CST", "America/Chicago", "2023-01-21T10:05:06Z"},
		{"2023-01-21 04:05:06 XYZ", "", ""},
	} {
		zone := ""
		if c.zone != "" {
			zone = ", zone: " + c.zone
		}
		var p feedlake.Post
		err := decoder(t, `map: {id: id, created_at: {path: at, time: "2006-01-02 15:04:05 MST"`+zone+`}}`, false).Decode(`{"id":"1","at":"`+c.text+`"}`, now, &p)
		switch {
		case c.want == "":
			if err == nil || !strings.Contains(err.Error(), `declare the mapping's "zone"`) {
				t.Errorf("%s %s: %s, %v", c.text, c.zone, p.CreatedAt, err)
			}
		case err != nil || p.CreatedAt.Format(time.RFC3339) != c.want:
			t.Errorf("%s %s: %s, %v", c.text, c.zone, p.CreatedAt, err)
		}
	}
}

// TestThousands reads counts as declared, and refuses to guess.
func TestThousands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, thousands string
		want            int64 // -1: left out
	}{
		{"1,234", "", 1234},
		{"1.234", "", -1},
		{"1.000", "", -1},
		{"12.0", "", 12},
		{"1.234.567", "", -1},
		{"'12", "", 12},
		{`=\"12\"`, "", 12},
		{"1,5", "", -1},
		{"1.234", ".", 1234},
		{"1.000", ".", 1000},
		{"1.234.567", ".", 1234567},
		{"12,0", ".", 12},
		{"12", ".", 12},
		{"1 234", " ", 1234},
		{"1.5", ".", -1},
	} {
		option := ""
		if c.thousands != "" {
			option = `, thousands: "` + c.thousands + `"`
		}
		d := decoder(t, "map: {id: id, created_at: {path: at, time: unix}, likes: {path: n"+option+"}}", false)
		var p feedlake.Post
		if err := d.Decode(`{"id":"1","at":1577934245,"n":"`+c.text+`"}`, now, &p); err != nil {
			t.Fatal(err)
		}
		got := int64(-1)
		if p.Likes != nil {
			got = *p.Likes
		}
		if got != c.want || (got < 0) != (len(d.Notes()) == 1) {
			t.Errorf("%s with %q: %d, want %d, notes %q", c.text, c.thousands, got, c.want, d.Notes())
		}
	}
}
