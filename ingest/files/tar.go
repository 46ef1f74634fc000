package files

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/feedlake/feedlake/ingest/decode"
)

// tarFile is the tar archive that was read last, and the entry that it stands at.
type tarFile struct {
	of    object
	in    *contextReader
	raw   io.ReadCloser
	st    *unpacked
	r     *tar.Reader
	index int // of the entry at hand; -1 before the first
}

func (t *tarFile) close() error {
	t.st.close()
	return t.raw.Close()
}

// next goes to the next entry.
func (t *tarFile) next() (*tar.Header, error) {
	h, err := t.r.Next()
	if t.st.compressed.err != nil {
		return nil, t.st.compressed.err
	}
	t.index++
	return h, err
}

// openTarAt opens an archive before an entry, or goes on with one that stands
// there.
func (p *packed) openTarAt(ctx context.Context, o object, index int) error {
	if p.tar != nil && p.tar.of == o && p.tar.index < index {
		p.tar.in.ctx = ctx
		return nil
	}
	if err := p.release(); err != nil {
		return err
	}
	raw, err := p.store.open(ctx, o)
	if err != nil {
		return err
	}
	st := newUnpacked(raw, fileKind{format: decode.BSON, pack: tarPack(o.name)}, p.cfg)
	in := &contextReader{ctx, st}
	p.tar = &tarFile{of: o, in: in, raw: raw, st: st, r: tar.NewReader(in), index: -1}
	return nil
}

// tarPack is how an archive is packed, by its name.
func tarPack(name string) string {
	switch ext := strings.ToLower(path.Ext(name)); ext {
	case ".tgz":
		return packGzip
	case ".tbz2":
		return packBzip2
	case ".txz":
		return packXZ
	}
	return (&Config{}).kindOf(name).pack
}

func (p *packed) tarEntries(ctx context.Context, o object) (out []entryOf, fault string, err error) {
	if err := p.openTarAt(ctx, o, -1); err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, p.release()) }()
	for len(out) <= mostMembers {
		h, err := p.tar.next()
		switch {
		case errors.Is(err, io.EOF):
			return out, "", nil
		case err == nil:
			out = append(out, entryOf{name: h.Name, size: h.Size, mark: fmt.Sprintf("%s %d %d", o.mark, len(out), h.Size), file: h.Typeflag == tar.TypeReg})
		case ctx.Err() != nil:
			return nil, "", ctx.Err()
		case p.tar.st.compressed.err != nil || !damaged(err):
			return nil, "", err
		default:
			return out, fmt.Sprintf("the archive is damaged behind its %d. file: %v; it is read on when it changes", len(out), err), nil
		}
	}
	return out, fmt.Sprintf("the archive has more than %d members", mostMembers), nil
}

func (p *packed) openTar(ctx context.Context, o object) io.ReadCloser {
	return &tarReader{p: p, o: o, ctx: ctx}
}

// tarReader goes to its member with the first read, and reads it; the archive
// stays open for the next.
type tarReader struct {
	p   *packed
	o   object
	ctx context.Context //nolint:containedctx // until the first read
	t   *tarFile
}

func (r *tarReader) Read(b []byte) (int, error) {
	if r.t == nil {
		if err := r.begin(); err != nil {
			return 0, err
		}
	}
	return r.t.r.Read(b)
}

func (r *tarReader) begin() error {
	if err := r.p.openTarAt(r.ctx, r.o.member.archive, r.o.member.index); err != nil {
		return err
	}
	t := r.p.tar
	for t.index < r.o.member.index {
		if _, err := t.next(); err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the archive was replaced")
			}
			return err
		}
	}
	t.in.ctx = context.WithoutCancel(r.ctx) // who reads the member looks at its own
	r.t = t
	return nil
}

func (*tarReader) Close() error { return nil }
