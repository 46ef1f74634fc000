package simulate

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
)

// maker writes record i as a network would send it: a line of JSON. What it
// writes depends on the configuration and i alone.
type maker struct {
	cfg     Config
	cal     *calendar
	shares  shares
	authors int64
	b, text strings.Builder
}

func newMaker(c Config) *maker {
	return &maker{cfg: c, cal: newCalendar(c), shares: c.shares(), authors: max(40, c.Posts/25)}
}

func (m *maker) rand(stream, i int64) *rand.Rand {
	return rand.New(rand.NewPCG(m.cfg.Seed+uint64(stream)<<56, uint64(i)*0x9e3779b97f4a7c15+1)) //nolint:gosec // a number to mix, not a size
}

// Versions of a post in a record.
const (
	versionFirst = iota
	versionEdit
	versionDeletion
)

// back is how far behind a record the post lies that it edits, deletes or
// repeats: a share of what was posted before.
const back = 2000

// record returns record i, now and then broken.
func (m *maker) record(i int64) string {
	r := m.rand(streamRecords, -1-i)
	u := r.Float64()
	s := m.shares
	what, post, observed := versionFirst, i, int64(-1)
	switch older := i - 1 - int64(r.IntN(back)); {
	case older < 0:
	case u < s.duplicates:
		post = m.original(older)
	case u < s.duplicates+s.edits:
		what, post, observed = versionEdit, m.original(older), i
	case u < s.duplicates+s.edits+s.deletions:
		what, post, observed = versionDeletion, m.original(older), i
	}
	line := m.post(post, what, observed)
	if r.Float64() < s.broken {
		return breakLine(line, r)
	}
	return line
}

// original follows a record that repeats another one to the first of them.
func (m *maker) original(i int64) int64 {
	for {
		r := m.rand(streamRecords, -1-i)
		u := r.Float64()
		older := i - 1 - int64(r.IntN(back))
		if older < 0 || u >= m.shares.duplicates+m.shares.edits+m.shares.deletions {
			return i
		}
		i = older
	}
}

// author is who writes: stable over all records.
type author struct {
	id        int64
	network   string
	lang      *language
	followers int64
	mood      float64
}

func (m *maker) author(r *rand.Rand) author {
	u := r.Float64()
	id := int64(float64(m.authors) * u * u * u) // few write much
	ar := m.rand(streamAuthors, id)
	a := author{id: id, network: m.cfg.Networks[id%int64(len(m.cfg.Networks))], mood: ar.Float64()*0.3 - 0.15}
	x := ar.Float64()
	for i := range languages {
		a.lang = &languages[i]
		if x -= languages[i].share; x < 0 {
			break
		}
	}
	a.followers = int64(math.Exp(3 + 2.2*math.Abs(ar.NormFloat64())))
	return a
}

// drawn is post i as it was first written, with what the dice say of it.
type drawn struct {
	at, seen time.Time
	author   author
	text     string
	kind     string
	other    int64 // the post that it answers, repeats or quotes; -1: none
	likes    *int64
	reposts  *int64
	replies  *int64
	views    *int64
}

// draw throws the dice for post i.
func (m *maker) draw(i int64) drawn {
	r := m.rand(streamRecords, i)
	hour, at := m.cal.at(i, r)
	burst := m.cal.burst(hour, r)
	a := m.author(r)
	mood := chooseMood(r, a.mood, burst)
	m.text.Reset()
	a.lang.say(&m.text, mood, r)
	m.tags(&m.text, at, burst, r)
	d := drawn{at: at, author: a, text: m.text.String(), kind: feedlake.KindPost, other: -1}
	d.seen = at.Add(time.Duration(1+r.IntN(90)) * time.Second)
	if i > 10 {
		switch other, u := i-1-int64(r.IntN(10)), r.Float64(); {
		case u < 0.15:
			d.kind, d.other = feedlake.KindReply, other
		case u < 0.25:
			d.kind, d.other = feedlake.KindRepost, other
		case u < 0.29:
			d.kind, d.other = feedlake.KindQuote, other
		}
	}
	reach := 0.02 * float64(a.followers) * math.Exp(0.9*r.NormFloat64())
	for _, c := range [...]struct {
		to    **int64
		scale float64
		gone  float64 // share of posts that do not show it
	}{{&d.likes, 1, 0.02}, {&d.reposts, 0.15, 0.05}, {&d.replies, 0.1, 0.05}, {&d.views, 40, 0.4}} {
		if r.Float64() >= c.gone {
			n := int64(reach * c.scale)
			*c.to = &n
		}
	}
	return d
}

// edits is what people add to a post when they edit it.
var edits = [...]string{" (edit: typo)", " EDIT: thanks for the replies", " [edited]"}

// post writes post i in one of its versions. observed is the record that shows
// a later version; it tells when.
func (m *maker) post(i int64, version int, observed int64) string {
	d := m.draw(i)
	if observed >= 0 {
		_, d.seen = m.cal.at(observed, m.rand(streamRecords, observed))
		d.seen = d.seen.Add(2 * time.Minute)
	}
	if version == versionEdit {
		d.text += edits[i%int64(len(edits))]
	}
	b := &m.b
	b.Reset()
	b.WriteString(`{"id":"s`)
	b.WriteString(strconv.FormatInt(i, 36))
	b.WriteString(`","network":`)
	writeText(b, d.author.network)
	b.WriteString(`,"created_at":"`)
	b.WriteString(d.at.Format("2006-01-02T15:04:05.000Z"))
	b.WriteString(`","seen_at":"`)
	b.WriteString(d.seen.Format("2006-01-02T15:04:05.000Z"))
	b.WriteString(`"`)
	if version == versionDeletion {
		b.WriteString(`,"deleted":true}`)
		return b.String()
	}
	writeRest(b, d)
	return b.String()
}

// writeRest writes what only a living post has.
func writeRest(b *strings.Builder, d drawn) {
	b.WriteString(`,"author":{"id":"a`)
	b.WriteString(strconv.FormatInt(d.author.id, 36))
	b.WriteString(`","name":"`)
	writeName(b, d.author.id)
	b.WriteString(`","followers":`)
	writeInt(b, d.author.followers)
	b.WriteString(`},"text":`)
	writeText(b, d.text)
	b.WriteString(`,"lang":"`)
	b.WriteString(d.author.lang.tag)
	b.WriteString(`"`)
	if d.other >= 0 {
		b.WriteString(`,"type":"` + d.kind + `","` + otherField[d.kind] + `":"s` + strconv.FormatInt(d.other, 36) + `"`)
	}
	for _, c := range [...]struct {
		name string
		n    *int64
	}{{"likes", d.likes}, {"reposts", d.reposts}, {"replies", d.replies}, {"views", d.views}} {
		if c.n != nil {
			b.WriteString(`,"` + c.name + `":`)
			writeInt(b, *c.n)
		}
	}
	b.WriteByte('}')
}

// otherField names another post in a record, by kind.
var otherField = map[string]string{feedlake.KindReply: "reply_to", feedlake.KindRepost: "repost_of", feedlake.KindQuote: "quote_of"}

// chooseMood draws a sentiment; bursts are talked about with less calm.
func chooseMood(r *rand.Rand, lean float64, burst int) int {
	neg, pos := 0.24-lean, 0.33+lean
	if burst >= 0 {
		neg, pos = 0.55, 0.2
		if burst%2 == 1 {
			neg, pos = 0.12, 0.65
		}
	}
	switch u := r.Float64(); {
	case u < neg:
		return negative
	case u < neg+pos:
		return positive
	}
	return neutral
}

// steadyTags are carried all the time, the first ones most.
var steadyTags = [...]string{
	"news", "music", "coffee", "photo", "travel", "food", "tech", "art", "books", "fitness", "nature", "design", "startup", "cinema", "gaming", "science",
	"football", "fashion", "recipes", "garden", "cycling", "history", "weather", "jobs", "podcast", "cats", "dogs", "space", "health", "climate",
}

// tags writes hashtags, mentions and links.
func (m *maker) tags(b *strings.Builder, at time.Time, burst int, r *rand.Rand) {
	if burst >= 0 {
		b.WriteString(" #" + m.cal.bursts[burst].Tag)
	}
	for _, t := range [...]string{"blackout", "finale"} { // burst tags occur at other times too, seldom
		if r.Float64() < usualShare/2 {
			b.WriteString(" #" + t)
		}
	}
	for n := r.IntN(4) - 1; n > 0; n-- {
		u := r.Float64()
		b.WriteString(" #" + steadyTags[int(float64(len(steadyTags))*u*u)])
	}
	for _, d := range [...]struct {
		tag          string
		from, to     int
		first, last  time.Weekday
		often, other float64 // share of posts within those hours and days, and otherwise
	}{
		{"goodmorning", 6, 10, time.Sunday, time.Saturday, 0.04, 0.001},
		{"goodnight", 20, 24, time.Sunday, time.Saturday, 0.03, 0.001},
		{"mondaymotivation", 7, 18, time.Monday, time.Monday, 0.010, 0.002},
		{"weekend", 0, 24, time.Friday, time.Saturday, 0.012, 0.004},
	} {
		p := d.other
		if h, day := at.Hour(), at.Weekday(); h >= d.from && h < d.to && day >= d.first && day <= d.last {
			p = d.often
		}
		if r.Float64() < p {
			b.WriteString(" #" + d.tag)
		}
	}
	if r.Float64() < 0.12 {
		b.WriteString(" @")
		writeName(b, int64(r.IntN(int(m.authors))))
	}
	if r.Float64() < 0.15 {
		b.WriteString(" https://" + [...]string{"news.example", "video.example", "blog.example"}[r.IntN(3)] + "/" + strconv.FormatInt(r.Int64N(1e6), 36))
	}
}

// breakLine spoils a record in one of the ways that real ones come.
func breakLine(line string, r *rand.Rand) string {
	switch r.IntN(5) {
	case 0:
		return line[:len(line)/2] // cut off
	case 1:
		return strings.Replace(line, `"created_at":"`, `"created_at":"not a time `, 1)
	case 2:
		return strings.Replace(line, `{"id":"s`, `{"no_id":"s`, 1)
	case 3:
		return strings.Replace(line, `,"network"`, `,"id":"twice","network"`, 1)
	}
	return `<html>502 Bad Gateway</html>`
}

var (
	nameA = [...]string{"quiet", "brave", "lazy", "sunny", "odd", "blue", "tiny", "wild", "late", "old"}
	nameB = [...]string{"fox", "otter", "baker", "rider", "cloud", "maple", "piano", "harbor", "pixel", "raven"}
)

func writeName(b *strings.Builder, id int64) {
	b.WriteString(nameA[id%10])
	b.WriteByte('_')
	b.WriteString(nameB[id/10%10])
	writeInt(b, id/100)
}

func writeInt(b *strings.Builder, n int64) {
	var buf [20]byte
	b.Write(strconv.AppendInt(buf[:0], n, 10))
}

// writeText writes a JSON string. The simulator's texts hold no control
// characters.
func writeText(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
}
