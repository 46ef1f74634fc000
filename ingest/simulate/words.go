package simulate

import (
	"math/rand/v2"
	"strings"
)

// Sentiments, in the order of the words below.
const (
	negative = iota
	neutral
	positive
)

var labels = [...]string{"negative", "neutral", "positive"}

// language is how its speakers say something. In a template %t stands for a
// topic, %p and %n for a word of praise and of blame, %i for an intensifier,
// which may be empty, and %d for a number.
type language struct {
	tag        string
	share      float64
	topics     []string
	praise     []string
	blame      []string
	intensify  []string
	templates  [3][]string
	openers    []string
	ironic     []string // blame in words of praise, or the other way round
	ironicTrue int      // what is meant by ironic
}

var languages = [...]language{
	{
		tag: "en", share: 0.58,
		topics:    []string{"train", "new phone", "coffee at the corner", "match", "festival", "update", "election debate", "museum", "garden", "bus line", "camera", "series", "concert", "library", "market", "bike lane", "app", "airport", "school play", "recipe"},
		praise:    []string{"great", "lovely", "wonderful", "brilliant", "amazing", "fantastic", "helpful", "delightful", "superb", "solid", "fun", "beautiful", "excellent", "smooth", "charming", "perfect", "impressive", "friendly"},
		blame:     []string{"awful", "terrible", "useless", "broken", "disappointing", "horrible", "slow", "rude", "ugly", "pathetic", "annoying", "dreadful", "boring", "messy", "overpriced", "unbearable", "confusing", "dirty"},
		intensify: []string{"", "", "", "so ", "really ", "very ", "absolutely ", "quite ", "just "},
		templates: [3][]string{
			{"the %t was %i%n", "i hate the %t", "so tired of the %t, it is %n", "the %t is not %p at all", "never again: %n %t", "what a %n %t", "the %t let me down again", "they ruined the %t", "%i%n, that %t", "wish the %t were less %n", "another %n day with the %t", "stop pretending the %t is %p"},
			{"the %t opens at %d", "reading about the %t", "is the %t on today?", "%d people at the %t", "just passed the %t", "new report on the %t is out", "the %t moves to hall %d", "waiting for the %t", "does anyone know when the %t starts?", "the %t has %d seats", "photos of the %t from yesterday", "minutes of the meeting about the %t"},
			{"the %t was %i%p", "i love the %t", "so happy with the %t, it is %p", "not %n at all, the %t", "can't recommend the %t enough", "what a %p %t", "the %t made my day", "thanks to everyone behind the %t", "%i%p, that %t", "more of this %p %t please", "the %t keeps getting better", "nothing %n about this %t"},
		},
		openers:    []string{"", "", "", "", "ok ", "honestly ", "well, ", "fyi ", "morning! ", "today: ", "hm, ", "lol "},
		ironic:     []string{"great, the %t is late again", "oh wonderful, the %t broke twice today", "yeah right, a %p %t", "thanks for nothing, %t"},
		ironicTrue: negative,
	},
	{
		tag: "de", share: 0.18,
		topics:    []string{"Bahn", "neue Handy", "Kaffee", "Spiel", "Fest", "Update", "Wahl", "Museum", "Garten", "Buslinie", "Kamera", "Serie", "Konzert", "Markt", "App"},
		praise:    []string{"toll", "wunderbar", "super", "schön", "großartig", "hilfreich", "klasse", "prima", "spannend", "gelungen", "freundlich"},
		blame:     []string{"furchtbar", "schlecht", "kaputt", "langsam", "enttäuschend", "hässlich", "nervig", "langweilig", "teuer", "unfreundlich", "peinlich"},
		intensify: []string{"", "", "", "so ", "sehr ", "wirklich ", "total "},
		templates: [3][]string{
			{"%t war %i%n", "ich hasse %t", "schon wieder %t, %i%n", "%t ist nicht %p", "nie wieder %t", "%t hat mich enttäuscht", "%i%n, dieses Thema %t"},
			{"%t öffnet um %d Uhr", "gerade etwas über %t gelesen", "ist heute %t?", "%d Leute bei %t", "neuer Bericht über %t", "warten auf %t", "wann beginnt %t?"},
			{"%t war %i%p", "ich liebe %t", "so froh über %t, %p", "%t ist gar nicht %n", "%t hat meinen Tag gerettet", "%t kann ich nur empfehlen", "danke an alle hinter %t"},
		},
		openers: []string{"", "", "", "also ", "ehrlich, ", "heute: ", "moin, "},
		ironic:  []string{"na toll, %t ist wieder zu spät", "ach super, %t schon wieder kaputt"}, ironicTrue: negative,
	},
	{
		tag: "es", share: 0.14,
		topics:    []string{"el tren", "el móvil", "el café", "el partido", "la fiesta", "la app", "el museo", "la serie", "el concierto", "el mercado", "la cámara", "el debate"},
		praise:    []string{"genial", "precioso", "estupendo", "fantástico", "increíble", "útil", "divertido", "perfecto", "excelente", "amable"},
		blame:     []string{"horrible", "fatal", "roto", "lento", "decepcionante", "feo", "aburrido", "caro", "inútil", "pésimo"},
		intensify: []string{"", "", "", "muy ", "tan ", "realmente "},
		templates: [3][]string{
			{"%t estuvo %i%n", "odio %t", "otra vez %t, %i%n", "%t no es %p", "nunca más %t", "qué %n %t", "%t me ha decepcionado"},
			{"%t abre a las %d", "leyendo sobre %t", "¿hoy hay %t?", "%d personas en %t", "nuevo informe sobre %t", "esperando %t"},
			{"%t estuvo %i%p", "me encanta %t", "qué %p %t", "%t no es nada %n", "gracias a todos por %t", "recomiendo %t, %i%p"},
		},
		openers: []string{"", "", "", "bueno, ", "oye, ", "hoy: "},
		ironic:  []string{"genial, %t llega tarde otra vez", "qué bien, %t roto de nuevo"}, ironicTrue: negative,
	},
	{
		tag: "fr", share: 0.10,
		topics:    []string{"le train", "le téléphone", "le café", "le match", "la fête", "l'appli", "le musée", "la série", "le concert", "le marché", "le débat"},
		praise:    []string{"génial", "magnifique", "super", "formidable", "agréable", "utile", "parfait", "excellent", "charmant"},
		blame:     []string{"nul", "affreux", "cassé", "lent", "décevant", "moche", "ennuyeux", "cher", "inutile"},
		intensify: []string{"", "", "", "très ", "vraiment ", "trop "},
		templates: [3][]string{
			{"%t était %i%n", "je déteste %t", "encore %t, %i%n", "%t n'est pas %p", "plus jamais %t", "quel dommage, %t est %n"},
			{"%t ouvre à %d h", "je lis un article sur %t", "il y a %t aujourd'hui ?", "%d personnes pour %t", "nouveau rapport sur %t", "on attend %t"},
			{"%t était %i%p", "j'adore %t", "%t n'est pas %n du tout", "merci à tous pour %t", "je recommande %t, %i%p", "%t a sauvé ma journée"},
		},
		openers: []string{"", "", "", "bon, ", "franchement, ", "aujourd'hui : "},
		ironic:  []string{"super, %t encore en retard", "bravo, %t est cassé"}, ironicTrue: negative,
	},
}

// emoji that lean one way; most texts carry none.
var emoji = [3][]string{{"😡", "😞", "🙄", "👎", "😭"}, {"🤔", "📰", "📍", "🕒"}, {"😍", "🎉", "👍", "😊", "❤️"}}

// Shares of texts with something that makes sentiment hard.
const (
	ironicShare = 0.02
	emojiShare  = 0.18
	strayEmoji  = 0.08 // of the emoji: one that leans another way
	shoutShare  = 0.03
)

// say writes a text of the given sentiment.
func (l *language) say(b *strings.Builder, mood int, r *rand.Rand) {
	tmpl := pick(r, l.templates[mood])
	if mood == l.ironicTrue && r.Float64() < ironicShare*3 {
		tmpl = pick(r, l.ironic)
	}
	from := b.Len()
	b.WriteString(pick(r, l.openers))
	l.fill(b, tmpl, r)
	if end := r.IntN(8); end < 3 {
		b.WriteString([...]string{"!", ".", "…"}[end])
	}
	if r.Float64() < shoutShare {
		s := strings.ToUpper(b.String()[from:])
		head := b.String()[:from]
		b.Reset()
		b.WriteString(head)
		b.WriteString(s)
	}
	if r.Float64() < emojiShare {
		lean := mood
		if r.Float64() < strayEmoji {
			lean = r.IntN(3)
		}
		b.WriteByte(' ')
		b.WriteString(pick(r, emoji[lean]))
	}
}

// fill writes a template with its places filled.
func (l *language) fill(b *strings.Builder, tmpl string, r *rand.Rand) {
	for i := 0; i < len(tmpl); i++ {
		if tmpl[i] != '%' || i+1 == len(tmpl) {
			b.WriteByte(tmpl[i])
			continue
		}
		i++
		switch tmpl[i] {
		case 't':
			b.WriteString(pick(r, l.topics))
		case 'p':
			b.WriteString(pick(r, l.praise))
		case 'n':
			b.WriteString(pick(r, l.blame))
		case 'i':
			b.WriteString(pick(r, l.intensify))
		case 'd':
			writeInt(b, int64(1+r.IntN(60)))
		}
	}
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }
