package htmltext_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/feedlake/feedlake/ingest/wire/htmltext"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                                       "",
		" plain text ":                           "plain text",
		"no  markup,\n as it is":                 "no  markup,\n as it is",
		"a &amp; b &lt;i&gt; &#x27;c&#39":        "a & b <i> 'c'",
		"&unknown; &":                            "&unknown; &",
		"<p>one</p><p>two</p>":                   "one\n\ntwo",
		"one<p>two<p>three":                      "one\n\ntwo\n\nthree",
		"<p></p><p>  </p>one<p></p>":             "one",
		"a<br>b<br/>c<br><br>d":                  "a\nb\nc\n\nd",
		"<br>a<br>":                              "a",
		"<i>a</i> <b>b</b>c":                     "a bc",
		"a\n  b\t<i>c</i>":                       "a b c",
		"<p> a </p> <p> b </p>":                  "a \n\nb",
		"<ul><li>a</li><li>b</li></ul>c":         "a\nb\n\nc",
		"<div>a</div><div>b</div>":               "a\nb",
		"a<pre><code>  x\n    y\n</code></pre>b": "a\n\n  x\n    y\n\n\nb",
		"a<script>alert(1)</script><style>p{}</style>b":     "ab",
		"<template>no<template>no</template></template>yes": "yes",
		"</script></pre>yes":                                "yes",
		"a<!-- no -->b<!doctype html>":                      "ab",
		"a < b":                                             "a < b",
		"<p":                                                "",
		"<unknown>a</unknown>":                              "a",
		`<a href="http://x/y" rel="nofollow">http://x/...</a>`:      "http://x/...",
		`<span class="invisible">https://</span><span>x.y</span>`:   "https://x.y",
		`<blockquote>q</blockquote>a`:                               "q\n\na",
		"<h1>T</h1>a":                                               "T\n\na",
		"caf\u00e9 \U0001f600<br>\u4e16":                            "caf\u00e9 \U0001f600\n\u4e16",
		`<p><a href="/tags/x">#<span>x</span></a> <a>@<b>y</b></a>`: "#x @y",
	} {
		if got := htmltext.Text(in); got != want {
			t.Errorf("%q\n got %q\nwant %q", in, got, want)
		}
	}
}

// TestTextLong wants time in proportion to the text.
func TestTextLong(t *testing.T) {
	for _, piece := range []string{"<p>", "<br>", "<template>", "</pre>", "&amp;", "<i a='", "a <"} {
		if got := htmltext.Text(strings.Repeat(piece, 200_000)); got != strings.TrimSpace(got) {
			t.Errorf("space around the text of %q", piece)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"a<p>b", "<pre> a\n</pre>", "&amp;&#x;&#0;", "<script>a</script", "<!--", "a<br>b", "\xff<p>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := htmltext.Text(s)
		if got != strings.TrimSpace(got) {
			t.Errorf("%q: space around %q", s, got)
		}
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("%q: invalid %q", s, got)
		}
	})
}

func BenchmarkText(b *testing.B) {
	s := strings.Repeat("<p>Aw shucks, guys ... you make me <i>blush</i> with your compliments.<p>Tell you what, I&#x27;ll make a deal: I'll keep writing if you keep reading. K?<br>", 10)
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		htmltext.Text(s)
	}
}
