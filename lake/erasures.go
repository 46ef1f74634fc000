package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake"
)

// Kinds of what is taken down, as stored in ops.erasures.kind.
const (
	ErasedPost   = "post"   // one post of a source
	ErasedAuthor = "author" // every post of an author of a source
	ErasedLabel  = "label"  // one labelled text; its source is the data set
)

// ErasedHash is what ops.erasures holds in place of an id: the SHA-256 of
// source, NUL and id, in hex.
func ErasedHash(source, id string) string {
	sum := sha256.Sum256([]byte(source + "\x00" + id))
	return hex.EncodeToString(sum[:])
}

// Erasure is a row of ops.erasures.
type Erasure struct {
	Kind   string    `parquet:"kind,optional,dict"` // one of the Erased constants
	Source string    `parquet:"source,optional,dict"`
	Hash   string    `parquet:"hash,optional"` // see ErasedHash
	At     time.Time `parquet:"at,optional,timestamp(microsecond)"`
	RunID  string    `parquet:"run_id,optional,dict"`
}

type erasureKey struct{ kind, hash string }

// Erasures is the content of ops.erasures. A nil Erasures is empty.
type Erasures struct{ hashes map[erasureKey]bool }

// Erasures reads ops.erasures; nil while nothing was ever taken down.
func (l *Lake) Erasures(ctx context.Context) (*Erasures, error) {
	name := Erased().Name
	cur, err := l.Current(ctx, name)
	if errors.Is(err, feedlake.ErrNotFound) || err == nil && cur.ID == 0 {
		return nil, nil //nolint:nilnil // nothing was taken down
	}
	if err != nil {
		return nil, err
	}
	files, err := l.Files(ctx, name, cur.ID)
	if err != nil {
		return nil, err
	}
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return nil, err
	}
	fsys, err := t.FS(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	e := &Erasures{hashes: map[erasureKey]bool{}}
	for _, f := range files {
		err := withFile(fsys, l.store.location(f.Path), func(r iceio.File, size int64) error {
			rows, err := parquet.Read[Erasure](r, size)
			for _, row := range rows {
				e.hashes[erasureKey{row.Kind, row.Hash}] = true
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return e, nil
}

// Len counts what was taken down.
func (e *Erasures) Len() int {
	if e == nil {
		return 0
	}
	return len(e.hashes)
}

func (e *Erasures) has(kind, source, id string) bool {
	return e.Len() > 0 && id != "" && e.hashes[erasureKey{kind, ErasedHash(source, id)}]
}

// ErasedOf stands in place of a source where something was taken down of a whole
// network: whatever source brings it, it may not enter.
func ErasedOf(network string) string { return "network:" + network }

// Post reports whether a post was taken down, whose it is or whom it repeats.
func (e *Erasures) Post(p *feedlake.Post) bool {
	if e.Len() == 0 {
		return false
	}
	for _, of := range scopes(p) {
		if e.has(ErasedPost, of, p.ID) || e.has(ErasedAuthor, of, p.AuthorID) || e.has(ErasedPost, of, p.RepostOf) {
			return true
		}
	}
	return false
}

// scopes lists where the ids of a post may have been taken down: in its source,
// and in all of its network.
func scopes(p *feedlake.Post) []string {
	if p.Network == "" {
		return []string{p.Source}
	}
	return []string{p.Source, ErasedOf(p.Network)}
}

// Strip takes out of a post which post that was taken down it quotes or answers,
// and with that its record, which may hold a copy.
func (e *Erasures) Strip(p *feedlake.Post) {
	if e.Len() == 0 {
		return
	}
	for _, ref := range []*string{&p.QuoteOf, &p.ReplyTo} {
		for _, of := range scopes(p) {
			if e.has(ErasedPost, of, *ref) {
				*ref, p.Payload = "", ""
			}
		}
	}
}

// Label reports whether a labelled text of a data set was taken down.
func (e *Erasures) Label(dataset, id string) bool { return e.has(ErasedLabel, dataset, id) }

// Mentions reports whether a text, such as a record that could not be read,
// holds the id of a post or an author of the source that was taken down; see
// IDWords.
func (e *Erasures) Mentions(source, text string) bool {
	if e.Len() == 0 {
		return false
	}
	for word := range IDWords(text) {
		if e.has(ErasedPost, source, word) || e.has(ErasedAuthor, source, word) {
			return true
		}
	}
	return false
}

// IDWords yields what may be an id in a text: values of JSON and CSV, words, and
// the last parts of addresses and of key:value.
func IDWords(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for word := range strings.FieldsFuncSeq(text, endsWord) {
			word = strings.Trim(word, ":")
			if !yield(word) {
				return
			}
			for _, sep := range []string{"/", ":"} {
				if i := strings.LastIndex(word, sep); i >= 0 && !yield(word[i+1:]) {
					return
				}
			}
		}
	}
}

// endsWord tells the characters that part values in JSON, CSV and messages. The
// colon and the slash are part of ids such as at://did:plc:x/app.bsky.feed.post/y.
func endsWord(r rune) bool { return strings.ContainsRune(" \t\r\n\"'`,;|{}[]()<>=\\", r) }

// AddErasures adds rows to ops.erasures, without those that stand there, and
// says how many were new.
func (l *Lake) AddErasures(ctx context.Context, list []Erasure) (int, error) {
	name := Erased().Name
	have, err := l.Erasures(ctx)
	if err != nil {
		return 0, err
	}
	seen := map[erasureKey]bool{}
	var rows []Erasure
	for _, r := range list {
		k := erasureKey{r.Kind, r.Hash}
		if !seen[k] && (have == nil || !have.hashes[k]) {
			seen[k] = true
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return 0, nil
	}
	path, err := WriteRows(ctx, l, name, "", rows)
	if err != nil {
		return 0, err
	}
	_, err = l.Commit(ctx, Commit{Table: name, ID: "erasures " + path, Add: []string{path}, Summary: map[string]string{SummaryRunID: rows[0].RunID}})
	if err != nil {
		return 0, fmt.Errorf("record what is erased: %w", err)
	}
	return len(rows), nil
}
