package erasure

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// Target is a post or an author that has to go.
type Target struct {
	Kind, Source, ID string
}

func (t Target) String() string { return t.Kind + " " + t.Source + "/" + t.ID }

// hash is what is kept of the target.
func (t Target) hash() string { return lake.ErasedHash(t.Source, t.ID) }

// ParseTarget reads SOURCE/ID; the id may hold slashes itself.
func ParseTarget(kind, text string) (Target, error) {
	source, id, ok := strings.Cut(strings.TrimSpace(text), "/")
	if !ok || source == "" || id == "" || !utf8.ValidString(text) {
		return Target{}, fmt.Errorf("%s: want SOURCE/ID, the columns source and id (of an author: author_id) of raw.posts", kind)
	}
	return Target{kind, source, id}, nil
}

// WithCopies adds, for each target, the same of every other source of its network.
func WithCopies(targets []Target, networks map[string]string) []Target {
	out := slices.Clone(targets)
	for _, t := range targets {
		for source, network := range networks {
			if source != t.Source && network == networks[t.Source] {
				out = append(out, Target{t.Kind, source, t.ID})
			}
		}
	}
	return Tidy(out)
}

// maxTargetLine bounds a line of a file of targets, in bytes.
const maxTargetLine = 64 << 10

// ReadTargets reads lines "post SOURCE/ID" and "author SOURCE/ID"; empty lines
// and those that begin with # are skipped. Every bad line is in the error.
func ReadTargets(r io.Reader, name string) ([]Target, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxTargetLine)
	var out []Target
	var bad []error
	line := 0
	for sc.Scan() {
		line++
		text := strings.TrimSpace(strings.TrimPrefix(sc.Text(), "\ufeff"))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		kind, rest, _ := strings.Cut(text, " ")
		if kind != lake.ErasedPost && kind != lake.ErasedAuthor {
			bad = append(bad, fmt.Errorf("%s:%d: want post SOURCE/ID or author SOURCE/ID", name, line))
			continue
		}
		t, err := ParseTarget(kind, rest)
		if err != nil {
			bad = append(bad, fmt.Errorf("%s:%d: %w", name, line, err))
			continue
		}
		out = append(out, t)
	}
	if err := sc.Err(); err != nil {
		bad = append(bad, fmt.Errorf("%s:%d: %w", name, line+1, err))
	}
	if len(bad) > 0 {
		return nil, feedlake.Hint(fmt.Errorf("%w: %w", errors.Join(bad...), feedlake.ErrConfig), "nothing was erased; correct the file and run again")
	}
	return out, nil
}

// Tidy sorts targets and drops those that stand there twice.
func Tidy(list []Target) []Target {
	slices.SortFunc(list, func(a, b Target) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(list)
}

// requestOf names a set of targets, the same for the same set.
func requestOf(list []Target) string {
	h := sha256.New()
	for _, t := range list {
		_, _ = fmt.Fprintf(h, "%s %s\n", t.Kind, t.hash())
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
