package main

import (
	"bufio"
	"context"
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

// eraseTarget is a post or an author that has to go.
type eraseTarget struct {
	kind, source, id string
}

func (t eraseTarget) String() string { return t.kind + " " + t.source + "/" + t.id }

// hash is what is kept of the target.
func (t eraseTarget) hash() string { return lake.ErasedHash(t.source, t.id) }

// parseTarget reads SOURCE/ID; the id may hold slashes itself.
func parseTarget(kind, text string) (eraseTarget, error) {
	source, id, ok := strings.Cut(strings.TrimSpace(text), "/")
	if !ok || source == "" || id == "" || !utf8.ValidString(text) {
		return eraseTarget{}, fmt.Errorf("%s: want SOURCE/ID, the columns source and id (of an author: author_id) of raw.posts", kind)
	}
	return eraseTarget{kind, source, id}, nil
}

// hide spells targets as the lake does, where it holds pseudonyms; those that
// are pseudonyms already stay.
func (c *config) hide(targets []eraseTarget) ([]eraseTarget, error) {
	p, err := c.pseudonyms()
	if err != nil {
		return nil, err
	}
	out := slices.Clone(targets)
	for i, t := range out {
		if t.kind == lake.ErasedAuthor {
			out[i].id = p.Of(t.source, t.id)
		} else {
			out[i].id = p.OfPost(t.source, t.id)
		}
	}
	return tidyTargets(out), nil
}

// networks tells, of each source that the lake knows, the platform whose ids its
// posts carry.
func (a *app) networks(ctx context.Context) (map[string]string, error) {
	m, err := a.lake.Properties(ctx, lake.RawPosts().Name, lake.PropertyNetwork)
	if errors.Is(err, feedlake.ErrNotFound) {
		return nil, nil //nolint:nilnil // nothing has landed
	}
	return m, err
}

// withCopies adds, for each target, the same of every other source of its network.
func withCopies(targets []eraseTarget, networks map[string]string) []eraseTarget {
	out := slices.Clone(targets)
	for _, t := range targets {
		for source, network := range networks {
			if source != t.source && network == networks[t.source] {
				out = append(out, eraseTarget{t.kind, source, t.id})
			}
		}
	}
	return tidyTargets(out)
}

// maxTargetLine bounds a line of a file of targets, in bytes.
const maxTargetLine = 64 << 10

// readTargets reads lines "post SOURCE/ID" and "author SOURCE/ID"; empty lines
// and those that begin with # are skipped. Every bad line is in the error.
func readTargets(r io.Reader, name string) ([]eraseTarget, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxTargetLine)
	var out []eraseTarget
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
		t, err := parseTarget(kind, rest)
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

// tidyTargets sorts targets and drops those that stand there twice.
func tidyTargets(list []eraseTarget) []eraseTarget {
	slices.SortFunc(list, func(a, b eraseTarget) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(list)
}

// requestOf names a set of targets, the same for the same set.
func requestOf(list []eraseTarget) string {
	h := sha256.New()
	for _, t := range list {
		_, _ = fmt.Fprintf(h, "%s %s\n", t.kind, t.hash())
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
