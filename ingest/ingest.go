// Package ingest reads posts from the networks and appends them to the lake.
//
// A Source yields pages of posts from a cursor on. Run drains one source into
// raw.posts and raw.rejects: the cursor travels in the same commit as the posts
// that it stands behind, so a crash at any moment neither loses nor repeats a
// record.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
)

// Source is one account, feed, query or set of files that yields posts.
//
// Fetch must be repeatable: the same cursor yields the same data again, or newer
// data. The page belongs to the caller; the source neither reads nor writes it
// after Fetch has returned. One goroutine at a time calls Fetch.
//
// A feedlake.RetryError asks for another try from the same cursor; every other
// error ends the run.
type Source interface {
	Fetch(ctx context.Context, from feedlake.Cursor) (Page, error)
}

// Listener is a Source that hears what nobody tells again, such as a stream. What
// its pages hold is landed before it has waited as long as Flush says, 0 for when
// the run pleases; no page takes longer than half of that to fill. When ctx ends,
// Fetch returns what it has heard, and the error with the next call.
type Listener interface{ Flush() time.Duration }

// DefaultFlush is the Flush of listeners whose configuration says none.
const DefaultFlush = 10 * time.Second

// Page is one answer of a source: some records and the cursor behind them.
type Page struct {
	Posts    []feedlake.Post
	Rejects  []feedlake.Reject // records that could not be read
	Next     feedlake.Cursor   // differs from the cursor of the request, unless the page is empty and Done
	Done     bool              // nothing newer for now
	Covered  feedlake.Window   // of a backfill: the part of its window that was read whole, from one of its ends on, up to Next; zero: not told
	Warning  string            // for people: what seems wrong, though all was read; "" when nothing
	Progress Progress
}

// KeyError says that a key of a source's own configuration cannot be right, by
// what the source found.
type KeyError struct {
	Key string // below the source's "with", such as "map.text"
	Err error
}

// Error says the key and the reason.
func (e *KeyError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *KeyError) Unwrap() error { return e.Err }

// Estimate is what reading a window of a source costs.
type Estimate struct {
	Requests, Posts int64
	Micros          int64         // millionths of a dollar
	Took            time.Duration // waits for limits included
	Exact           bool          // counted by the platform, not reckoned
	Note            string        // for people: what cannot be had
	Unknown         string        // why it is not known, such as "X does not count timelines"; the numbers mean nothing then
}

// Estimator is a Source that can tell what a window costs, with few requests.
type Estimator interface {
	Estimate(ctx context.Context, w feedlake.Window) (Estimate, error)
}

// Merger is a Source whose way to a window costs more than the window's length
// tells: a listing without search by time is gone through from its newest post
// down, whatever the window. A backfill asks it for windows side by side as one,
// when Merges is true.
type Merger interface{ Merges() bool }

// Looker is a Source whose posts can be read once more, when they are older: what
// people think of them shows later. Look returns a source of the posts created in a
// window, or of those among them that are held, by their ids; what suits the
// platform better. A platform that tells neither is feedlake.ErrConfig.
type Looker interface {
	Look(ctx context.Context, w feedlake.Window, ids []string) (Source, error)
}

// Finding is what a look at a credential or a permission found.
type Finding struct {
	What string // "token", "search"
	OK   bool
	Says string // for people: what was seen
	Hint string // what to do when it is not OK
	Down bool   // not OK, but another try may help: no matter of the configuration
	Err  error  // not OK: the error itself, where it says more than Says; may be nil
}

// Found is the finding of a look that gave err, or what says tells. A hint that
// err carries goes before hint.
func Found(what, says string, err error, hint string) Finding {
	if err == nil {
		return Finding{What: what, OK: true, Says: says}
	}
	_, down := errors.AsType[*feedlake.RetryError](err)
	if down {
		hint = "it cannot be reached, or fails for now: look at base_url and at the way to the network, and try again"
	}
	if h, ok := errors.AsType[*feedlake.HintError](err); ok {
		hint = h.Hint
	}
	return Finding{What: what, Says: err.Error(), Hint: hint, Down: down}
}

// Prober is a Source that can try its credential and permissions.
type Prober interface {
	Probe(ctx context.Context) []Finding
}

// Progress says how far a source has come, for people.
type Progress struct {
	Done, Total int64  // Total 0: unknown
	Unit        string // "bytes" or "posts"
	Place       string // the file, feed or query now read
}

// Env is what every source gets beside its own configuration.
type Env struct {
	Name string           // the configured name; the default of Post.Source
	Base string           // folder that relative paths start from
	Now  func() time.Time // the clock
	Log  *slog.Logger

	// For sources that ask an API.
	Credential string                                     // who asks; all jobs of one credential share its pace and budget
	Secrets    Decoder                                    // fills a platform's own struct with the credential's keys
	Meter      Meter                                      // counts what the credential uses
	HTTP       *http.Client                               // reaches the network
	Sleep      func(context.Context, time.Duration) error // waits for a limit; a timer when nil
	Window     feedlake.Window                            // a backfill's slice: posts created in it, once, and nothing else; zero: follow the source
	Holdings   Holdings                                   // what the lake holds by now; nil: not known
}

// Holdings tells what the lake holds of a source, for those that ask whether it is
// still there. Ids come in ascending order, as strings, and lie above after.
type Holdings interface {
	PostIDs(ctx context.Context, source, after string) iter.Seq2[string, error]   // of posts that are not deleted
	AuthorIDs(ctx context.Context, source, after string) iter.Seq2[string, error] // of their authors
}

// Decoder fills v from a source's "with" block and refuses unknown keys.
type Decoder func(v any) error

// Factory opens a source.
type Factory func(ctx context.Context, env Env, with Decoder) (Source, error)

// Registry maps a kind of source to its factory. It is a value that the program
// builds; there is no global one.
type Registry map[string]Factory

// Add registers open under kind. C is the source's own configuration struct,
// decoded strictly. Two sources of one kind are a programmer's mistake: Add
// panics.
func Add[C any](r Registry, kind string, open func(context.Context, Env, C) (Source, error)) {
	if _, ok := r[kind]; ok {
		panic("ingest: two sources of kind " + kind)
	}
	r[kind] = func(ctx context.Context, env Env, with Decoder) (Source, error) {
		var c C
		if err := with(&c); err != nil {
			return nil, fmt.Errorf("source %s: %w", env.Name, err)
		}
		s, err := open(ctx, env, c)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", env.Name, err)
		}
		return s, nil
	}
}

// Kinds lists the registered kinds, sorted.
func (r Registry) Kinds() []string {
	kinds := make([]string, 0, len(r))
	for k := range r {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}

// Open opens a source of the given kind. An unknown kind wraps
// feedlake.ErrConfig.
func (r Registry) Open(ctx context.Context, kind string, env Env, with Decoder) (Source, error) {
	f, ok := r[kind]
	if !ok {
		return nil, feedlake.Hint(fmt.Errorf("source %s: kind %q: %w", env.Name, kind, feedlake.ErrConfig), "known kinds: %v", r.Kinds())
	}
	return f(ctx, env, with)
}

// Secret is a configured password or key. It prints as "***" wherever a value
// is shown; Reveal gives the text to the client that needs it.
type Secret string

// String hides the secret.
func (Secret) String() string { return "***" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return `"***"` }

// LogValue hides the secret from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// MarshalText hides the secret from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }
