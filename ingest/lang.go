package ingest

import "golang.org/x/text/language"

// languages turns what records say of their language into canonical BCP 47
// tags. Every connector's posts pass it on their way into the lake. It keeps the
// answers: a source says few different things.
type languages map[string]string

// maxLanguages bounds the answers kept; a file may say something new with every
// record.
const maxLanguages = 1 << 10

func (l *languages) tag(said string) string {
	if said == "" {
		return ""
	}
	if tag, ok := (*l)[said]; ok {
		return tag
	}
	tag := languageTag(said)
	if *l == nil || len(*l) >= maxLanguages {
		*l = languages{}
	}
	(*l)[said] = tag
	return tag
}

// languageTag is the canonical BCP 47 tag of what a record says of its language:
// en_us is en-US, and codes that were replaced (in, iw, ji) become those of
// today. What names no language is "": a word, an unknown code, und, zxx, and
// the codes for private use, of which X makes marks such as qme, "media only".
// Of a tag that ends in an error, the good beginning counts.
func languageTag(said string) string {
	tag, _ := language.BCP47.Parse(said) // with an error comes the part that could be read
	base, _, _ := tag.Raw()
	switch b := base.String(); {
	case b == "und", b == "zxx", b == "mul", b == "mis", b == "art", b >= "qaa" && b <= "qtz":
		return ""
	}
	return tag.String()
}
