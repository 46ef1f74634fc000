package telegram

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Unroll reads a result.json as lines, each a message with its chat, in little
// memory: the file of an account is one document of all its chats. A message of
// more than most bytes ends it.
func Unroll(r io.Reader, most int64) io.Reader {
	l := &allowance{r: r}
	return &unroller{d: json.NewDecoder(l), allow: l, most: most}
}

// unroller walks the document token by token.
type unroller struct {
	d     *json.Decoder
	allow *allowance
	most  int64
	stack []frame
	out   []byte
	begun bool // a list of messages was found
	err   error
}

// frame is an object or an array that the walk is in.
type frame struct {
	object   bool
	messages bool                       // an array of messages
	key      string                     // of the value at hand; "" before a key
	head     map[string]json.RawMessage // what an object tells of itself
}

// deepest bounds the stack.
const deepest = 1000

func (u *unroller) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		u.allow.left = u.most
		u.err = u.step()
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *unroller) top() *frame {
	if len(u.stack) == 0 {
		return &frame{}
	}
	return &u.stack[len(u.stack)-1]
}

// step goes on by a token or a message.
func (u *unroller) step() error {
	top := u.top()
	if top.messages && u.d.More() {
		return u.message(top)
	}
	t, err := u.d.Token()
	if err != nil {
		return u.end(err)
	}
	switch t {
	case json.Delim('{'), json.Delim('['):
		next := frame{object: t == json.Delim('{'), head: map[string]json.RawMessage{}}
		if !next.object && top.object && top.key == "messages" {
			next.messages, next.head, u.begun = true, top.head, true
		}
		if len(u.stack) >= deepest {
			return errors.New("nested too deep")
		}
		top.key = ""
		u.stack = append(u.stack, next)
	case json.Delim('}'), json.Delim(']'):
		u.stack = u.stack[:len(u.stack)-1]
	default:
		u.value(top, t)
	}
	return nil
}

// value takes a key or a value that is no object and no array.
func (u *unroller) value(top *frame, t json.Token) {
	switch {
	case !top.object:
	case top.key == "":
		if key, ok := t.(string); ok {
			top.key = key
		}
	default:
		if top.key == "id" || top.key == "name" || top.key == "type" {
			if raw, err := json.Marshal(t); err == nil {
				top.head[top.key] = raw
			}
		}
		top.key = ""
	}
}

func (u *unroller) message(top *frame) error {
	var raw json.RawMessage
	if err := u.d.Decode(&raw); err != nil {
		return u.end(err)
	}
	line, err := json.Marshal(struct {
		Chat    map[string]json.RawMessage `json:"chat"`
		Message json.RawMessage            `json:"message"`
	}{top.head, raw})
	u.out = append(line, '\n')
	return err
}

// end is why the document ends here.
func (u *unroller) end(err error) error {
	switch {
	case errors.Is(err, errAllowance):
		return fmt.Errorf("a part of more than %d bytes, max_record_bytes", u.most)
	case errors.Is(err, io.EOF) && len(u.stack) > 0:
		return io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF) && !u.begun:
		return errors.New("no export of Telegram: it holds no list of messages")
	}
	return err
}

var errAllowance = errors.New("too long")

// allowance is a reader that gives so many bytes until it is allowed more.
type allowance struct {
	r    io.Reader
	left int64
}

func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, errAllowance
	}
	n, err := a.r.Read(p[:min(int64(len(p)), max(a.left, 512))])
	a.left -= int64(n)
	return n, err
}
