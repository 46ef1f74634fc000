package files

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/mapping"
	"github.com/feedlake/feedlake/ingest/wire"
)

// page collects the records of one Fetch.
type page struct {
	posts   []feedlake.Post
	rejects []feedlake.Reject
	bytes   int
	now     time.Time
	limits  limits
}

func (p *page) full() bool {
	return p.bytes >= p.limits.bytes || len(p.posts)+len(p.rejects) >= p.limits.records
}

// records turns the records of one file into posts or rejects.
type records struct {
	file    string
	log     *slog.Logger
	decoder *mapping.Decoder
	paths   map[string]string // what the mapping reads, by path: the column
	shape   *shape            // instead of the mapping
	network string            // of mapped posts
	batch   wire.Batch        // room for what shape finds
}

// add decodes one record of a text file.
func (r *records) add(p *page, record string, line, offset int64) {
	if idAlone(record) {
		r.reject(p, "an id alone: there is nothing to land; look the posts up first, as a source of kind x in mode lookup with ids_file does", record, r.at(line, offset))
		return
	}
	if r.shape != nil {
		r.decodeShape(p, record, r.at(line, offset))
		return
	}
	r.land(p, record, r.at(line, offset))
}

// land decodes a record by the mapping. A reject also says which values were left
// out of a post that landed.
func (r *records) land(p *page, record, position string) {
	if reason := r.decode(p, record); reason != "" {
		r.reject(p, reason, record, position)
		return
	}
	if notes := r.decoder.Notes(); len(notes) > 0 {
		post := &p.posts[len(p.posts)-1]
		r.reject(p, fmt.Sprintf("%s; the post %s landed without it", strings.Join(notes, "; "), post.ID), record, position)
	}
}

// idAlone reports whether a record is no more than a long number, bare or quoted,
// as in data sets that are shared without their posts.
func idAlone(record string) bool {
	n := strings.Trim(record, `"`)
	return len(n) >= 8 && len(n) <= 20 && strings.Trim(n, "0123456789") == ""
}

// decode adds a record to the posts, or returns why it is none.
func (r *records) decode(p *page, record string) (reason string) {
	p.bytes += len(record)
	p.posts = append(p.posts, feedlake.Post{})
	post := &p.posts[len(p.posts)-1]
	err := r.decoder.Decode(record, p.now, post)
	if err == nil {
		if post.Query == "" {
			post.Query = r.file
		}
		post.Network = r.network
		observed(post, p.now)
		return ""
	}
	p.posts = p.posts[:len(p.posts)-1]
	reason = ingest.Reason(err)
	if !utf8.ValidString(record) {
		reason += "; a file in another encoding than UTF-8 needs one declared, such as \"encoding: latin-1\""
	}
	return reason
}

func (r *records) reject(p *page, reason, payload, position string) {
	payload = ingest.CutPayload(payload)
	p.bytes += len(payload)
	p.rejects = append(p.rejects, feedlake.Reject{Reason: reason, Payload: payload, Position: position, RejectedAt: p.now})
}

// at spells a place: file:line, and the byte in the unpacked file. Files without
// lines have line 0.
func (r *records) at(line, offset int64) string {
	if line == 0 {
		return fmt.Sprintf("%s (byte %d)", r.file, offset)
	}
	return fmt.Sprintf("%s:%d (byte %d)", r.file, line, offset)
}
