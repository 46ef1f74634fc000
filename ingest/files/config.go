package files

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/decode"
)

// Compressions of files.
const (
	packNone = "none"
	packGzip = "gz"
	packZstd = "zst"

	packBzip2 = "bz2"
	packXZ    = "xz"
)

// fileKind says how a file is to be read.
type fileKind struct{ format, pack string }

// kindOf takes what is configured, and the rest from the file's extensions. An
// unknown format is "".
func (c *Config) kindOf(name string) fileKind {
	k := fileKind{format: c.Format, pack: c.Compression}
	base := strings.ToLower(path.Base(name))
	ext := path.Ext(base)
	pack := packNone
	switch ext {
	case ".gz", ".gzip":
		pack = packGzip
	case ".zst", ".zstd":
		pack = packZstd
	case ".bz2", ".bzip2":
		pack = packBzip2
	case ".xz":
		pack = packXZ
	}
	if pack != packNone {
		ext = path.Ext(strings.TrimSuffix(base, ext))
	}
	if k.pack == "" {
		k.pack = pack
	}
	if k.format != "" {
		return k
	}
	switch ext {
	case ".ndjson", ".jsonl", ".ldjson":
		k.format = decode.NDJSON
	case ".json", ".js":
		k.format = decode.JSON
	case ".csv", ".tsv":
		k.format = decode.CSV
	case ".parquet", ".pq":
		k.format = decode.Parquet
	case ".bson":
		k.format = decode.BSON
	}
	return k
}

// checkNames refuses names that the source does not know.
func (c *Config) checkNames() error {
	one := func(key, value string, known ...string) error {
		if value == "" || slices.Contains(known, value) {
			return nil
		}
		return feedlake.Hint(fmt.Errorf("%s: %q is not known: %w", key, value, feedlake.ErrConfig), "one of %s", strings.Join(known, ", "))
	}
	if err := one("format", c.Format, decode.NDJSON, decode.JSON, decode.CSV, decode.Parquet, decode.BSON); err != nil {
		return err
	}
	if err := one("compression", c.Compression, packNone, packGzip, packZstd, packBzip2, packXZ); err != nil {
		return err
	}
	if c.Records != "" && c.Format != "" && c.Format != decode.JSON {
		return feedlake.Hint(fmt.Errorf("records with format %s: %w", c.Format, feedlake.ErrConfig), "only a document of format json has a list inside")
	}
	if err := one("encoding", c.Encoding, decode.Encodings()...); err != nil {
		return err
	}
	if err := one("escape", c.Escape, decode.EscapeQuote, decode.EscapeBackslash); err != nil {
		return err
	}
	for _, g := range c.Members {
		if !doublestar.ValidatePattern(g) {
			return fmt.Errorf("members: %q is no glob: %w", g, feedlake.ErrConfig)
		}
	}
	_, err := c.comma("")
	return err
}

// comma returns the delimiter of a CSV file.
func (c *Config) comma(name string) (byte, error) {
	switch c.Delimiter {
	case "tab":
		return '\t', nil
	case "":
		if strings.Contains(strings.ToLower(path.Base(name)), ".tsv") {
			return '\t', nil
		}
		return ',', nil
	}
	if len(c.Delimiter) != 1 || strings.ContainsAny(c.Delimiter, "\"\r\n") || c.Delimiter[0] >= 0x80 {
		return 0, fmt.Errorf("delimiter: %q is not one ASCII character: %w", c.Delimiter, feedlake.ErrConfig)
	}
	return c.Delimiter[0], nil
}

// formatOf is how a file of a kind is written.
func (c *Config) formatOf(k fileKind, comma byte) decode.Format {
	return decode.Format{Name: k.format, Records: c.Records, Encoding: c.Encoding, Comma: comma, Escape: c.Escape, Columns: c.Columns, MaxRecord: c.MaxRecord}
}
