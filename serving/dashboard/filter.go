package dashboard

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// filter is what a reader narrowed the numbers to. Empty means all.
type filter struct {
	Source string
	Lang   string
	From   string // first UTC day
	To     string // last UTC day, included
	Limit  int    // rows of a list

	columns map[string][]lake.Column // of the tables that are asked
}

// badRequest is a parameter that cannot be used, with the next step.
type badRequest struct{ message, hint string }

func (e *badRequest) Error() string { return e.message }

const (
	maxValue     = 256 // bytes of a source or language
	defaultLimit = 25
	maxLimit     = 200
)

// parseFilter reads the query of a request; names are the parameters that it
// may have beside the four of every request.
func parseFilter(q url.Values, names ...string) (filter, error) {
	f := filter{Limit: defaultLimit}
	names = append([]string{"source", "lang", "from", "to"}, names...)
	for name, values := range q {
		if !slices.Contains(names, name) {
			return f, &badRequest{fmt.Sprintf("unknown parameter %q", name), "known here: " + strings.Join(names, ", ")}
		}
		if len(values) > 1 {
			return f, &badRequest{fmt.Sprintf("parameter %s is given %d times", name, len(values)), "give it once"}
		}
	}
	f.Source, f.Lang, f.From, f.To = q.Get("source"), q.Get("lang"), q.Get("from"), q.Get("to")
	for name, v := range map[string]string{"source": f.Source, "lang": f.Lang} {
		if len(v) > maxValue || !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
			return f, &badRequest{fmt.Sprintf("parameter %s is no name", name), "take one of /api/filters"}
		}
	}
	if err := checkDays(f.From, f.To); err != nil {
		return f, err
	}
	return f, f.readLimit(q.Get("limit"))
}

func checkDays(from, to string) error {
	for _, p := range [][2]string{{"from", from}, {"to", to}} {
		if _, err := time.Parse(time.DateOnly, p[1]); p[1] != "" && err != nil {
			return &badRequest{fmt.Sprintf("parameter %s: %.40q is no day", p[0], p[1]), "write a UTC day such as 2016-10-06"}
		}
	}
	if from != "" && to != "" && to < from {
		return &badRequest{fmt.Sprintf("to %s is before from %s", to, from), "both days are included; swap them"}
	}
	return nil
}

func (f *filter) readLimit(s string) error {
	if s == "" {
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxLimit {
		return &badRequest{fmt.Sprintf("parameter limit: %.40q is no number of rows", s), fmt.Sprintf("from 1 to %d", maxLimit)}
	}
	f.Limit = n
	return nil
}

// totals spells the filter for sums over the rows of a mart: over all sources
// together a post that two of them bring counts once. A mart that was built before
// copies were known has all rows.
func (f filter) totals(table string, more ...string) string {
	if f.Source == "" && hasColumn(f.columns[table], "copy") {
		more = append(more, "NOT coalesce(copy, false)")
	}
	return f.where(true, more...)
}

// where spells the filter as a WHERE clause over a mart, with the values as
// literals so that the text can be run elsewhere as it is. hasLang says that
// the mart is split by language. more are further conditions.
func (f filter) where(hasLang bool, more ...string) string {
	var terms []string
	if f.From != "" {
		terms = append(terms, "day >= DATE "+query.Quote(f.From))
	}
	if f.To != "" {
		terms = append(terms, "day <= DATE "+query.Quote(f.To))
	}
	if f.Source != "" {
		terms = append(terms, "source = "+query.Quote(f.Source))
	}
	if f.Lang != "" && hasLang {
		terms = append(terms, "lang = "+query.Quote(f.Lang))
	}
	terms = append(terms, more...)
	if len(terms) == 0 {
		return ""
	}
	return "\nWHERE " + strings.Join(terms, "\n  AND ")
}
