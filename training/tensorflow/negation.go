package tensorflow

import "strings"

// negationReach bounds a scope: further words seldom belong to the negation.
const negationReach = 6

// markNegation marks the words after a negation up to the next clause mark
// (Das and Chen 2001; Pang, Lee and Vaithyanathan 2002), at most
// negationReach words on. A second negation inside a scope starts it again.
func markNegation(tokens []token) {
	left := 0
	for i := range tokens {
		t := &tokens[i]
		switch {
		case t.kind == kindMark && endsClause(t.text), t.kind == kindWord && (t.text == "but" || t.text == "mais" || t.text == "aber" || t.text == "pero"):
			left = 0
		case t.kind == kindWord && isNegation(t.text):
			left = negationReach
		case left > 0 && t.kind == kindWord:
			t.negated = true
			left--
		}
	}
}

func endsClause(mark string) bool { return strings.IndexByte(".,;:!?()-", mark[0]) >= 0 }

// isNegation knows English well and the plain negations of a few more
// languages; words that mean something else in another of them are left out.
func isNegation(word string) bool {
	if strings.HasSuffix(word, "n't") {
		return true
	}
	switch word {
	case "not", "no", "never", "none", "nobody", "nothing", "nowhere", "neither", "nor", "cannot", "without", "hardly", "barely",
		"dont", "doesnt", "didnt", "cant", "couldnt", "wont", "wouldnt", "isnt", "arent", "wasnt", "werent", "aint", "havent", "hasnt", "hadnt", "shouldnt",
		"pas", "jamais", "rien", "aucun", "aucune", "nicht", "nie", "kein", "keine", "keinen", "niemals", "nunca", "jamás", "tampoco", "não", "nem", "non", "mai":
		return true
	}
	return false
}
