package files

import (
	"archive/zip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// zipFile is the zip archive that was read last.
type zipFile struct {
	of  object
	raw randomFile
	*zip.Reader
}

// openArchive opens a zip archive. Damage is an error that damaged knows.
func (p *packed) openArchive(ctx context.Context, o object) error {
	if p.zip != nil && p.zip.of == o {
		return nil
	}
	if err := p.release(); err != nil {
		return err
	}
	raw, err := p.store.random(ctx, o)
	if err != nil {
		return err
	}
	size, err := raw.Seek(0, io.SeekEnd)
	if err != nil {
		return errors.Join(fmt.Errorf("read %s: %w", o.name, err), raw.Close())
	}
	err = directoryFault(raw, size)
	var z *zip.Reader
	if err == nil {
		z, err = zip.NewReader(raw, size)
	}
	if err != nil {
		return errors.Join(err, raw.Close())
	}
	p.zip = &zipFile{of: o, raw: raw, Reader: z}
	return nil
}

// directoryFault refuses an archive whose directory would fill the memory before
// it is looked at (APPNOTE.TXT, sections 4.3.14 to 4.3.16).
func directoryFault(r io.ReaderAt, size int64) error {
	const end, locator, end64, comment = 22, 20, 56, 1 << 16
	tail := make([]byte, min(size, end+comment+locator))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for at := len(tail) - end; at >= 0; at-- {
		if string(tail[at:at+4]) != "PK\x05\x06" {
			continue
		}
		count := uint64(binary.LittleEndian.Uint16(tail[at+10:]))
		if at >= locator && string(tail[at-locator:at-locator+4]) == "PK\x06\x07" {
			record := make([]byte, end64)
			place := binary.LittleEndian.Uint64(tail[at-locator+8:])
			if place > uint64(size) { //nolint:gosec // a size is never negative
				return zip.ErrFormat
			}
			if _, err := r.ReadAt(record, int64(place)); err == nil { //nolint:gosec // checked
				count = max(count, binary.LittleEndian.Uint64(record[32:]))
			}
		}
		if count > mostMembers {
			return fmt.Errorf("the archive has %d members, more than %d", count, mostMembers)
		}
		return nil
	}
	return nil // the library says what is wrong
}

func (p *packed) zipEntries(ctx context.Context, o object) (out []entryOf, fault string, err error) {
	switch err := p.openArchive(ctx, o); {
	case err == nil:
	case damaged(err):
		return nil, "the archive cannot be read: " + err.Error(), nil
	default:
		return nil, "", err
	}
	total := uint64(0)
	for _, f := range p.zip.File {
		total += f.UncompressedSize64
		out = append(out, entryOf{
			name: f.Name, file: f.Mode().IsRegular(), mark: fmt.Sprintf("%d %x", f.UncompressedSize64, f.CRC32),
			size: int64(f.UncompressedSize64 & (1<<62 - 1)),
		})
	}
	size, err := p.zip.raw.Seek(0, io.SeekEnd)
	if err == nil && total < 1<<62 {
		if bomb := bombOf(size, int64(total)); bomb != nil {
			return nil, "the archive is not read: " + bomb.Error(), nil
		}
	}
	return out, "", err
}

func (p *packed) openZip(ctx context.Context, o object) (io.ReadCloser, error) {
	if err := p.openArchive(ctx, o.member.archive); err != nil {
		if damaged(err) {
			return faulty(err), nil
		}
		return nil, err
	}
	if o.member.index >= len(p.zip.File) {
		return faulty(errors.New("the archive was replaced")), nil
	}
	f := p.zip.File[o.member.index]
	if f.Flags&1 != 0 {
		return faulty(errors.New("it is encrypted: unpack the archive with its password first")), nil
	}
	r, err := f.Open()
	if err != nil {
		if damaged(err) {
			return faulty(err), nil
		}
		return nil, fmt.Errorf("open %s: %w", o.name, err)
	}
	size := int64(f.CompressedSize64 & (1<<62 - 1))
	return memberReader{&guard{r: r, packed: func() int64 { return size }}, r}, nil
}

// memberReader is a member being read; its damage is that of the data.
type memberReader struct {
	io.Reader
	io.Closer
}
