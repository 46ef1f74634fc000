package decode

import (
	"bytes"
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// marked reads text as UTF-8 that may be UTF-16: then it begins with a byte order
// mark, as what spreadsheets call Unicode.
type marked struct {
	r     io.Reader
	begun bool
	utf16 bool
}

func (m *marked) Read(p []byte) (int, error) {
	m.begin()
	return m.r.Read(p)
}

// begin finds out what the text is.
func (m *marked) begin() {
	if m.begun {
		return
	}
	m.begun = true
	head, rest := make([]byte, 0, 2), m.r
	for len(head) < cap(head) {
		n, err := m.r.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		if err != nil {
			rest = failing{err}
			break
		}
	}
	m.r = io.MultiReader(bytes.NewReader(head), rest)
	if string(head) == "\xff\xfe" || string(head) == "\xfe\xff" {
		m.utf16 = true
		m.r = transform.NewReader(m.r, unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder())
	}
}

// failing is a reader that cannot be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
