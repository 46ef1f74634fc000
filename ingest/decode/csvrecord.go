package decode

import "bytes"

type csvState int

const (
	csvWhole csvState = iota // a record ends
	csvMore                  // no end yet
	csvOpen                  // no end yet, and a quote is open
	csvStray                 // a closing quote with text behind it
)

// csvRecord finds the end of the first record of w, newline included. A quote
// opens a field only at its begin, as RFC 4180 has it; elsewhere it is text. With
// slash, a quote behind a backslash does not close a field.
func csvRecord(w []byte, comma byte, ended, slash bool) (int, csvState) {
	for i := 0; ; i++ { // i: begin of a field
		if i < len(w) && w[i] == '"' {
			n, state := csvQuoted(w[i+1:], comma, ended, slash)
			if i += 1 + n; state != csvWhole {
				return i, state
			}
		} else {
			for i < len(w) && w[i] != comma && w[i] != '\n' {
				i++
			}
		}
		switch {
		case i >= len(w) && ended:
			return len(w), csvWhole
		case i >= len(w):
			return i, csvMore
		case w[i] == '\n':
			return i + 1, csvWhole
		}
	}
}

// csvQuoted finds the comma or newline behind a quoted field whose text begins
// at w.
func csvQuoted(w []byte, comma byte, ended, slash bool) (int, csvState) {
	for i := 0; ; {
		q := bytes.IndexByte(w[i:], '"')
		if q < 0 {
			return len(w), csvOpen
		}
		escaped := slash && backslashes(w[:i+q])%2 == 1
		i += q + 1
		switch {
		case escaped:
		case i == len(w) && ended:
			return i, csvWhole
		case i == len(w):
			return i, csvMore
		case w[i] == '"':
			i++
		case w[i] == comma || w[i] == '\n':
			return i, csvWhole
		case w[i] == '\r' && i+1 < len(w) && w[i+1] == '\n':
			return i + 1, csvWhole
		case w[i] == '\r' && i+1 == len(w):
			if ended {
				return i + 1, csvWhole
			}
			return i, csvMore
		default:
			return i, csvStray
		}
	}
}

// backslashes counts those at the end of w.
func backslashes(w []byte) int { return len(w) - len(bytes.TrimRight(w, "\\")) }
