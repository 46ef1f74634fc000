package ingest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strings"

	"github.com/feedlake/feedlake"
)

// Pseudonyms replaces who posts are by, and whom they name, by keyed pseudonyms:
// the same account gets the same pseudonym for as long as the key stays, and
// nobody without the key can tell whose it is.
//
// It covers author, mentions, handles in texts and addresses, and accounts
// inside ids (DIDs). The payload is left out, since its shape is the platform's
// and may name people anywhere. Names of people written as plain words in a text
// stay.
type Pseudonyms struct{ key []byte }

// minKey is how many bytes a key has at least.
const minKey = 16

// NewPseudonyms takes the key. A short one wraps feedlake.ErrConfig.
func NewPseudonyms(key Secret) (*Pseudonyms, error) {
	if len(key.Reveal()) < minKey {
		return nil, feedlake.Hint(fmt.Errorf("pseudonyms: a key of %d bytes: %w", len(key.Reveal()), feedlake.ErrConfig),
			"at least %d random bytes; keep them: with another key everybody becomes somebody else", minKey)
	}
	return &Pseudonyms{[]byte(key.Reveal())}, nil
}

// pseudonymPrefix begins every pseudonym, and 24 digits of base32 follow: more
// characters than handles have, and none that ends one.
const pseudonymPrefix = "anon_"

//nolint:gochecknoglobals // compiled once, never changed
var isPseudonym = regexp.MustCompile(`^` + pseudonymPrefix + `[a-z2-7]{24}$`)

// Of is the pseudonym of an account of a source, by its id or its handle, in any case; that
// of nobody, and of a pseudonym, is itself.
func (p *Pseudonyms) Of(source, account string) string {
	if p == nil || account == "" || isPseudonym.MatchString(account) {
		return account
	}
	mac := hmac.New(sha256.New, p.key)
	_, _ = mac.Write([]byte(source + "\x00" + strings.ToLower(account))) // a hash takes everything
	return pseudonymPrefix + strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)[:15]))
}

// accounts finds accounts in texts, addresses and ids. Every pattern has the
// account as its only group.
//
//nolint:gochecknoglobals // compiled once, never changed
var accounts = []*regexp.Regexp{
	regexp.MustCompile(`\b(did:[a-z]+:[A-Za-z0-9._:%-]*[A-Za-z0-9_-])`),                                 // Bluesky, also inside at:// ids
	regexp.MustCompile(`/(?:users?|profile|u)/([^/?#\s"'<>]+)`),                                         // Mastodon, Reddit, Bluesky
	regexp.MustCompile(`//(?:www\.|mobile\.)?(?:x|twitter)\.com/([A-Za-z0-9_]{1,15})\b`),                // X
	regexp.MustCompile(`//(?:www\.)?instagram\.com/([A-Za-z0-9_.]{1,30})/?(?:$|[?#\s"'])`),              // Instagram profiles
	regexp.MustCompile(`(?:^|[^\p{L}\p{N}_/@.])[@＠]([\p{L}\p{N}_](?:[\p{L}\p{N}_.@-]*[\p{L}\p{N}_])?)`), // @handle, @handle@instance
	regexp.MustCompile(`/[@＠]([\p{L}\p{N}_](?:[\p{L}\p{N}_.@-]*[\p{L}\p{N}_])?)`),                       // https://instance/@handle
	regexp.MustCompile(`(?:^|[^\p{L}\p{N}_/])/?u/([A-Za-z0-9_-]{3,20})\b`),                              // Reddit's u/handle
}

// scrub replaces the accounts that a text names.
func (p *Pseudonyms) scrub(source, text string) string {
	for _, re := range accounts {
		at := re.FindAllStringSubmatchIndex(text, -1)
		if at == nil {
			continue
		}
		var b strings.Builder
		last := 0
		for _, m := range at {
			_, _ = b.WriteString(text[last:m[2]] + p.Of(source, text[m[2]:m[3]]))
			last = m[3]
		}
		_, _ = b.WriteString(text[last:])
		text = b.String()
	}
	return text
}

// OfPost is the id of a post of a source with the accounts inside it replaced.
func (p *Pseudonyms) OfPost(source, id string) string {
	if p == nil {
		return id
	}
	return p.scrub(source, id)
}

// Hide replaces the accounts of a post.
func (p *Pseudonyms) Hide(post *feedlake.Post) {
	s := post.Source
	for _, field := range []*string{&post.ID, &post.URI, &post.ReplyTo, &post.RepostOf, &post.QuoteOf, &post.Text, &post.Query} {
		*field = p.scrub(s, *field)
	}
	post.AuthorID, post.AuthorName = p.Of(s, post.AuthorID), p.Of(s, post.AuthorName)
	for i, m := range post.Mentions {
		post.Mentions[i] = p.Of(s, m)
	}
	for i, u := range post.URLs {
		post.URLs[i] = p.scrub(s, u)
	}
	post.Payload = ""
}

// hideReject leaves out of a reject what may name people.
func (p *Pseudonyms) hideReject(r *feedlake.Reject) {
	r.Payload = ""
	r.Reason, r.Position = p.scrub(r.Source, r.Reason), p.scrub(r.Source, r.Position)
}
