package instagram

import (
	"regexp"
	"slices"
	"strings"
)

//nolint:gochecknoglobals // compiled once, never changed
var handle = regexp.MustCompile(`(?:^|[^A-Za-z0-9_.@/])@([A-Za-z0-9_](?:[A-Za-z0-9_.]{0,28}[A-Za-z0-9_])?)`)

// mentions are whom the post tags, and whom its caption names: the network lists
// only the first. Names hold periods here, which end a name elsewhere.
func mentions(tagged []string, caption string) []string {
	if !strings.Contains(caption, "@") {
		return tagged
	}
	for _, m := range handle.FindAllStringSubmatch(caption, -1) {
		if !slices.ContainsFunc(tagged, func(s string) bool { return strings.EqualFold(s, m[1]) }) {
			tagged = append(tagged, m[1])
		}
	}
	return tagged
}
