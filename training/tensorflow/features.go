package tensorflow

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/feedlake/feedlake"
)

// featureVersion changes with anything that gives a text other ids: the
// tokeniser, the lexicon, the list of features, the hash.
const featureVersion = 2

// Features says which n-grams of a text become ids. It is stored with every
// model version, so that a version always reads a text in the way it learned.
type Features struct {
	Version    int `json:"version"`      // of the code that makes the ids
	Bits       int `json:"bits"`         // ids lie in [0, 1<<Bits)
	WordMax    int `json:"word_max"`     // word n-grams of 1 to WordMax tokens
	CharMin    int `json:"char_min"`     // character n-grams within words of CharMin
	CharMax    int `json:"char_max"`     // to CharMax runes, word ends counted
	MaxPerText int `json:"max_per_text"` // ids of one text and group, at most
}

// DefaultFeatures is the choice made by cross-validation on labelled tweets.
func DefaultFeatures() Features {
	return Features{Version: featureVersion, Bits: 18, WordMax: 2, CharMin: 2, CharMax: 4, MaxPerText: 2048}
}

func (f Features) validate() error {
	switch {
	case f.Version != featureVersion:
		return feedlake.Hint(fmt.Errorf("features of version %d, this program makes version %d: %w", f.Version, featureVersion, feedlake.ErrConfig),
			"train the model anew with this program, or use the program that trained it")
	case f.Bits < 8 || f.Bits > 24, f.WordMax < 1, f.WordMax > 3, f.CharMin < 1, f.CharMax > 8, f.MaxPerText < 1:
		return fmt.Errorf("features %+v: %w", f, errors.Join(feedlake.ErrConfig, errors.New("a value is out of range")))
	}
	return nil
}

// Salts keep features of different sorts apart in one table.
const (
	saltToken = (uint64(iota) + 1) << 56
	saltPlain
	saltShout
	saltDrawn
	saltPair
	saltTriple
	saltLast
	saltCount
	saltFeeling
	saltLexicon
	saltChar
)

// featuriser turns texts into ids. It is safe for concurrent use.
type featuriser struct {
	f    Features
	lex  *lexicon
	pool sync.Pool // of *scratch
}

func newFeaturiser(f Features) (*featuriser, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	lex, err := parseLexicon(lexiconText + emojiText)
	if err != nil {
		return nil, err
	}
	z := &featuriser{f: f, lex: lex}
	z.pool.New = func() any { return &scratch{featuriser: z, seen: make([]uint32, 1<<f.Bits)} }
	return z, nil
}

// textIDs are the features of one text, each id once, in a fixed order. Words
// lie in the lower half of the table, characters in the upper. content tells that
// there is something to judge.
type textIDs struct {
	words, chars []int32
	content      bool
}

func (t textIDs) empty() bool { return len(t.words) == 0 && len(t.chars) == 0 }

// features returns the ids of text. A text without any token has none.
func (z *featuriser) features(text string) textIDs {
	tokens := tokenise(text)
	if len(tokens) == 0 {
		return textIDs{}
	}
	s, ok := z.pool.Get().(*scratch)
	if !ok {
		s = &scratch{featuriser: z, seen: make([]uint32, 1<<z.f.Bits)}
	}
	defer z.pool.Put(s)
	s.begin()
	s.wordGrams(tokens)
	s.counts(tokens)
	s.lexical(tokens)
	words := len(s.ids)
	s.charGrams(tokens)
	all := append(make([]int32, 0, len(s.ids)), s.ids...)
	return textIDs{words: all[:words:words], chars: all[words:], content: slices.ContainsFunc(tokens, speaks)}
}

// speaks reports the tokens that can carry a feeling by themselves.
func speaks(t token) bool { return t.kind == kindWord || t.kind == kindTag || t.kind == kindSmile }

// scratch is the working memory for one text at a time.
type scratch struct {
	*featuriser
	seen   []uint32 // per id: the text that saw it last
	text   uint32   // number of the present text
	hashes []uint64 // of the tokens
	buf    []byte
	ids    []int32
}

func (s *scratch) begin() {
	s.text++
	if s.text == 0 { // came round
		clear(s.seen)
		s.text = 1
	}
	s.ids = s.ids[:0]
}

// mix is the finaliser of MurmurHash3 over a salted hash.
func mix(h, salt uint64) uint64 {
	h ^= salt
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// put adds a feature to the lower half of the table.
func (s *scratch) put(h, salt uint64) {
	s.add(int32(mix(h, salt)&(1<<(s.f.Bits-1)-1)), 0) //nolint:gosec // the mask bounds it
}

// add appends an id that the text does not have yet, while its group, which
// starts at from, has room.
func (s *scratch) add(id int32, from int) {
	if s.seen[id] == s.text || len(s.ids)-from >= s.f.MaxPerText {
		return
	}
	s.seen[id] = s.text
	s.ids = append(s.ids, id)
}

// hashToken tells apart kinds, and words inside a negation from others.
func (s *scratch) hashToken(t *token) uint64 {
	s.buf = append(s.buf[:0], byte(t.kind), '+')
	if t.negated {
		s.buf[1] = '-'
	}
	s.buf = append(s.buf, t.text...)
	return xxhash.Sum64(s.buf)
}

func (s *scratch) wordGrams(tokens []token) {
	s.hashes = s.hashes[:0]
	for i := range tokens {
		s.hashes = append(s.hashes, s.hashToken(&tokens[i]))
	}
	h := s.hashes
	for i := range tokens {
		t := &tokens[i]
		s.put(h[i], saltToken)
		if t.kind == kindWord || t.kind == kindTag {
			s.put(xxhash.Sum64String(t.text), saltPlain) // whatever the negation, with or without '#'
		}
		if t.shouted {
			s.put(h[i], saltShout)
		}
		if t.drawn {
			s.put(h[i], saltDrawn)
		}
		if i > 0 && s.f.WordMax >= 2 {
			s.put(mix(h[i-1], h[i]), saltPair)
		}
		if i > 1 && s.f.WordMax >= 3 {
			s.put(mix(mix(h[i-2], h[i-1]), h[i]), saltTriple)
		}
	}
	s.put(h[len(h)-1], saltLast)
}

// counts adds how often each sort of token occurs, in steps.
func (s *scratch) counts(tokens []token) {
	var n [8]int
	for i := range tokens {
		t := &tokens[i]
		switch t.kind {
		case kindWord:
			n[0]++
		case kindSmile:
			n[1]++
			if f := feelingOf(t.text, s.lex.smile(t.text)); f != feelingNone {
				s.put(uint64(f), saltFeeling)
			}
		case kindTag:
			n[2]++
		case kindMention:
			n[3]++
		case kindURL:
			n[4]++
		case kindNumber, kindMark:
		}
		n[5] += one(t.shouted)
		n[6] += one(t.drawn)
		n[7] += one(t.negated)
	}
	n[0] /= 6 // words in steps of six
	for i, v := range n {
		s.class(saltCount, i, min(v, 4))
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// class adds the feature "property what has this value".
func (s *scratch) class(salt uint64, what, value int) {
	s.put(uint64(what)<<8|uint64(value&0xff), salt) //nolint:gosec // small by construction
}

// lexical adds what the lexicon says of single words and emoji and of the whole,
// so that an emoji which no label knows speaks as words of its strength do. A
// negated word counts half, with the other sign (Polanyi and Zaenen 2006 shift
// it; a flip alone would make "not perfect" as bad as "awful").
func (s *scratch) lexical(tokens []token) {
	var good, bad, sum, first, last int
	for i := range tokens {
		t := &tokens[i]
		v := 0
		switch t.kind {
		case kindWord, kindTag:
			v = s.lex.strength(t.text)
		case kindSmile:
			v = s.lex.smile(t.text)
		case kindMention, kindURL, kindNumber, kindMark:
		}
		if v == 0 {
			continue
		}
		s.class(saltLexicon, one(t.negated), v)
		if t.negated {
			v = -v/2 - v%2
		}
		if first == 0 {
			first = v
		}
		last = v
		sum += v
		good += one(v > 0)
		bad += one(v < 0)
	}
	s.class(saltLexicon, 2, min(good, 4))
	s.class(saltLexicon, 3, min(bad, 4))
	s.class(saltLexicon, 4, max(-5, min(sum, 5)))
	s.class(saltLexicon, 5, first)
	s.class(saltLexicon, 6, last)
	s.class(saltLexicon, 7, min(good, 3)<<2|min(bad, 3))
}

// charGrams adds the character n-grams of words, tags and smiles with their
// ends marked by a space.
func (s *scratch) charGrams(tokens []token) {
	from := len(s.ids)
	for i := range tokens {
		t := &tokens[i]
		if t.kind == kindWord || t.kind == kindTag || t.kind == kindSmile {
			s.buf = append(append(append(s.buf[:0], ' '), t.text...), ' ')
			s.grams(s.buf, from)
		}
	}
}

func (s *scratch) grams(b []byte, from int) {
	half := int32(1) << (s.f.Bits - 1)
	for start := 0; start < len(b); {
		_, first := utf8.DecodeRune(b[start:])
		end := start
		for n := 1; n <= s.f.CharMax && end < len(b); n++ {
			_, size := utf8.DecodeRune(b[end:])
			end += size
			if n >= s.f.CharMin {
				h := mix(xxhash.Sum64(b[start:end]), saltChar)
				s.add(half|int32(h&uint64(half-1)), from) //nolint:gosec // the mask bounds it
			}
		}
		start += first
	}
}
