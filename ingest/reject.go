package ingest

import (
	"strings"
	"unicode/utf8"

	"github.com/feedlake/feedlake"
)

// Reason spells an error for the reason of a Reject: without the sentinel, which
// says nothing new there.
func Reason(err error) string {
	return strings.TrimSuffix(err.Error(), ": "+feedlake.ErrRejected.Error())
}

// CutPayload makes s fit to be the payload of a Reject: a copy, valid UTF-8, at
// most feedlake.MaxRejectPayload bytes. Bytes that are no UTF-8 become U+FFFD.
func CutPayload(s string) string {
	if len(s) > feedlake.MaxRejectPayload {
		s = s[:feedlake.MaxRejectPayload]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
		if len(s) > feedlake.MaxRejectPayload {
			s = s[:feedlake.MaxRejectPayload]
		}
	}
	for len(s) > 0 { // the cut may have split a character
		r, n := utf8.DecodeLastRuneInString(s)
		if r != utf8.RuneError || n != 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return strings.Clone(s)
}

// invalidField names the first text column of p that is not valid UTF-8, which
// no reader of Parquet would accept; "" when there is none.
func invalidField(p *feedlake.Post) string {
	for _, f := range [...]struct{ name, value string }{
		{"source", p.Source},
		{"id", p.ID},
		{"uri", p.URI},
		{"kind", p.Kind},
		{"author_id", p.AuthorID},
		{"author_name", p.AuthorName},
		{"text", p.Text},
		{"lang", p.Lang},
		{"reply_to", p.ReplyTo},
		{"repost_of", p.RepostOf},
		{"quote_of", p.QuoteOf},
		{"query", p.Query},
		{"payload", p.Payload},
	} {
		if !utf8.ValidString(f.value) {
			return f.name
		}
	}
	for _, f := range [...]struct {
		name   string
		values []string
	}{{"hashtags", p.Hashtags}, {"mentions", p.Mentions}, {"urls", p.URLs}} {
		for _, v := range f.values {
			if !utf8.ValidString(v) {
				return f.name
			}
		}
	}
	return ""
}
