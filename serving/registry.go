package serving

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/feedlake/feedlake"
)

// Env is what every publisher gets beside its own configuration.
type Env struct {
	Name    string // the configured name
	Base    string // folder that relative paths start from
	Memory  string // bound of a DuckDB that it opens, such as "500MB"; "" leaves DuckDB's default
	Threads int    // of such a DuckDB; 0: one per core
	Log     *slog.Logger
}

// Decoder fills v from the keys of a publisher's configuration and refuses
// unknown ones.
type Decoder func(v any) error

// Factory makes a publisher; it does not connect.
type Factory func(env Env, with Decoder) (Publisher, error)

// Registry maps a kind of publisher to its factory. It is a value that the
// program builds; there is no global one.
type Registry map[string]Factory

// Add registers open under kind. C is the publisher's own configuration struct,
// decoded strictly. Two publishers of one kind are a programmer's mistake: Add
// panics.
func Add[C any](r Registry, kind string, open func(Env, C) (Publisher, error)) {
	if _, ok := r[kind]; ok {
		panic("serving: two publishers of kind " + kind)
	}
	r[kind] = func(env Env, with Decoder) (Publisher, error) {
		var c C
		if err := with(&c); err != nil {
			return nil, err
		}
		return open(env, c)
	}
}

// Kinds lists the registered kinds, sorted.
func (r Registry) Kinds() []string { return slices.Sorted(maps.Keys(r)) }

// Open makes a publisher of the given kind. An unknown kind wraps
// feedlake.ErrConfig.
func (r Registry) Open(kind string, env Env, with Decoder) (Publisher, error) {
	f, ok := r[kind]
	if !ok {
		return nil, feedlake.Hint(fmt.Errorf("kind %q: %w", kind, feedlake.ErrConfig), "known kinds: %v", r.Kinds())
	}
	return f(env, with)
}

// Scrubber is a Publisher that keeps the bytes of rows that were replaced until it
// is asked to let go of them.
type Scrubber interface{ Scrub(context.Context) error }

// Folder is a Publisher that writes files: it names the folder.
type Folder interface{ Folder() string }
