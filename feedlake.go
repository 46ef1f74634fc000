// Package feedlake holds the words that every stage shares: a post, a record
// that could not be read, a window of time, a place in a source, and the kinds
// of error. It imports only the standard library.
package feedlake

import (
	"errors"
	"fmt"
	"time"
)

// Kinds of post, as stored in raw.posts.kind.
const (
	KindPost    = "post"
	KindReply   = "reply"
	KindRepost  = "repost"
	KindQuote   = "quote"
	KindComment = "comment"
)

// Kinds of deletions that do not name the row of a post. Posts that they are
// about are withdrawn from them (ingest/withdraw).
const (
	KindAccount = "account" // the account AuthorID is gone, and with it every post that was seen before; ID is its address
	KindLocal   = "local"   // the post is named by the number that its server gave it: ID is the server, a colon and the number
)

// Post is one observed version of a post: a row of raw.posts, whatever the
// network. The struct tags are the lake's column names. Empty strings, nil
// slices and nil counts are stored as NULL: absent is never zero.
type Post struct {
	Source          string    `parquet:"source,optional,dict"`                        // name of the configured source, such as "reddit"
	Network         string    `parquet:"network,optional,dict"`                       // platform that gave the ID, such as "x": with it, ID names the post whatever the source; empty: ID is unique within Source alone
	ID              string    `parquet:"id,optional"`                                 // unique within Network, or within Source where no network is known
	URI             string    `parquet:"uri,optional"`                                // global address of the post
	Kind            string    `parquet:"kind,optional,dict"`                          // one of the Kind constants
	AuthorID        string    `parquet:"author_id,optional"`                          // stable id of the author, unique within Source
	AuthorName      string    `parquet:"author_name,optional"`                        // handle as shown
	AuthorFollowers *int64    `parquet:"author_followers,optional"`                   // at the time of observation
	CreatedAt       time.Time `parquet:"created_at,optional,timestamp(microsecond)"`  // UTC, as the network says; every version of a post carries the same value
	ObservedAt      time.Time `parquet:"observed_at,optional,timestamp(microsecond)"` // UTC, when this version was seen; zero (NULL) when the record does not tell, such as in an archive
	Text            string    `parquet:"text,optional"`                               // valid UTF-8
	Lang            string    `parquet:"lang,optional,dict"`                          // as the connector read it; package ingest lands the canonical BCP 47 tag, such as "en-US"; empty when no language is known
	Hashtags        []string  `parquet:"hashtags,optional,list"`                      // without '#'; nil when the network does not list them, empty when it lists none
	Mentions        []string  `parquet:"mentions,optional,list"`                      // without '@'; nil and empty as above
	URLs            []string  `parquet:"urls,optional,list"`                          // nil and empty as above
	ReplyTo         string    `parquet:"reply_to,optional"`                           // ID of the post answered
	RepostOf        string    `parquet:"repost_of,optional"`                          // ID of the post repeated
	QuoteOf         string    `parquet:"quote_of,optional"`                           // ID of the post quoted
	Likes           *int64    `parquet:"likes,optional"`                              //
	Reposts         *int64    `parquet:"reposts,optional"`                            //
	Replies         *int64    `parquet:"replies,optional"`                            //
	Views           *int64    `parquet:"views,optional"`                              //
	Deleted         bool      `parquet:"deleted"`                                     // true: this version says that the post is gone
	Query           string    `parquet:"query,optional,dict"`                         // what was asked of the network: a search, a feed, a file
	Payload         string    `parquet:"payload,optional"`                            // the record as it came, JSON
	RunID           string    `parquet:"run_id,optional,dict"`                        // the run that landed the row
	Seq             int64     `parquet:"seq,optional"`                                // place among the records of the run, from 1: of versions seen at one moment the later wins
	Reading         int64     `parquet:"reading,optional"`                            // how often the source's records were asked for anew (ingest --again) before this one was read; 0 is NULL
}

// Key identifies a post across runs and versions.
func (p *Post) Key() string { return p.Source + "/" + p.ID }

// Own leaves to p what is its own. The reactions that networks show with a repost
// are those of the post that it repeats, so they would count once for each repeat.
func (p *Post) Own() {
	if p.Kind == KindRepost {
		p.Likes, p.Reposts, p.Replies, p.Views = nil, nil, nil, nil
	}
}

// Bounds of a believable creation time: before the first, no network of today
// held posts; a time further ahead than the second of the clock is a fault.
var (
	EarliestCreated = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	LatestAhead     = 48 * time.Hour
)

// Validate reports the first reason why p may not enter the lake, wrapping
// ErrRejected. now is the time of observation.
func (p *Post) Validate(now time.Time) error {
	switch {
	case p.Source == "" || p.ID == "":
		return fmt.Errorf("post without source or id: %w", ErrRejected)
	case p.CreatedAt.IsZero():
		return fmt.Errorf("post %s without creation time: %w", p.Key(), ErrRejected)
	case p.CreatedAt.Before(EarliestCreated) || p.CreatedAt.After(now.Add(LatestAhead)):
		return fmt.Errorf("post %s created at %s, outside %s and now + %s: %w", p.Key(),
			p.CreatedAt.Format(time.RFC3339), EarliestCreated.Format(time.DateOnly), LatestAhead, ErrRejected)
	}
	return nil
}

// Reject is one record that could not be read: a row of raw.rejects. Nothing is
// dropped silently.
type Reject struct {
	Source     string    `parquet:"source,optional,dict"`
	Reason     string    `parquet:"reason,optional"`   // for people: what is wrong
	Payload    string    `parquet:"payload,optional"`  // the record, valid UTF-8, cut at MaxRejectPayload bytes
	Position   string    `parquet:"position,optional"` // where it stands: file:line, or a request and an index
	RejectedAt time.Time `parquet:"rejected_at,optional,timestamp(microsecond)"`
	RunID      string    `parquet:"run_id,optional,dict"`
}

// MaxRejectPayload bounds Reject.Payload, in bytes.
const MaxRejectPayload = 64 << 10

// Cursor marks a place in a source. Only the source reads it; the empty Cursor
// is the beginning.
type Cursor string

// Window is the half-open interval [Start, End). A zero bound is open.
type Window struct{ Start, End time.Time }

// Contains reports whether t lies in w.
func (w Window) Contains(t time.Time) bool {
	return (w.Start.IsZero() || !t.Before(w.Start)) && (w.End.IsZero() || t.Before(w.End))
}

// Kinds of error. Wrap them with %w; callers branch with errors.Is.
var (
	ErrNotFound  = errors.New("not found")
	ErrConflict  = errors.New("lost a commit race")                   // safe to retry after a reload
	ErrUnknown   = errors.New("commit outcome unknown")               // look for the commit id before a retry; delete nothing
	ErrRejected  = errors.New("rejected")                             // bad data, a failed check or gate: never retry
	ErrConfig    = errors.New("configuration not usable")             // the person must change something
	ErrPartial   = errors.New("done in part")                         // what could be done is done; the error says what is missing
	ErrForbidden = errors.New("forbidden by the terms of the source") // a person who has other rights says so in the configuration
	ErrBusy      = errors.New("held by another run")                  // another process holds the lock
)

// Prohibition says that posts of a source may not be used in some way.
type Prohibition struct {
	Source string // as in raw.posts
	Rule   string // for people: what forbids it
}

// RetryError marks Err as worth another try, no sooner than After.
type RetryError struct {
	Err   error
	After time.Duration
}

func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }

// HintError carries the next step for a person; only the CLI prints it.
type HintError struct {
	Err  error
	Hint string
}

func (e *HintError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *HintError) Unwrap() error { return e.Err }

// Hint wraps err with the next step for a person.
func Hint(err error, format string, args ...any) error {
	return &HintError{Err: err, Hint: fmt.Sprintf(format, args...)}
}
