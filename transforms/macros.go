package transforms

import (
	"regexp"
	"slices"
	"strings"
)

// definition is a statement that defines a macro, from the begin of a line to a
// semicolon at the end of one.
var definition = regexp.MustCompile(`(?ims)^create(?: or replace)? macro (\w+)(.*?);\s*$`)

// call is a name before a parenthesis.
var call = regexp.MustCompile(`(?i)([a-z_]\w*)\s*\(`)

// macros are the definitions of functions that an engine lacks, by name, without
// what says nothing: comments and the way lines are broken.
type macros map[string]string

// parseMacros reads the definitions in a text.
func parseMacros(text string) macros {
	m := macros{}
	for _, d := range definition.FindAllStringSubmatch(withoutComments(text), -1) {
		m[strings.ToLower(d[1])] += strings.Join(strings.Fields(d[2]), " ") + "\n"
	}
	return m
}

func withoutComments(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(strings.TrimSpace(line), "--") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// under lists the macros that a text calls, and those that they call, sorted.
func (m macros) under(sql string) []string {
	var found []string
	for texts := []string{blank(sql)}; len(texts) > 0; texts = texts[1:] {
		for _, c := range call.FindAllStringSubmatch(texts[0], -1) {
			name := strings.ToLower(c[1])
			if body, ok := m[name]; ok && !slices.Contains(found, name) {
				found = append(found, name)
				texts = append(texts, blank(body))
			}
		}
	}
	slices.Sort(found)
	return found
}
