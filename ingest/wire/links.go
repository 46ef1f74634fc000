package wire

import (
	"regexp"
	"slices"
	"strings"
)

//nolint:gochecknoglobals // compiled once, never changed
var links = regexp.MustCompile(`(?i)\bhttps?://[^\s<>"“”]+`)

// WithLinks completes the link that a network names apart, such as the page that
// a post is about, with the links that the text shows: a list that holds some of
// them would be taken for all. No link named is no list, and the text is searched
// by those who want its links.
func WithLinks(named, text string) []string {
	if named == "" {
		return nil
	}
	out := []string{named}
	if strings.Contains(text, "://") {
		for _, l := range links.FindAllString(text, -1) {
			if l = strings.TrimRight(l, ".,;:!?'*_)]}…"); !slices.Contains(out, l) {
				out = append(out, l)
			}
		}
	}
	return out
}
