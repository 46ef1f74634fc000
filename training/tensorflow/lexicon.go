package tensorflow

import (
	_ "embed" // the word list
	"fmt"
	"strconv"
	"strings"
)

//go:embed lexicon.txt
var lexiconText string

// lexicon gives words a strength from -2 to 2.
type lexicon struct {
	words map[string]int
	stems map[string]int
	short int // length of the shortest stem, in bytes
}

// parseLexicon reads lines of a strength and words; '*' ends a stem, '#' starts
// a comment.
func parseLexicon(text string) (*lexicon, error) {
	l := &lexicon{words: map[string]int{}, stems: map[string]int{}, short: len(text)}
	n := 0
	for line := range strings.Lines(text) {
		n++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		v, err := strconv.Atoi(fields[0])
		if err != nil || v == 0 || v < -2 || v > 2 {
			return nil, fmt.Errorf("parse lexicon: line %d: strength %q: want -2, -1, +1 or +2", n, fields[0])
		}
		for _, w := range fields[1:] {
			if stem, ok := strings.CutSuffix(w, "*"); ok {
				l.stems[stem] = v
				l.short = min(l.short, len(stem))
			} else {
				l.words[w] = v
			}
		}
	}
	return l, nil
}

// strength returns the value of a word in lower case: its own, else that of its
// longest stem, else 0.
func (l *lexicon) strength(word string) int {
	if v, ok := l.words[word]; ok {
		return v
	}
	for n := len(word); n >= l.short; n-- {
		if v, ok := l.stems[word[:n]]; ok {
			return v
		}
	}
	return 0
}

// smile returns the value of an emoji: its own, else that of the pictograph it
// begins with.
func (l *lexicon) smile(text string) int {
	if v, ok := l.words[text]; ok {
		return v
	}
	first, _, tied := strings.Cut(text, string(joiner))
	if !tied {
		return 0
	}
	return l.words[first]
}
