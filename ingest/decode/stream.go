package decode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/text/transform"
)

// stream is a text seen through a window. It knows the place of the window's
// start.
type stream struct {
	in    Input
	src   io.Reader
	max   int // longest record
	block int // the window is filled so far before records are cut from it; it grows to max

	buf    []byte
	r, w   int
	offset int64 // of buf[r] in the text
	line   int64 // that buf[r] stands in, from 1
	err    error // why src gives no more; io.EOF at its end
}

func newStream(in Input, f Format) *stream {
	s := &stream{in: in, src: in.Src, max: f.MaxRecord, block: in.Block, line: 1}
	if in.Window != nil {
		s.buf = (*in.Window)[:cap(*in.Window)]
	}
	if cs := f.charset(); cs != nil {
		s.src = transform.NewReader(s.src, cs)
	} else if f.Name != BSON {
		s.src = &marked{r: s.src}
	}
	return s
}

// fault is one of the disk or the network.
func (s *stream) fault() error {
	if s.in.Fault == nil {
		return nil
	}
	return s.in.Fault()
}

// window is what is read and not consumed yet.
func (s *stream) window() []byte { return s.buf[s.r:s.w] }

// ended reports that no more will come behind the window.
func (s *stream) ended() bool { return s.err != nil }

// fill reads until the window holds want bytes or the source ends. It returns an
// error only for a fault of the disk, the network or ctx.
func (s *stream) fill(ctx context.Context, want int) error {
	for s.w-s.r < want && s.err == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.room(want + s.block)
		n, err := s.src.Read(s.buf[s.w:min(len(s.buf), s.r+want)])
		s.w += n
		s.err = err
	}
	return s.fault()
}

// more makes the window longer than it is.
func (s *stream) more(ctx context.Context) error {
	return s.fill(ctx, max(s.block, 2*(s.w-s.r)))
}

// room makes place behind the window for want bytes in all.
func (s *stream) room(want int) {
	if s.r > 0 && len(s.buf)-s.r < want {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
	if len(s.buf) < want {
		s.buf = append(s.buf, make([]byte, want-len(s.buf))...)
		if s.in.Window != nil {
			*s.in.Window = s.buf
		}
	}
	if s.w == len(s.buf) {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
}

// enough reports that a record which ends at end belongs to the next block. Where
// blocks end thus follows from the text alone, not from how it was read.
func (s *stream) enough(have, end int) bool { return have > 0 && end > s.block }

// advance consumes n bytes, and returns how many lines end in them.
func (s *stream) advance(n int) (lines int) {
	b := s.buf[s.r : s.r+n]
	if s.in.Tap != nil {
		s.in.Tap.Hear(b)
	}
	lines = bytes.Count(b, []byte{'\n'})
	s.line += int64(lines)
	s.offset += int64(n)
	s.r += n
	return lines
}

// Place implements Cutter.
func (s *stream) Place() int64 { return s.offset }

// seek consumes everything up to a place where reading was left.
func (s *stream) seek(ctx context.Context, offset int64) error {
	if err := s.jump(offset); err != nil {
		return err
	}
	for s.offset < offset {
		if err := s.fill(ctx, s.block); err != nil {
			return err
		}
		if s.w == s.r {
			return ErrReplaced
		}
		s.advance(int(min(int64(s.w-s.r), offset-s.offset)))
	}
	if offset > 0 && s.offset != offset {
		return ErrReplaced
	}
	return nil
}

// jump leaves out what stands far before a place, where bytes of the text are those of
// Src.
func (s *stream) jump(offset int64) error {
	plain, ok := s.src.(*marked)
	if s.in.Jump == nil || offset == 0 || !ok {
		return nil
	}
	if plain.begin(); plain.utf16 {
		return nil
	}
	at, line, err := s.in.Jump()
	if err != nil || at == 0 {
		return err
	}
	s.src, s.r, s.w, s.offset, s.line, s.err = s.in.Src, 0, 0, at, line, nil
	return nil
}

// damage says why the text ends before its time; "" when it ends as it should.
func (s *stream) damage() string {
	switch {
	case s.err == nil, errors.Is(s.err, io.EOF):
		return ""
	case errors.Is(s.err, io.ErrUnexpectedEOF):
		return fmt.Sprintf("file is truncated: its %s data ends too early", s.in.Packed())
	case s.over() != nil:
		return "file is not read on: " + s.over().Error()
	}
	return fmt.Sprintf("file is damaged: %v", s.err)
}

// over says which bound ended the text; nil: none did.
func (s *stream) over() *OverError {
	over, _ := errors.AsType[*OverError](s.err)
	return over
}

// rest says when what stands behind the damage will be read.
func (s *stream) rest() string {
	if o := s.over(); o != nil && o.Key != "" {
		return "the rest is read once " + o.Key + " is raised"
	}
	return "the rest is read when the file changes"
}

// skip consumes up to and with the next newline, however far it is, and returns
// how much stood before it.
func (s *stream) skip(ctx context.Context) (int64, error) {
	begin := s.offset
	for {
		if err := s.fill(ctx, s.block); err != nil {
			return 0, err
		}
		w := s.window()
		if i := bytes.IndexByte(w, '\n'); i >= 0 {
			s.advance(i + 1)
			return s.offset - begin - 1, nil
		}
		s.advance(len(w))
		if s.ended() {
			return s.offset - begin, nil
		}
	}
}

// at spells the place of the window's start.
func (s *stream) at() string { return position(s.in.Name, s.line, s.offset) }

// position spells a place: file:line, and the byte in the unpacked file. Files
// without lines have line 0.
func position(name string, line, offset int64) string {
	if line == 0 {
		return fmt.Sprintf("%s (byte %d)", name, offset)
	}
	return fmt.Sprintf("%s:%d (byte %d)", name, line, offset)
}
