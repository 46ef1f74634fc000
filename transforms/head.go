package transforms

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/feedlake/feedlake"
)

// headKeys are the keys that a head may have; "column" carries a name too.
func headKeys() []string {
	return []string{"model", "about", "inputs", "partition", "key", "grows", "additive", "column", "check"}
}

// head is the parser's state: where it is, and what it has seen.
type head struct {
	model Model
	file  string
	line  int
	seen  map[string]int // key to line
}

// ParseModel reads a model file: a head of "-- key: value" lines up to the
// first line of another form, and one SELECT. An error names file and line,
// wraps feedlake.ErrConfig and carries a hint.
func ParseModel(file string, text []byte) (Model, error) {
	lines := strings.Split(strings.ReplaceAll(strings.TrimPrefix(string(text), "\ufeff"), "\r\n", "\n"), "\n")
	h := head{model: Model{File: file, Columns: map[string]string{}}, file: file, seen: map[string]int{}}
	h.model.Grows = ByPartition
	n := 0
	for n < len(lines) && strings.TrimSpace(lines[n]) == "" {
		n++
	}
	for n < len(lines) && strings.HasPrefix(lines[n], "--") {
		h.line = n + 1
		if err := h.parseLine(lines[n]); err != nil {
			return Model{}, err
		}
		n++
	}
	h.model.Line = n + 1
	h.model.SQL = strings.TrimRight(strings.Join(lines[n:], "\n"), " \t\n")
	if err := h.finish(); err != nil {
		return Model{}, err
	}
	h.model.Hash = h.model.hash(nil)
	return h.model, nil
}

// fail makes the error of the present line.
func (h *head) fail(hint, format string, args ...any) error {
	return feedlake.Hint(fmt.Errorf("%s:%d: %s: %w", h.file, h.line, fmt.Sprintf(format, args...), feedlake.ErrConfig), "%s", hint)
}

func (h *head) parseLine(line string) error {
	body := strings.TrimSpace(strings.TrimPrefix(line, "--"))
	key, value, ok := strings.Cut(body, ":")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	word, name, _ := strings.Cut(key, " ")
	if !ok || !slices.Contains(headKeys(), word) || (name != "") != (word == "column") {
		return h.fail("the head's lines are '-- key: value' with one of the keys model, about, inputs, partition, key, grows, additive, 'column <name>', check; "+
			"an empty line ends the head", "head key %q is not known", key)
	}
	if value == "" {
		return h.fail("write what belongs after the colon, or leave the line out", "head key %q has no value", key)
	}
	if before, twice := h.seen[key]; twice && word != "check" {
		return h.fail(fmt.Sprintf("it stands on line %d already; keep one", before), "head key %q stands twice", key)
	}
	h.seen[key] = h.line
	switch word {
	case "model":
		return h.parseName(value)
	case "about":
		h.model.About = value
	case "inputs":
		return h.parseInputs(value)
	case "partition":
		return h.parseColumns(value, &h.model.Partition)
	case "key":
		return h.parseColumns(value, &h.model.Key)
	case "grows":
		return h.parseGrowth(value)
	case "additive":
		return h.parseColumns(value, &h.model.Additive)
	case "column":
		return h.parseDoc(strings.TrimSpace(name), value)
	case "check":
		c, hint := parseCheck(value)
		if hint != "" {
			return h.fail(hint, "check %q is not understood", value)
		}
		c.Line = h.line
		h.model.Checks = append(h.model.Checks, c)
	}
	return nil
}

// isName reports whether s is a plain lower-case identifier, which no engine
// needs quoted.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return s != ""
}

// isTable reports whether s is "namespace.name".
func isTable(s string) bool {
	space, name, ok := strings.Cut(s, ".")
	return ok && isName(space) && isName(name)
}

func (h *head) parseName(value string) error {
	if !isTable(value) {
		return h.fail("write it as namespace.name in lower case, such as features.posts", "model name %q is not a table name", value)
	}
	h.model.Name = value
	return nil
}

func (h *head) parseInputs(value string) error {
	const hint = "write the tables with commas between them, each with an optional look-back: features.entities back=28d, " +
		"or the word lookup or living"
	for item := range strings.SplitSeq(value, ",") {
		words := strings.Fields(item)
		if len(words) == 0 || len(words) > 2 || !isTable(words[0]) {
			return h.fail(hint, "input %q is not understood", strings.TrimSpace(item))
		}
		in := Input{Table: words[0]}
		if slices.ContainsFunc(h.model.Inputs, func(o Input) bool { return o.Table == in.Table }) {
			return h.fail(hint, "input %s stands twice", in.Table)
		}
		switch {
		case len(words) == 2 && words[1] == "lookup":
			in.Lookup = true
		case len(words) == 2 && words[1] == "living":
			in.Living = true
		case len(words) == 2:
			days, ok := strings.CutPrefix(words[1], "back=")
			n, err := strconv.Atoi(strings.TrimSuffix(days, "d"))
			if !ok || err != nil || n < 1 || n > maxBack || !strings.HasSuffix(days, "d") {
				return h.fail(fmt.Sprintf("the look-back is whole days, 1 to %d, such as back=28d", maxBack), "input %q: look-back %q is not understood", words[0], words[1])
			}
			in.Back = n
		}
		h.model.Inputs = append(h.model.Inputs, in)
	}
	return nil
}

// parseGrowth reads what new input rows cost the model.
func (h *head) parseGrowth(value string) error {
	g := Growth(value)
	if !slices.Contains([]Growth{ByPartition, ByRows, ByHours}, g) {
		return h.fail("write rows (a row depends on its own input row), hours (on the input rows of its hour) or partition (on all of its partition)",
			"growth %q is not known", value)
	}
	h.model.Grows = g
	return nil
}

// maxBack bounds a look-back, in days.
const maxBack = 3660

func (h *head) parseColumns(value string, to *[]string) error {
	cols, hint := splitColumns(value)
	if hint != "" {
		return h.fail(hint, "columns %q are not understood", value)
	}
	*to = cols
	return nil
}

// splitColumns reads "a, b"; hint says what is wrong.
func splitColumns(value string) (cols []string, hint string) {
	for item := range strings.SplitSeq(value, ",") {
		item = strings.TrimSpace(item)
		if !isName(item) {
			return nil, "write column names in lower case with commas between them"
		}
		if slices.Contains(cols, item) {
			return nil, fmt.Sprintf("name the column %s once", item)
		}
		cols = append(cols, item)
	}
	return cols, ""
}

func (h *head) parseDoc(name, value string) error {
	if !isName(name) {
		return h.fail("write '-- column name: what it means (unit)'", "column %q is not a column name", name)
	}
	h.model.Columns[name] = value
	h.model.Order = append(h.model.Order, name)
	return nil
}

// finish checks what only the whole file shows.
func (h *head) finish() error {
	m := &h.model
	h.line = 1
	for _, need := range []struct{ key, hint string }{
		{"model", "begin the file with '-- model: namespace.name', the table that it makes"},
		{"inputs", "add '-- inputs: …' with the tables that the SELECT reads"},
		{"key", "add '-- key: …' with the columns that identify a row"},
	} {
		if h.seen[need.key] == 0 {
			return h.fail(need.hint, "the head has no %q", need.key)
		}
	}
	for _, in := range m.Inputs {
		if in.Back > 0 && !slices.Contains(m.Partition, dayColumn) {
			h.line = h.seen["inputs"]
			return h.fail("partition the model by day, or leave the look-back out", "input %s has a look-back, but the model has no partition by day", in.Table)
		}
	}
	if err := h.documented(); err != nil {
		return err
	}
	return h.checkSQL()
}

// documented holds the columns that the head uses against those that it
// documents, where it documents any.
func (h *head) documented() error {
	m := &h.model
	if len(m.Order) == 0 {
		return nil
	}
	use := func(line int, what string, cols []string) error {
		for _, c := range cols {
			if _, ok := m.Columns[c]; !ok {
				h.line = line
				return h.fail(fmt.Sprintf("add '-- column %s: …', or correct the name", c), "%s column %q is not documented", what, c)
			}
		}
		return nil
	}
	if err := use(h.seen["partition"], "partition", m.Partition); err != nil {
		return err
	}
	if err := use(h.seen["key"], "key", m.Key); err != nil {
		return err
	}
	if err := use(h.seen["additive"], "additive", m.Additive); err != nil {
		return err
	}
	for _, c := range m.Checks {
		if err := use(c.Line, "check", c.Columns); err != nil {
			return err
		}
	}
	return nil
}

// checkSQL wants one SELECT, without a semicolon: engines wrap it.
func (h *head) checkSQL() error {
	bare := blank(h.model.SQL)
	words := strings.Fields(bare)
	h.line = h.model.Line
	if len(words) == 0 {
		return h.fail("add the SELECT after the head", "the file has no SQL")
	}
	if first := strings.ToLower(words[0]); first != "select" && first != "with" {
		return h.fail("a model is one SELECT, with its WITH before it", "SQL begins with %q", words[0])
	}
	if before, _, ok := strings.Cut(bare, ";"); ok {
		h.line += strings.Count(before, "\n")
		return h.fail("a model is one SELECT without a semicolon", "semicolon in the SQL")
	}
	return nil
}

// blank replaces comments, literals and quoted names by spaces, keeping lines.
func blank(sql string) string {
	out := []byte(sql)
	for i := 0; i < len(out); {
		end := i + skip(sql[i:])
		for ; i < end; i++ {
			if out[i] != '\n' {
				out[i] = ' '
			}
		}
		if i < len(out) && skip(sql[i:]) == 0 {
			i++
		}
	}
	return string(out)
}

// skip returns the length of the comment, literal or quoted name at the start
// of s; 0 when there is none. One that does not end reaches to the end of s.
func skip(s string) int {
	var end string
	switch {
	case strings.HasPrefix(s, "--"):
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			return i
		}
		return len(s)
	case strings.HasPrefix(s, "/*"):
		end = "*/"
	case strings.HasPrefix(s, "'"):
		end = "'"
	case strings.HasPrefix(s, `"`):
		end = `"`
	case strings.HasPrefix(s, "`"):
		end = "`"
	default:
		return 0
	}
	open := len(end)
	if i := strings.Index(s[open:], end); i >= 0 {
		return open + i + len(end)
	}
	return len(s)
}
