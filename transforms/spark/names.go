package spark

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/feedlake/feedlake/transforms"
)

// names maps the input tables of one run to the temporary views that stand for
// them. Spark's temporary views have names of one part, "raw.posts" has two: so
// the model's text is given `raw.posts#7`, a quoted name of one part, in its
// place. The number keeps runs of one session apart.
type names struct {
	suffix string
	views  map[string]string // table to quoted view
}

func newNames(inputs []transforms.Input, run int64) names {
	n := names{suffix: fmt.Sprintf("#%d", run), views: map[string]string{}}
	for _, in := range inputs {
		n.views[in.Table] = "`" + in.Table + n.suffix + "`"
	}
	return n
}

// restore takes the numbers out of a message again.
func (n names) restore(msg string) string { return strings.ReplaceAll(msg, n.suffix+"`", "`") }

// tokens are what SQL is made of, as far as names are concerned: comments,
// literals and quoted names, which stay as they are, then chains of names parted
// by dots, numbers, and everything else sign by sign.
var tokens = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|` + "`[^`]*`" +
	`|[\pL_][\pL\pN_]*(?:\s*\.\s*[\pL_][\pL\pN_]*)*|\pN[\pL\pN_.]*|.`)

// replace puts the views into a text. A chain such as raw.posts.id keeps what
// comes after the table. Lines stay lines.
func (n names) replace(sql string) string {
	return tokens.ReplaceAllStringFunc(sql, func(token string) string {
		parts := strings.SplitN(token, ".", 3)
		if len(parts) < 2 {
			return token
		}
		table := strings.ToLower(strings.TrimSpace(parts[0]) + "." + strings.TrimSpace(parts[1]))
		view, ok := n.views[table]
		if !ok {
			return token
		}
		rest := ""
		if len(parts) == 3 {
			rest = "." + parts[2]
		}
		blank := strings.Repeat("\n", strings.Count(parts[0]+parts[1], "\n"))
		return view + blank + rest
	})
}
