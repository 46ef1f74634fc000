// Package htmltext turns the HTML that some platforms write posts in into text.
package htmltext

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Text is what a reader of the HTML sees: paragraphs with an empty line between
// them, line breaks, list items on lines of their own, no markup. Broken HTML is
// read as a browser would.
//
// Mastodon hides parts of long links in spans of class "invisible"; they are
// read, since the text would hold no whole address without them.
func Text(source string) string {
	if !strings.ContainsAny(source, "<&") {
		return strings.TrimSpace(source)
	}
	var w writer
	t := html.NewTokenizer(strings.NewReader(source))
	for {
		switch t.Next() {
		case html.ErrorToken: // the end: a reader of a string fails in no other way
			return strings.TrimSpace(w.b.String())
		case html.TextToken:
			w.text(string(t.Text()))
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := t.TagName()
			w.start(atom.Lookup(name))
		case html.EndTagToken:
			name, _ := t.TagName()
			w.end(atom.Lookup(name))
		case html.CommentToken, html.DoctypeToken:
		}
	}
}

// writer writes text, with breaks only between what is seen.
type writer struct {
	b      strings.Builder
	breaks int // newlines due before the next text
	hidden int // depth within elements whose content nobody sees
	exact  int // depth within <pre>
}

func (w *writer) text(s string) {
	if w.hidden > 0 {
		return
	}
	if w.exact == 0 {
		s = squeeze(s)
		if s == " " && w.breaks > 0 || s == "" {
			return
		}
		if w.breaks > 0 {
			s = strings.TrimLeft(s, " ")
		}
	}
	if w.b.Len() > 0 {
		for range w.breaks {
			w.b.WriteByte('\n')
		}
	}
	w.breaks = 0
	w.b.WriteString(s)
}

// squeeze makes every run of white space one blank, as a browser does.
func squeeze(s string) string {
	if !strings.ContainsAny(s, "\t\n\r\f") && !strings.Contains(s, "  ") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range s {
		if r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\f' {
			space = true
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	if space {
		b.WriteByte(' ')
	}
	return b.String()
}

func (w *writer) due(n int) { w.breaks = max(w.breaks, n) }

func (w *writer) start(a atom.Atom) {
	switch a {
	case atom.Br:
		w.breaks++
	case atom.P, atom.Blockquote, atom.Ul, atom.Ol, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		w.due(2)
	case atom.Pre:
		w.due(2)
		w.exact++
	case atom.Li, atom.Div, atom.Tr:
		w.due(1)
	case atom.Script, atom.Style, atom.Template:
		w.hidden++
	}
}

func (w *writer) end(a atom.Atom) {
	switch a {
	case atom.P, atom.Blockquote, atom.Ul, atom.Ol, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		w.due(2)
	case atom.Pre:
		w.due(2)
		w.exact = max(0, w.exact-1)
	case atom.Li, atom.Div, atom.Tr:
		w.due(1)
	case atom.Script, atom.Style, atom.Template:
		w.hidden = max(0, w.hidden-1)
	}
}
