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

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/mapping"
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
	s := &source{env: env, cfg: c, limits: usualLimits(), plans: map[bool]*mapping.Plan{}, decoders: map[bool]*mapping.Decoder{}}
	var err error
	if s.shape, err = c.shape(); err != nil {
		return nil, err
	}
	for _, columns := range []bool{false, true} {
		if s.shape != nil {
			break
		}
		plan, err := mapping.Compile(mapping.Config{Map: c.Map, UnescapeHTML: c.Unescape}, mapping.Options{Source: env.Name, Columns: columns})
		if err != nil {
			return nil, err
		}
		s.plans[columns], s.decoders[columns] = plan, plan.Decoder()
	}
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
	plans    map[bool]*mapping.Plan // by Options.Columns
	decoders map[bool]*mapping.Decoder
	shape    *shape // instead of the decoders
	store    store
	archives *packed // of store
	window   []byte  // of the file read last, for the next

	at     feedlake.Cursor // the place behind the last page; the fields below belong to it
	pass   bool            // files were listed and are being read
	state  state
	todo   []object
	open   *openFile
	usual  int   // posts of the last page
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
	if err := s.end.Due(from); err != nil {
		return ingest.Page{}, err
	}
	p, err := s.fetch(ctx, from)
	ended := err == nil && p.Done
	if ended {
		p, err = s.end.Page(from, p, s.failed.err(s.listed))
	}
	if err != nil || ended {
		err = errors.Join(err, s.forget())
	}
	if err != nil {
		return ingest.Page{}, err
	}
	s.at = p.Next
	return p, nil
}

func (s *source) fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	if !s.pass || from != s.at {
		if err := s.start(ctx, from); err != nil {
			return ingest.Page{}, err
		}
	}
	p := &page{now: s.env.Now().UTC(), limits: s.limits, posts: make([]feedlake.Post, 0, s.usual)}
	place := ""
	for !p.full() && (s.open != nil || len(s.todo) > 0) {
		if err := ctx.Err(); err != nil {
			return ingest.Page{}, err
		}
		if s.open == nil {
			o := s.todo[0]
			if err := s.next(ctx); err != nil && !s.passOver(ctx, o, err) {
				return ingest.Page{}, err
			}
			continue
		}
		place = s.open.name
		if err := s.readOn(ctx, p); err != nil && !s.passOver(ctx, s.open.object, err) {
			return ingest.Page{}, err
		}
	}
	out := ingest.Page{Posts: p.posts, Rejects: p.rejects, Next: from, Done: s.open == nil && len(s.todo) == 0}
	if s.state.changed {
		out.Next = s.state.cursor()
	}
	s.usual = len(p.posts)
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
	err := f.reader.read(ctx, p)
	end := errors.Is(err, io.EOF)
	if err != nil && !end {
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	offset, digest := f.reader.place()
	e := entry{offset: offset, digest: digest}
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
	reader reader
	read   func() int64      // compressed bytes read
	over   func() *overError // which bound ended the file early, where one can
	close  func() error
}

func (f *openFile) bytesRead() int64 { return min(f.read(), f.size) }

// reader yields the records of one file, from a place on.
type reader interface {
	// read adds records to p until it is full. io.EOF says that the file is
	// read to its end. Damage in the file is a reject, not an error.
	read(ctx context.Context, p *page) error
	// place tells where reading stands: behind the last record added.
	place() (offset int64, digest uint64)
}

// errReplaced says that the file's content before a place is not what was read
// there.
var errReplaced = errors.New("file was replaced")

// openAt opens o behind e, or fails with errReplaced.
func (s *source) openAt(ctx context.Context, o object, e entry) (*openFile, error) {
	kind := s.cfg.kindOf(o.name)
	if kind.format == "" && s.shape != nil { // Reddit's dumps are named RC_2024-01.zst
		kind.format = formatNDJSON
	}
	if s.shape != nil && (kind.format == formatCSV || kind.format == formatParquet) {
		return nil, feedlake.Hint(fmt.Errorf("read %s: a file of %s has no shape: %w", o.name, kind.format, feedlake.ErrConfig), "narrow the path, or set \"format: ndjson\" or json")
	}
	if s.cfg.Records != "" && kind.format != formatJSON {
		return nil, feedlake.Hint(fmt.Errorf("read %s: records: a file of %s has no list inside: %w", o.name, kind.format, feedlake.ErrConfig), "narrow the path, or set \"format: json\"")
	}
	if kind.format == "" {
		return nil, feedlake.Hint(fmt.Errorf("read %s: unknown format: %w", o.name, feedlake.ErrConfig), "its name does not tell: set \"format: ndjson\", json, csv, parquet or bson")
	}
	rec := records{
		file: o.name, log: s.env.Log.With(slog.String("source", s.env.Name), slog.String("file", o.name)),
		shape: s.shape, network: s.cfg.Network,
	}
	if s.shape == nil {
		rec.decoder, rec.paths = s.decoders[kind.format == formatCSV], s.plans[kind.format == formatCSV].Paths()
	}
	if kind.format == formatParquet {
		return s.openParquet(ctx, o, e, rec)
	}
	raw, err := s.archives.open(ctx, o)
	if err != nil {
		return nil, err
	}
	st, err := newStream(raw, kind, s.cfg, s.limits.block, s.window)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	st.compressed.member = o.member != nil
	f := &openFile{object: o, read: st.compressed.count, over: st.over, close: func() error { s.window = st.buf; st.close(); return raw.Close() }}
	switch kind.format {
	case formatCSV:
		f.reader, err = newCSVReader(ctx, st, rec, s.cfg, e)
	case formatJSON:
		if s.shape != nil && s.shape.unroll != nil {
			st.src = s.shape.unroll(st.src, int64(s.cfg.MaxRecord))
			f.reader, err = newLineReader(ctx, st, rec, e)
			break
		}
		f.reader, err = s.openArray(ctx, st, rec, o, kind, e)
	case formatBSON:
		f.reader, err = newBSONReader(ctx, st, rec, e)
	default:
		f.reader, err = newLineReader(ctx, st, rec, e)
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}
