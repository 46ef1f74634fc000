package transforms

import (
	"regexp"
	"slices"
	"strings"
)

// shape reads a SELECT for what it makes of several rows together. A model whose
// rows depend only on the input rows with the same values in some columns, its
// unit, may look at several rows only where these columns tell them apart: in a
// GROUP BY, a PARTITION BY, a DISTINCT or a join that names all of them. It is a
// guard against heads that say what the SELECT does not do, not a proof of SQL:
// enginetest.Growth holds the rows themselves against it.
type shape struct {
	unit    []string // columns
	lookups []string // tables whose rows may be joined to any row
	tokens  []token
	faults  []shapeFault
}

// shapeFault is a place that looks at rows of several units.
type shapeFault struct {
	at   int // byte of the SELECT
	what string
}

// token is a word or a sign of a SELECT, in lower case.
type token struct {
	text string
	at   int
}

var words = regexp.MustCompile(`[a-z_][a-z0-9_.]*|[0-9][0-9a-z.]*|[^\s]`)

// shapeFaults lists the places of a SELECT that look at rows of several units.
func shapeFaults(sql string, unit, lookups []string) []shapeFault {
	s := shape{unit: unit, lookups: lookups}
	bare := strings.ToLower(blank(sql))
	for _, at := range words.FindAllStringIndex(bare, -1) {
		s.tokens = append(s.tokens, token{bare[at[0]:at[1]], at[0]})
	}
	s.query(0)
	return s.faults
}

func (s *shape) fault(i int, what string) {
	s.faults = append(s.faults, shapeFault{s.tokens[min(i, len(s.tokens)-1)].at, what})
}

// is reports whether token i is one of the words.
func (s *shape) is(i int, words ...string) bool {
	return i >= 0 && i < len(s.tokens) && slices.Contains(words, s.tokens[i].text)
}

// query reads from token i to the end of its query, and returns the place of the
// parenthesis that closes it, or the end.
func (s *shape) query(i int) int {
	depth, summed, grouped, from := 0, -1, false, false
	arm := func() {
		if summed >= 0 && !grouped {
			s.fault(summed, "an aggregate without GROUP BY")
		}
		summed, grouped, from = -1, false, false
	}
	for ; i < len(s.tokens); i++ {
		switch t := s.tokens[i].text; {
		case t == "(" && s.is(i+1, "select", "with"):
			if !s.is(i-1, "from", "join", "as", "all", "(") {
				s.fault(i, "a subquery in an expression")
			}
			i = s.query(i + 1)
		case t == "(":
			depth++
		case t == ")" && depth == 0:
			arm()
			return i
		case t == ")":
			depth--
		case slices.Contains(aggregates, t) && s.is(i+1, "("):
			if !s.is(s.closing(i+1)+1, "over") {
				summed = i
			}
		case t == "over":
			s.window(i)
		case t == "distinct":
			s.distinct(i)
		case depth > 0: // the rest stands in clauses, not in expressions
		case t == "union":
			if !s.is(i+1, "all") {
				s.fault(i, "a UNION that drops rows which are alike")
			}
			arm()
		case t == "from":
			from = true
		case t == "where":
			from = false
		case t == "," && from:
			s.fault(i, "a join of all rows")
		case t == "group":
			grouped, from = true, false
			s.names(i+2, "GROUP BY")
		case t == "join":
			s.join(i)
		case slices.Contains(wholes, t):
			s.fault(i, strings.ToUpper(t))
		}
	}
	arm()
	return i
}

// aggregates are functions that make one value of many rows.
var aggregates = strings.Fields(`count sum min max avg mean median mode any_value first last max_by min_by arg_max arg_min
	collect_list collect_set array_agg string_agg listagg list histogram approx_count_distinct approx_percentile percentile percentile_cont
	percentile_disc percentile_approx quantile quantile_cont quantile_disc stddev stddev_pop stddev_samp var_pop var_samp variance corr
	covar_pop covar_samp skewness kurtosis bool_and bool_or every some bit_and bit_or bit_xor product count_if`)

// wholes are clauses that no row can answer by itself.
var wholes = strings.Fields("limit offset qualify intersect except minus cross natural pivot unpivot tablesample lateral semi anti full right")

// closing finds the parenthesis that closes the one at i.
func (s *shape) closing(i int) int {
	depth := 0
	for ; i < len(s.tokens); i++ {
		if s.is(i, "(") {
			depth++
		}
		if s.is(i, ")") {
			if depth--; depth == 0 {
				break
			}
		}
	}
	return i
}

// clauses are the words that end a list of columns or a condition.
var clauses = strings.Fields(") from where group having order union window left right inner full join cross semi anti limit qualify rows range")

// until returns the tokens from i on to the next clause of the same query.
func (s *shape) until(i int) (list []string) {
	for depth := 0; i < len(s.tokens); i++ {
		if depth == 0 && s.is(i, clauses...) {
			break
		}
		if s.is(i, "(") {
			depth++
		}
		if s.is(i, ")") {
			depth--
		}
		list = append(list, s.tokens[i].text)
	}
	return list
}

// column is a name without the table before it.
func column(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// names wants the whole unit among the columns of a list.
func (s *shape) names(i int, clause string) {
	var have []string
	for _, t := range s.until(i) {
		have = append(have, column(t))
	}
	for _, u := range s.unit {
		if !slices.Contains(have, u) {
			s.fault(i-1, "a "+clause+" without "+u)
		}
	}
}

func (s *shape) window(i int) {
	if !s.is(i+1, "(") || !s.is(i+2, "partition") {
		s.fault(i, "a window over all rows")
		return
	}
	s.names(i+4, "PARTITION BY")
}

// distinct tells SELECT DISTINCT from the aggregates' word and from the comparison.
func (s *shape) distinct(i int) {
	switch {
	case s.is(i-1, "select"):
		s.names(i+1, "DISTINCT")
	case s.is(i-1, "(") || s.is(i-1, "is", "not") && s.is(i+1, "from"):
	default:
		s.fault(i, "a DISTINCT")
	}
}

// join wants the unit to be the same on both sides.
func (s *shape) join(i int) {
	if i+1 < len(s.tokens) && slices.Contains(s.lookups, s.tokens[i+1].text) {
		return
	}
	if s.is(i+1, "(") {
		i = s.closing(i + 1)
	}
	for i < len(s.tokens) && !s.is(i, "on", "using") {
		if s.is(i, "where", "group") {
			break
		}
		i++
	}
	if s.is(i, "using") {
		s.names(i+2, "USING")
		return
	}
	cond := s.until(i + 1)
	if slices.Contains(cond, "or") {
		s.fault(i, "a join with OR")
	}
	for _, u := range s.unit {
		same := false
		for k := 1; k+1 < len(cond); k++ {
			same = same || cond[k] == "=" && column(cond[k-1]) == u && column(cond[k+1]) == u && cond[k-1] != cond[k+1]
		}
		if !same {
			s.fault(i, "a join without equal "+u)
		}
	}
}
