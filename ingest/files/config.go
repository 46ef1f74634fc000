package files

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
)

// Formats of files.
const (
	formatNDJSON  = "ndjson"
	formatJSON    = "json"
	formatCSV     = "csv"
	formatParquet = "parquet"
	formatBSON    = "bson"
)

// Compressions of files.
const (
	packNone = "none"
	packGzip = "gz"
	packZstd = "zst"

	packBzip2 = "bz2"
	packXZ    = "xz"
)

// Ways to write a quote within a quoted field of CSV.
const (
	escapeQuote     = "quote"     // as two
	escapeBackslash = "backslash" // behind a backslash
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
		k.format = formatNDJSON
	case ".json", ".js":
		k.format = formatJSON
	case ".csv", ".tsv":
		k.format = formatCSV
	case ".parquet", ".pq":
		k.format = formatParquet
	case ".bson":
		k.format = formatBSON
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
	if err := one("format", c.Format, formatNDJSON, formatJSON, formatCSV, formatParquet, formatBSON); err != nil {
		return err
	}
	if err := one("compression", c.Compression, packNone, packGzip, packZstd, packBzip2, packXZ); err != nil {
		return err
	}
	if c.Records != "" && c.Format != "" && c.Format != formatJSON {
		return feedlake.Hint(fmt.Errorf("records with format %s: %w", c.Format, feedlake.ErrConfig), "only a document of format json has a list inside")
	}
	if err := one("encoding", c.Encoding, "utf-8", "utf-16", "utf-16le", "utf-16be", "latin-1", "windows-1252", "macintosh"); err != nil {
		return err
	}
	if err := one("network", c.Network, wire.Bluesky, wire.HackerNews, wire.Instagram, wire.Mastodon, wire.Reddit, wire.Telegram, wire.X); err != nil {
		return err
	}
	if err := one("escape", c.Escape, escapeQuote, escapeBackslash); err != nil {
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

// charset returns the decoder of the configured encoding, nil for UTF-8.
func (c *Config) charset() *encoding.Decoder {
	switch c.Encoding {
	case "latin-1":
		return charmap.ISO8859_1.NewDecoder()
	case "windows-1252":
		return charmap.Windows1252.NewDecoder()
	case "macintosh":
		return charmap.Macintosh.NewDecoder()
	case "utf-16", "utf-16le":
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder()
	case "utf-16be":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder()
	}
	return nil
}
