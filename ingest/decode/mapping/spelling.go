package mapping

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// bare takes off what spreadsheets put around a number or a time to keep it a
// text: ="…" and a leading apostrophe.
func bare(s string) string {
	if in, ok := strings.CutPrefix(s, `="`); ok && strings.HasSuffix(in, `"`) {
		return in[:len(in)-1]
	}
	if in, ok := strings.CutPrefix(s, "'"); ok && in != "" {
		return in
	}
	return s
}

// surelyExact is how many digits every program that takes ids for numbers keeps:
// those of a float. Spreadsheets show no more than sheetDigits before they round.
const (
	surelyExact = 15
	sheetDigits = 11
)

// ident spells an id in one way, however a program wrote it as a number: 100000.0,
// 1.0e5 and 100000 are one. One that may have lost digits is a reject.
func ident(v value) (string, error) {
	s := v.text
	if v.kind == isText {
		s = bare(strings.TrimSpace(s))
	}
	if s == "" || s[0] != '-' && s[0] != '+' && s[0] != '.' && (s[0] < '0' || s[0] > '9') || isDigits(s) {
		return s, nil // no number, or one as it should be
	}
	whole, exp, power := cutByte(s, "eE")
	digits, fraction, dot := cutByte(whole, ".")
	negative := strings.HasPrefix(digits, "-")
	digits = strings.TrimLeft(digits, "+-")
	n, err := strconv.Atoi(strings.TrimPrefix(exp, "+"))
	switch {
	case !dot && !power, !isDigits(digits), fraction != "" && !isDigits(fraction), power && err != nil:
		return s, nil // no number, or one as it should be
	case power && !dot && v.kind == isText && !strings.ContainsAny(exp, "+-"): // 1e5 is an id of Reddit
		return s, nil
	case power && (n < 0 || n > 400):
		return "", reject("the id %s is no whole number", clip(s))
	}
	significant := strings.TrimRight(fraction, "0")
	switch size := len(digits) + n; {
	case len(significant) > n && power:
		return "", reject("the id %s is no whole number", clip(s))
	case len(significant) > n:
		return s, nil // 2.10 may be an id
	case power && size > sheetDigits && len(digits)+len(fraction) < size, size > surelyExact:
		return "", reject("the id %s was written as a number, and has lost digits: export ids as text", clip(s))
	}
	out := strings.TrimLeft(digits+significant+strings.Repeat("0", n-len(significant)), "0")
	if out == "" {
		out = "0"
	}
	if negative {
		out = "-" + out
	}
	return out, nil
}

// cutByte cuts s at the first of some characters.
func cutByte(s, chars string) (before, after string, found bool) {
	i := strings.IndexAny(s, chars)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// listOf reads a text that spells a list, in JSON or as Python prints it, or that
// spells nothing; false for every other text.
func listOf(s string) (value, bool) {
	s = strings.TrimSpace(s)
	switch s {
	case "None", "nan", "NaN", "null", "NULL":
		return value{}, true
	}
	if len(s) < 2 || s[0] != '[' || s[len(s)-1] != ']' {
		return value{}, false
	}
	if !scan.Valid(s) {
		if s = pythonJSON(s); !scan.Valid(s) {
			return value{}, false
		}
	}
	return value{isList, s}, true
}

// pythonJSON spells what Python prints of lists, dictionaries, texts and numbers
// as JSON. What it does not know stays, and is no JSON.
func pythonJSON(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\'' || c == '"':
			text, n := pythonText(s[i:])
			out.Write(gjson.AppendJSONString(nil, text))
			i += n
		case strings.HasPrefix(s[i:], "None"):
			out.WriteString("null")
			i += len("None")
		case strings.HasPrefix(s[i:], "True"):
			out.WriteString("true")
			i += len("True")
		case strings.HasPrefix(s[i:], "False"):
			out.WriteString("false")
			i += len("False")
		default:
			out.WriteByte(c)
			i++
		}
	}
	return out.String()
}

// pythonText reads a quoted text of Python, and how long it is.
func pythonText(s string) (text string, length int) {
	var out strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return out.String(), i + 1
		case s[i] != '\\' || i+1 == len(s):
			out.WriteByte(s[i])
			continue
		}
		r, _, rest, err := strconv.UnquoteChar(s[i:], s[0])
		if err != nil { // an escape of neither language, which means itself
			out.WriteByte(s[i])
			continue
		}
		out.WriteRune(r)
		i = len(s) - len(rest) - 1
	}
	return out.String(), len(s)
}
