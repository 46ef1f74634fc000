package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
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

// Erasures reads what was taken down, from ops.erasures and from what is kept
// beside the tables; nil while nothing ever was. The two are made equal to what
// outlives a lost catalog: rows that stand in the table alone are written down
// beside it.
func (l *Lake) Erasures(ctx context.Context) (*Erasures, error) {
	table, beside, err := l.bothErasures(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.keepErasures(ctx, missingErasures(table, beside)); err != nil {
		return nil, err
	}
	if len(table)+len(beside) == 0 {
		return nil, nil //nolint:nilnil // nothing was taken down
	}
	e := &Erasures{hashes: map[erasureKey]bool{}}
	for _, r := range slices.Concat(table, beside) {
		e.hashes[erasureKey{r.Kind, r.Hash}] = true
	}
	return e, nil
}

// bothErasures reads what ops.erasures holds, and what is kept beside the tables.
func (l *Lake) bothErasures(ctx context.Context) (table, beside []Erasure, err error) {
	if table, err = l.tableErasures(ctx); err != nil {
		return nil, nil, err
	}
	beside, err = l.keptErasures(ctx)
	return table, beside, err
}

// tableErasures reads ops.erasures.
func (l *Lake) tableErasures(ctx context.Context) ([]Erasure, error) {
	name := Erased().Name
	cur, err := l.Current(ctx, name)
	if errors.Is(err, feedlake.ErrNotFound) || err == nil && cur.ID == 0 {
		return nil, nil
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
	var out []Erasure
	for _, f := range files {
		err := withFile(fsys, l.store.location(f.Path), func(r iceio.File, size int64) error {
			rows, err := parquet.Read[Erasure](r, size)
			out = append(out, rows...)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return out, nil
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

// AddErasures notes what was taken down, beside the tables first and then in
// ops.erasures, without what stands there, and says how many rows were new.
func (l *Lake) AddErasures(ctx context.Context, list []Erasure) (int, error) {
	table, beside, err := l.bothErasures(ctx)
	if err != nil {
		return 0, err
	}
	if err := l.keepErasures(ctx, missingErasures(slices.Concat(table, list), beside)); err != nil {
		return 0, err
	}
	return l.commitErasures(ctx, missingErasures(list, table))
}

// bringErasures brings back into ops.erasures what is kept beside the tables, and
// says how many rows that were.
func (l *Lake) bringErasures(ctx context.Context) (int, error) {
	beside, err := l.keptErasures(ctx)
	if err != nil || len(beside) == 0 {
		return 0, err
	}
	if err := l.Ensure(ctx, Erased()); err != nil {
		return 0, err
	}
	return l.AddErasures(ctx, beside)
}

// missingErasures lists the rows of a that b lacks, each once.
func missingErasures(a, b []Erasure) []Erasure {
	seen := map[erasureKey]bool{}
	for _, r := range b {
		seen[erasureKey{r.Kind, r.Hash}] = true
	}
	var out []Erasure
	for _, r := range a {
		if k := (erasureKey{r.Kind, r.Hash}); !seen[k] {
			seen[k] = true
			out = append(out, r)
		}
	}
	return out
}

// commitErasures adds rows to ops.erasures.
func (l *Lake) commitErasures(ctx context.Context, rows []Erasure) (int, error) {
	if len(rows) == 0 {
		return 0, nil
	}
	name := Erased().Name
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

// erasuresFolder holds, in the warehouse, files of rows of ops.erasures. They
// are written once and outlive the catalog: a table that comes back from older
// metadata must not bring back what was taken down.
const erasuresFolder = ownFolder + "/erasures"

// keepErasures writes rows down beside the tables.
func (l *Lake) keepErasures(ctx context.Context, rows []Erasure) error {
	if len(rows) == 0 {
		return nil
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("keep what is erased: %w", err)
	}
	sum := sha256.Sum256(text)
	name := erasuresFolder + "/" + hex.EncodeToString(sum[:]) + ".json"
	err = l.ic("create", name, func() error { return l.store.notes().write(ctx, name, text, false) })
	if err != nil {
		return fmt.Errorf("keep what is erased: %w", err)
	}
	return nil
}

// keptErasures reads what is kept beside the tables.
func (l *Lake) keptErasures(ctx context.Context) ([]Erasure, error) {
	n := l.store.notes()
	names, err := n.list(ctx, erasuresFolder)
	if err != nil {
		return nil, fmt.Errorf("read what is erased: %w", err)
	}
	names = slices.DeleteFunc(names, func(s string) bool { return strings.HasPrefix(s, ".") || !strings.HasSuffix(s, ".json") })
	lists := make([][]Erasure, len(names))
	err = parallel(ctx, len(names), func(i int) error {
		text, err := n.read(ctx, erasuresFolder+"/"+names[i])
		if err == nil {
			err = json.Unmarshal(text, &lists[i])
		}
		if err != nil {
			return fmt.Errorf("read what is erased: %s: %w", names[i], err)
		}
		return nil
	})
	return slices.Concat(lists...), err
}
