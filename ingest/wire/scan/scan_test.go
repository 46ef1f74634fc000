package scan_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// sound are values of JSON, and broken are none.
var (
	sound = []string{
		`{}`, `[]`, ` [ 1 , 2 ] `, `{"a":1,"b":[true,false,null]}`, "{ \"a\" :\t1\r\n}", `"\u00e9\"\\\/\b\f\n\r\t"`,
		`-0`, `0.5e-7`, `1E+9`, `-12.25`, `"twelve chars and more, é"`, `"a\\"`, `[[],{}]`, `{"":""}`,
		`true`, `false`, `null`, `"a b"`, `"\u0a9F"`,
	}
	broken = []string{
		``, ` `, `{`, `[`, `[1,]`, `[,1]`, `[1 2]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{"a":1]`, `[1}`, `{} {}`, `01`, `1.`, `.5`, `+1`, `1e`, `-`,
		`tru`, `nul`, `True`, `"`, `"a`, `"\x"`, `"\u12"`, `"\ug234"`, `"\u1g34"`, `"\u12g4"`, `"\u123g"`, "\"a\nb\"", "\"eight ch\x00\"", `"a\"`, `{"a" 1}`, "\u00a0{}", `{"a":1}x`,
	}
)

// TestValid wants the judgement of encoding/json.
func TestValid(t *testing.T) {
	for _, s := range sound {
		if !scan.Valid(s) || !json.Valid([]byte(s)) {
			t.Errorf("%q is JSON", s)
		}
	}
	for _, s := range broken {
		if scan.Valid(s) || json.Valid([]byte(s)) {
			t.Errorf("%q is no JSON", s)
		}
	}
}

// TestDepth bounds the stack.
func TestDepth(t *testing.T) {
	nest := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if !scan.Valid(nest(scan.MaxDepth)) || scan.Valid(nest(scan.MaxDepth+1)) || scan.Valid(strings.Repeat("[", 1e6)) {
		t.Error("the bound is elsewhere")
	}
	if p := scan.New("[]", scan.MaxDepth); p.Open('[') || !p.Bad() {
		t.Error("a part is as deep as the whole it was cut from")
	}
}

// TestStrings looks for the end of a string at each place within eight bytes.
func TestStrings(t *testing.T) {
	for n := range 40 {
		for _, end := range []string{`"`, `\""`, `\\"`, `\u00e9"`, "\xff\""} {
			s := `"` + strings.Repeat("x", n) + end
			p := scan.New(s+`,1`, 0)
			if got := p.Value(); got != s {
				t.Errorf("got %q, want %q", got, s)
			}
		}
		if s := `"` + strings.Repeat("x", n) + "\x1f" + strings.Repeat("x", 9) + `"`; scan.Valid(s) {
			t.Errorf("%q has a control character", s)
		}
	}
}

// TestWalk reads an object as a decoder does.
func TestWalk(t *testing.T) {
	p := scan.New(` {"n": 12, "s": "a\u00e9", "no": {"x": [1]}, "in": ["b", 3, "c"], "neg": -1, "most": 900000000000000009, "big": 1234567890123456789} `, 0)
	got := map[string]any{}
	for ok := p.Enter('{'); ok; ok = p.More('}') {
		switch k := p.Key(); k {
		case "s":
			got[k] = p.Str()
		case "in":
			var in []string
			for ok := p.Enter('['); ok; ok = p.More(']') {
				in = append(in, p.Str())
			}
			got[k] = in
		case "no":
			got[k] = p.Enter('[')
		default:
			if n, ok := p.Natural(); ok {
				got[k] = n
			}
		}
	}
	want := map[string]any{"n": int64(12), "most": int64(900000000000000009), "s": "aé", "no": false, "in": []string{"b", "", "c"}}
	if d := cmp.Diff(want, got); d != "" || !p.End() || p.Depth() != 0 {
		t.Error(d, p.End(), p.Depth())
	}
}

// TestFail ends every loop.
func TestFail(t *testing.T) {
	p := scan.New(`[1,2,3]`, 0)
	n := 0
	for ok := p.Open('['); ok; ok = p.More(']') {
		n++
		p.Fail()
	}
	if n != 1 || p.End() || p.At() != 0 || p.Value() != "" {
		t.Errorf("%d rounds", n)
	}
}

// TestText wants what encoding/json reads, also of halves of pairs; and of what is
// cut off, something without a panic.
func TestText(t *testing.T) {
	for _, v := range []string{
		`""`, `"a"`, `"\"\\\/\b\f\n\r\t"`, `"\u00e9\u0041\uABCD\uabcd!"`, `"\ud83d\ude00"`, `"x\ud83dy"`, `"\ud83d\n"`, `"\ud83d\u0041"`,
		`"\ud83d\ud83d\ude00"`, `"\ude00"`, `"\u0000"`, `"é\n"`, `1`, `null`, `["a"]`, ``,
	} {
		var want string
		_ = json.Unmarshal([]byte(v), &want)
		if got := scan.Text(v); got != want {
			t.Errorf("%s: got %q, want %q", v, got, want)
		}
		for n := range len(v) {
			scan.Text(v[:n])
		}
	}
}

// TestJoin leaves the separator out where nothing stands on one of its sides.
func TestJoin(t *testing.T) {
	for _, c := range [][3]string{
		{`"a\n"`, `"b"`, "a\n, b"}, {`"a"`, `"\u00e9"`, "a, é"}, {`"a"`, `""`, "a"}, {`""`, `"b\t"`, "b\t"}, {`"a"`, `null`, "a"}, {``, `"b"`, "b"}, {`1`, ``, ""},
	} {
		if got := scan.Join(c[0], ", ", c[1]); got != c[2] {
			t.Errorf("%s and %s: got %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// TestUTF8 looks at what was read wherever a byte in a string is not ASCII.
func TestUTF8(t *testing.T) {
	for n := range 40 {
		for text, want := range map[string]bool{"e": true, "é": true, "\x80": false, "\xff": false, "\xc3": false} {
			for _, at := range []string{`{"a":"%s"}`, `{"%s":1}`, `["%s",["é"]]`, `["%s","a"]`} {
				s := strings.Replace(at, "%s", strings.Repeat("a", n)+text+strings.Repeat("b", n%9), 1)
				p := scan.New(s, 0)
				p.Skip()
				if got := p.UTF8(s); !p.End() || got != want {
					t.Errorf("%q: %v", s, got)
				}
			}
		}
	}
}

// FuzzValid wants the judgement of encoding/json, and of gjson where that agrees
// with it; every value of an object as gjson cuts it out, every string as
// encoding/json reads it, and the judgement of utf8 on the whole.
func FuzzValid(f *testing.F) {
	for _, s := range append(sound, broken...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := json.Valid([]byte(s))
		if strings.Count(s, "[")+strings.Count(s, "{") > scan.MaxDepth {
			return
		}
		if got := scan.Valid(s); got != want {
			t.Fatalf("%q: %v, encoding/json says %v", s, got, want)
		}
		if want && !gjson.Valid(s) {
			t.Fatalf("%q: gjson disagrees", s)
		}
		if p := scan.New(s, 0); want && p.At() == '{' {
			same(t, s, &p)
			if p.UTF8(s) != utf8.ValidString(s) {
				t.Fatalf("%q: UTF-8 is %v", s, p.UTF8(s))
			}
		}
	})
}

func same(t *testing.T, s string, p *scan.Scanner) {
	t.Helper()
	var values, texts []string
	gjson.Parse(s).ForEach(func(_, v gjson.Result) bool {
		var text string
		_ = json.Unmarshal([]byte(v.Raw), &text)
		values, texts = append(values, v.Raw), append(texts, text)
		return true
	})
	for ok := p.Open('{'); ok; ok = p.More('}') {
		p.Key()
		if v := p.Value(); len(values) == 0 || v != values[0] || utf8.ValidString(v) && scan.Text(v) != texts[0] {
			t.Fatalf("%q: got %q, want %q", s, v, values)
		}
		values, texts = values[1:], texts[1:]
	}
	if len(values) > 0 || !p.End() {
		t.Fatalf("%q: %q are left", s, values)
	}
}
