package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/decode"
)

// Kinds of archives: files that hold files, their members.
const (
	archiveZip = "zip"
	archiveTar = "tar"
)

// archiveOf is the kind of archive that a name tells; "" for none.
func archiveOf(name string) string {
	name = strings.ToLower(name)
	for _, end := range [...]string{".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"} {
		if strings.HasSuffix(name, end) {
			return archiveTar
		}
	}
	if strings.HasSuffix(name, ".zip") {
		return archiveZip
	}
	return ""
}

// mostMembers bounds an archive.
const mostMembers = 200_000

// member is a file within an archive.
type member struct {
	archive object
	index   int // of the archive's entries
}

// packed is a store whose archives are folders of their members. It keeps the
// archive that was read last, and where it stands.
type packed struct {
	store
	cfg Config
	zip *zipFile
	tar *tarFile
}

// members lists the files of an archive that the configuration means. When the
// archive is damaged, fault says so, and the members before the damage are listed.
func (p *packed) members(ctx context.Context, o object) (all []object, fault string, err error) {
	var entries []entryOf
	if archiveOf(o.name) == archiveZip {
		entries, fault, err = p.zipEntries(ctx, o)
	} else {
		entries, fault, err = p.tarEntries(ctx, o)
	}
	if err != nil {
		return nil, "", err
	}
	names, seen := []string{}, map[string]int{}
	for i, e := range entries {
		if !e.file {
			continue
		}
		name := path.Clean("/" + strings.ReplaceAll(e.name, `\`, "/"))[1:]
		names = append(names, name)
		if !p.wanted(name) {
			continue
		}
		id := name
		if seen[name]++; seen[name] > 1 { // later ones are read too
			id = fmt.Sprintf("%s#%d", name, seen[name])
		}
		all = append(all, object{
			name: o.name + "/" + name, id: o.id + "/" + id, key: o.key, size: e.size, mark: e.mark, member: &member{archive: o, index: i},
		})
	}
	if len(all) == 0 && fault == "" {
		fault = fmt.Sprintf("the archive holds no file to read; its files: %s", clipped(names))
	}
	return all, fault, nil
}

// entryOf is an entry of an archive.
type entryOf struct {
	name string
	size int64 // unpacked
	mark string
	file bool // with content; not a folder or a link
}

// clipped shows the first of many names.
func clipped(names []string) string {
	const most = 20
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}

// wanted reports whether a member is to be read: those that "members" names, else
// those that the shape knows by name, else every file whose format is known.
func (p *packed) wanted(name string) bool {
	if hidden(name) {
		return false
	}
	globs := p.cfg.Members
	if len(globs) == 0 {
		globs = decode.Members(p.cfg.Shape)
	}
	for _, g := range globs {
		if doublestar.MatchUnvalidated(g, name) {
			return true
		}
	}
	return len(globs) == 0 && p.cfg.kindOf(name).format != ""
}

// hidden reports whether a member is what operating systems leave in archives.
func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") || part == "__MACOSX" {
			return true
		}
	}
	return false
}

func (p *packed) open(ctx context.Context, o object) (io.ReadCloser, error) {
	switch {
	case o.member == nil:
		return p.store.open(ctx, o)
	case archiveOf(o.member.archive.name) == archiveZip:
		return p.openZip(ctx, o)
	}
	return p.openTar(ctx, o), nil
}

// random unpacks a member into a temporary file.
func (p *packed) random(ctx context.Context, o object) (randomFile, error) {
	if o.member == nil {
		return p.store.random(ctx, o)
	}
	src, err := p.open(ctx, o)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "feedlake-*.member")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("unpack %s: %w", o.name, err), src.Close())
	}
	t := tempFile{f}
	_, err = io.Copy(f, contextReader{ctx, src})
	if err == nil || damaged(err) { // damage shows when the file is read
		_, err = f.Seek(0, io.SeekStart)
	}
	if err = errors.Join(err, src.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("unpack %s: %w", o.name, err), t.Close())
	}
	return t, nil
}

// release closes what is kept of archives.
func (p *packed) release() error {
	var errs []error
	if p.zip != nil {
		errs = append(errs, p.zip.raw.Close())
	}
	if p.tar != nil {
		errs = append(errs, p.tar.close())
	}
	p.zip, p.tar = nil, nil
	return errors.Join(errs...)
}

// faulty reads as nothing, and then as damage: a member that cannot be opened is a
// reject.
func faulty(err error) io.ReadCloser { return io.NopCloser(failing{err}) }

// failing is a reader that cannot be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// damaged reports whether an error comes from the content of a file, not from the
// disk or the network.
func damaged(err error) bool {
	if _, down := errors.AsType[*feedlake.RetryError](err); down {
		return false
	}
	_, disk := errors.AsType[*os.PathError](err)
	return !disk && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, feedlake.ErrConfig)
}

// expand puts the members of archives in their place, and behind them what stands
// for the archive as a whole. One that was read and is as it was then is left out
// when it is not to be opened again.
func (s *source) expand(ctx context.Context, all []object, unread bool) ([]object, error) {
	out := make([]object, 0, len(all))
	for _, o := range all {
		if archiveOf(o.name) == "" {
			out = append(out, o)
			continue
		}
		if unread && s.state.finished(o, s.cfg.MaxWindow) {
			continue
		}
		members, fault, err := s.archives.members(ctx, o)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since it was listed
		}
		if s.failed.alone(ctx, o.name, err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		o.end, o.fault, o.size = true, fault, 0
		out = append(append(out, members...), o)
	}
	return out, nil
}

// ended notes that all members of an archive were read, and tells its damage.
func (s *source) ended(o object) {
	e := entry{mark: markOf(o)}
	switch {
	case s.refused == o.id: // it is opened again, as the bound may be raised
	case o.fault == "":
		s.state.set(o, e)
	default:
		s.open = &openFile{object: o, cutter: decode.Refused(o.name, o.fault), print: wholePrint(0), read: func() int64 { return 0 }, close: func() error { return nil }}
	}
}
