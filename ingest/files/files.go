// Package files reads posts from files: NDJSON, JSON, CSV, Parquet and BSON, plain
// or compressed, on the local disk or in an S3 bucket, through a declared mapping
// or in the form that a platform gives its archives.
//
// Files are read once. A file that grew is read on from where it ended, one that
// was replaced is read again, and new files are found whenever they arrive.
package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/decode"
	"github.com/feedlake/feedlake/ingest/decode/mapping"
	"github.com/feedlake/feedlake/ingest/rounds"
)

// Kind names the source in configurations.
const Kind = "files"

// Config is the "with" block of a source of files.
type Config struct {
	Path        string                   `yaml:"path"`        // glob, ** for any depth; relative to the configuration; or s3://bucket/glob
	Format      string                   `yaml:"format"`      // ndjson, json, csv, parquet or bson; by extension when absent
	Compression string                   `yaml:"compression"` // none, gz or zst; by extension when absent
	Members     mapping.Formats          `yaml:"members"`     // globs of the files to read in archives (.zip, .tar, .tar.gz …); those of the shape, or of a known format, when absent
	Shape       string                   `yaml:"shape"`       // of an archive's records, such as hackernews; instead of map
	Map         map[string]mapping.Field `yaml:"map"`         // columns of a post to fields of a record
	Unescape    []string                 `yaml:"unescape_html"`
	Network     string                   `yaml:"network"`          // with map: the platform whose ids the posts have, such as x; none when absent
	Records     string                   `yaml:"records"`          // JSON: path to the list of records in a document, such as orderedItems or data.children
	Encoding    string                   `yaml:"encoding"`         // utf-8 (default), utf-16, utf-16le, utf-16be, latin-1, windows-1252 or macintosh; UTF-16 with its mark is found out
	Delimiter   string                   `yaml:"delimiter"`        // CSV: one character, comma when absent; "tab" too
	Escape      string                   `yaml:"escape"`           // CSV: quote or backslash, before a quote in a quoted field; told by the file when absent
	Columns     []string                 `yaml:"columns"`          // CSV: names of the columns of files without a header
	MaxRecord   int                      `yaml:"max_record_bytes"` // longer records are rejected; 8 MiB when absent
	MaxWindow   int64                    `yaml:"max_window_bytes"` // of compressed files, which reading them may take in memory; 256 MiB when absent
	S3          *S3Config                `yaml:"s3"`
}

// S3Config says how to reach the bucket of an s3:// path.
type S3Config struct {
	Endpoint  string        `yaml:"endpoint"` // http://host:port or https://host
	Key       string        `yaml:"key"`      // absent: what the machine has (environment, profile, role), or anonymous
	Secret    ingest.Secret `yaml:"secret"`
	Region    string        `yaml:"region"`
	PathStyle bool          `yaml:"path_style"` // bucket in the path instead of the host, as MinIO wants it
}

// limits bound a page, which ends with the first block that reaches one, and the
// block that text files are read by.
type limits struct{ bytes, records, block int }

func usualLimits() limits { return limits{bytes: 2 << 20, records: 8192, block: 512 << 10} }

// Register adds the source to r.
func Register(r ingest.Registry) { ingest.Add(r, Kind, Open) }

// Open checks the configuration and returns the source. Files are not touched
// yet. Errors wrap feedlake.ErrConfig.
func Open(_ context.Context, env ingest.Env, c Config) (ingest.Source, error) {
	if c.Path == "" {
		return nil, feedlake.Hint(fmt.Errorf("path: missing: %w", feedlake.ErrConfig), "say which files to read, such as \"path: data/**/*.ndjson.gz\"")
	}
	if err := c.checkBounds(); err != nil {
		return nil, err
	}
	if err := c.checkNames(); err != nil {
		return nil, err
	}
	s := &source{env: env, cfg: c, limits: usualLimits()}
	var err error
	s.rules, err = decode.Compile(decode.Config{Source: env.Name, Shape: c.Shape, Map: c.Map, UnescapeHTML: c.Unescape, Network: c.Network})
	if err != nil {
		return nil, err
	}
	if c.Shape != "" && (c.Format == decode.CSV || c.Format == decode.Parquet) {
		return nil, feedlake.Hint(fmt.Errorf("shape with format %s: %w", c.Format, feedlake.ErrConfig), "shapes are for ndjson and json; map the columns of others")
	}
	s.decoders.New = func() any { return s.rules.Decoder() }
	if s.store, err = newStore(env.Base, c); err != nil {
		return nil, err
	}
	s.archives = &packed{store: s.store, cfg: c}
	return s, nil
}

// Rereads reports that files can be read again: they lie where they lay.
func (s *source) Rereads() bool { return true }

// source is the open source. Between two calls of Fetch it keeps the file being
// read, so that reading on needs no search for the place.
type source struct {
	env      ingest.Env
	cfg      Config
	limits   limits
	rules    *decode.Rules
	decoders sync.Pool // of *decode.Decoder
	store    store
	archives *packed // of store
	window   []byte  // of the file read last, for the next

	at     feedlake.Cursor // the place behind the last page; the fields below belong to it
	pass   bool            // files were listed and are being read
	state  state
	todo   []object
	open   *openFile
	listed int   // files of the pass
	done   int64 // compressed bytes of the files read to their end in this pass
	total  int64

	refused string // the archive of the member that was last not read because of a bound, or not at all
	failed  unreadable
	end     rounds.End
	judged  bool   // the mapping was compared with the files
	warning string // what seems wrong with it
}

// object is a file that the path names.
type object struct {
	name string // as shown to people
	id   string // as kept in the cursor: the name below the folder that the path begins with
	key  string // as the store knows it
	size int64
	mark string // changes whenever the content may have

	member *member // of the archive that holds it; nil: it is a file of its own
	end    bool    // stands for an archive whose members were read before
	fault  string  // why the rest of the archive cannot be read
}

// store is where files lie.
type store interface {
	list(ctx context.Context) ([]object, error)
	open(ctx context.Context, o object) (io.ReadCloser, error)
	// random opens a file for reading at any place; S3 objects are fetched first.
	random(ctx context.Context, o object) (randomFile, error)
}

type randomFile interface {
	io.ReaderAt
	io.Reader
	io.Seeker
	io.Closer
}

// Fetch reads the next page.
func (s *source) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	c, err := s.Cut(ctx, from)
	return c.Whole(err)
}

// Cut implements ingest.Cutter.
func (s *source) Cut(ctx context.Context, from feedlake.Cursor) (ingest.Cut, error) {
	if err := s.end.Due(from); err != nil {
		return ingest.Cut{}, err
	}
	c, err := s.cut(ctx, from)
	ended := err == nil && c.Done
	if ended {
		c.Page, err = s.end.Page(from, c.Page, s.failed.err(s.listed))
	}
	if err != nil || ended {
		err = errors.Join(err, s.forget())
	}
	if err != nil {
		return ingest.Cut{}, err
	}
	s.at = c.Next
	return c, nil
}

func (s *source) cut(ctx context.Context, from feedlake.Cursor) (ingest.Cut, error) {
	if !s.pass || from != s.at {
		if err := s.start(ctx, from); err != nil {
			return ingest.Cut{}, err
		}
	}
	p := &page{limits: s.limits}
	place := ""
	for !p.full() && (s.open != nil || len(s.todo) > 0) {
		if err := ctx.Err(); err != nil {
			return ingest.Cut{}, err
		}
		if s.open == nil {
			o := s.todo[0]
			if err := s.next(ctx); err != nil && !s.passOver(ctx, o, err) {
				return ingest.Cut{}, err
			}
			continue
		}
		place = s.open.name
		if err := s.readOn(ctx, p); err != nil && !s.passOver(ctx, s.open.object, err) {
			return ingest.Cut{}, err
		}
	}
	out := ingest.Cut{Page: ingest.Page{Next: from, Done: s.open == nil && len(s.todo) == 0}, Bytes: p.bytes, Decode: p.decode(&s.decoders, s.env.Now().UTC())}
	if s.state.changed {
		out.Next = s.state.cursor()
	}
	out.Warning = s.warning
	out.Progress = ingest.Progress{Done: s.done, Total: s.total, Unit: "bytes", Place: place}
	if s.open != nil {
		out.Progress.Done += s.open.bytesRead()
	}
	return out, nil
}

// start lists the files and finds those with something new behind the cursor.
func (s *source) start(ctx context.Context, from feedlake.Cursor) error {
	if err := s.forget(); err != nil {
		return err
	}
	st, err := parseCursor(from)
	if err != nil {
		return err
	}
	all, err := s.store.list(ctx)
	if err != nil {
		return err
	}
	s.state, s.failed, s.listed = st, nil, len(all)
	whole, err := s.expand(ctx, all, true)
	if err != nil {
		return err
	}
	s.state.prune(slices.Concat(all, whole))
	for _, o := range whole {
		if !s.state.finished(o, s.cfg.MaxWindow) {
			s.todo = append(s.todo, o)
			s.total += o.size
		}
	}
	if !s.judged && len(s.todo) > 0 {
		if s.warning, err = s.judge(ctx, whole, from == ""); err != nil {
			return err
		}
		s.judged = true
	}
	s.pass = true
	s.env.Log.DebugContext(ctx, "files listed", "source", s.env.Name, "files", len(all), "to_read", len(s.todo))
	return nil
}

// forget closes what is open; the next Fetch starts a new pass.
func (s *source) forget() error {
	var err error
	if s.open != nil {
		err = s.open.close()
	}
	s.open, s.todo, s.pass, s.done, s.total = nil, nil, false, 0, 0
	return errors.Join(err, s.archives.release())
}

// next opens the next file at the place where it was left.
func (s *source) next(ctx context.Context) error {
	o := s.todo[0]
	s.todo = s.todo[1:]
	if o.end {
		s.ended(o)
		return nil
	}
	f, err := s.openAt(ctx, o, s.state.entry(o))
	if errors.Is(err, errReplaced) {
		s.env.Log.WarnContext(ctx, "file changed before the place already read; reading it again from its start", "source", s.env.Name, "file", o.name)
		f, err = s.openAt(ctx, o, entry{})
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.env.Log.WarnContext(ctx, "file is gone", "source", s.env.Name, "file", o.name)
		s.done += o.size
		return nil
	case err != nil:
		return err
	}
	if o.size == 0 {
		s.env.Log.InfoContext(ctx, "file is empty", "source", s.env.Name, "file", o.name)
	}
	s.open = f
	return nil
}

// passOver goes on behind a file that cannot be read, when the error is of that
// file alone.
func (s *source) passOver(ctx context.Context, o object, err error) bool {
	if !s.failed.alone(ctx, o.name, err) {
		return false
	}
	if o.member != nil {
		s.refused = o.member.archive.id
	}
	if s.open != nil {
		_ = s.open.close() // it is given up
		s.open = nil
	}
	s.done += o.size
	return true
}

// readOn reads a piece of the open file into p and notes the new place.
func (s *source) readOn(ctx context.Context, p *page) error {
	f := s.open
	var b decode.Block
	err := f.cutter.Cut(ctx, &b)
	end := errors.Is(err, io.EOF)
	if err != nil && !end {
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	p.add(b)
	e := entry{offset: f.cutter.Place()}
	f.print.note(&e)
	switch {
	case end && f.over != nil && f.over() != nil:
		e.mark = markOfRefused(f.object, s.cfg.MaxWindow)
		if f.member != nil {
			s.refused = f.member.archive.id
		}
	case end:
		e.mark = markOf(f.object)
	}
	s.state.set(f.object, e)
	if !end {
		return nil
	}
	s.done += f.size
	s.open = nil
	if err := f.close(); err != nil {
		return fmt.Errorf("close %s: %w", f.name, err)
	}
	return nil
}

// openFile is the file being read.
type openFile struct {
	object
	cutter decode.Cutter
	print  fingerprint              // of what was read
	read   func() int64             // compressed bytes read
	over   func() *decode.OverError // which bound ended the file early, where one can
	close  func() error
}

func (f *openFile) bytesRead() int64 { return min(f.read(), f.size) }

// errReplaced says that the file's content before a place is not what was read
// there.
var errReplaced = decode.ErrReplaced

// openAt opens o behind e, or fails with errReplaced.
func (s *source) openAt(ctx context.Context, o object, e entry) (*openFile, error) {
	kind, err := s.kindOf(o)
	if err != nil {
		return nil, err
	}
	if kind.format == decode.Parquet {
		return s.openParquet(ctx, o, e)
	}
	raw, err := s.archives.open(ctx, o)
	if err != nil {
		return nil, err
	}
	u := newUnpacked(raw, kind, s.cfg)
	u.compressed.member = o.member != nil
	hash := newFingerprint()
	if !e.tail && baseOf(e.offset) > 0 {
		hash.whole = xxhash.New()
	}
	f := &openFile{object: o, print: hash, read: u.compressed.count, over: u.overBound, close: func() error { u.close(); return raw.Close() }}
	comma, err := s.cfg.comma(o.name)
	if err == nil {
		f.cutter, err = decode.Open(ctx, s.rules, s.cfg.formatOf(kind, comma), decode.Input{
			Name: o.name, Src: u, Fault: u.fault, Packed: u.packing, Block: s.limits.block, Window: &s.window, Tap: hash, Jump: jump(o, e, raw, u, hash),
			Log:   s.env.Log.With(slog.String("source", s.env.Name), slog.String("file", o.name)),
			Again: func(ctx context.Context, look func(io.Reader) error) error { return s.again(ctx, o, kind, look) },
		}, e.offset)
	}
	if err == nil && e.offset > 0 && !hash.as(e) {
		err = errReplaced
	}
	hash.whole = nil
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// kindOf says how a file is to be read, or why it cannot be.
func (s *source) kindOf(o object) (fileKind, error) {
	kind, shaped := s.cfg.kindOf(o.name), s.cfg.Shape != ""
	if kind.format == "" && shaped { // Reddit's dumps are named RC_2024-01.zst
		kind.format = decode.NDJSON
	}
	switch {
	case shaped && (kind.format == decode.CSV || kind.format == decode.Parquet):
		return kind, feedlake.Hint(fmt.Errorf("read %s: a file of %s has no shape: %w", o.name, kind.format, feedlake.ErrConfig), "narrow the path, or set \"format: ndjson\" or json")
	case s.cfg.Records != "" && kind.format != decode.JSON:
		return kind, feedlake.Hint(fmt.Errorf("read %s: records: a file of %s has no list inside: %w", o.name, kind.format, feedlake.ErrConfig), "narrow the path, or set \"format: json\"")
	case kind.format == "":
		return kind, feedlake.Hint(fmt.Errorf("read %s: unknown format: %w", o.name, feedlake.ErrConfig), "its name does not tell: set \"format: ndjson\", json, csv, parquet or bson")
	}
	return kind, nil
}

// jump returns what goes on at the base of e, where that is enough: in a file that
// has grown, is not packed and can be read at any place; nil elsewhere.
func jump(o object, e entry, raw io.Reader, u *unpacked, hash *running) func() (at, line int64, err error) {
	seeker, ok := raw.(io.Seeker)
	if !ok || !e.tail || o.member != nil || o.size <= e.offset {
		return nil
	}
	return func() (at, line int64, err error) {
		if u.pack != packNone {
			return 0, 0, nil
		}
		base := baseOf(e.offset)
		if _, err := seeker.Seek(base, io.SeekStart); err != nil {
			return 0, 0, fmt.Errorf("read %s: %w", o.name, err)
		}
		u.compressed.n.Store(base)
		u.src = u.compressed
		hash.jump(e)
		return base, e.line + 1, nil
	}
}

// again lets look read a file from its beginning, unpacked, beside the one that is
// open.
func (s *source) again(ctx context.Context, o object, kind fileKind, look func(io.Reader) error) error {
	raw, err := s.archives.open(ctx, o)
	if err != nil {
		return err
	}
	u := newUnpacked(raw, kind, s.cfg)
	u.compressed.member = o.member != nil
	err = errors.Join(look(contextReader{ctx, u}), u.fault())
	u.close()
	return errors.Join(err, raw.Close())
}

// openParquet reads the file once for its fingerprint: a row in it has no bytes
// before it.
func (s *source) openParquet(ctx context.Context, o object, e entry) (*openFile, error) {
	if k := s.cfg.kindOf(o.name); k.pack != packNone {
		return nil, feedlake.Hint(fmt.Errorf("read %s: Parquet packed as %s: %w", o.name, k.pack, feedlake.ErrConfig), "unpack it first: Parquet is compressed inside")
	}
	raw, err := s.archives.random(ctx, o)
	if err != nil {
		return nil, err
	}
	h := xxhash.New()
	size, err := io.Copy(h, contextReader{ctx, raw})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", o.name, err), raw.Close())
	}
	whole := wholePrint(narrow(h.Sum64()))
	if e.offset > 0 && e.digest != uint64(whole) {
		return nil, errors.Join(errReplaced, raw.Close())
	}
	c, err := decode.OpenParquet(s.rules, o.name, raw, size, s.cfg.MaxRecord, e.offset)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return &openFile{object: o, cutter: c, print: whole, read: c.Read, close: func() error { c.Close(); return raw.Close() }}, nil
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx context.Context //nolint:containedctx // lives for one copy
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
