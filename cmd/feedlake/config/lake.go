package config

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/goccy/go-yaml/ast"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/objects"
)

// Lake says where the lake lies. With dir alone it needs no service.
type Lake struct {
	Dir     string `yaml:"dir"`
	Catalog string `yaml:"catalog"` // DSN of PostgreSQL; "": SQLite in dir
	History string `yaml:"history"` // schema of the history of runs in that database; "": schedules.DefaultSchema
	S3      *S3    `yaml:"s3"`      // nil: the warehouse is in dir
	Cache   Cache  `yaml:"cache"`
	HTTPFS  string `yaml:"httpfs"` // DuckDB's extension; "": files of a bucket come through the cache
}

// S3 is a bucket. Secrets come from the environment or from files.
type S3 struct {
	Endpoint   string `yaml:"endpoint"`
	Region     string `yaml:"region"`
	Bucket     string `yaml:"bucket"`
	Prefix     string `yaml:"prefix"`
	Key        string `yaml:"key"`
	Secret     string `yaml:"secret"`
	Token      string `yaml:"token"`
	KeyFile    string `yaml:"key_file"`
	SecretFile string `yaml:"secret_file"`
	TokenFile  string `yaml:"token_file"`
}

// Cache is where files of a bucket are copied to, and how much of them stays.
type Cache struct {
	Dir   string `yaml:"dir"`
	Limit string `yaml:"limit"`
}

// secretName matches the keys of credentials whose values are secrets.
var secretName = regexp.MustCompile(`(^|_)(secret|secret_key|password|token|bearer)$`)

// secretKey tells the keys whose values must not stand in a config file; path is
// the key's place, such as $.credentials.x.keys.bearer.
func secretKey(name, path string) bool {
	return name == "secret" || name == "secret_key" || path == "$.pseudonyms.key" ||
		strings.HasPrefix(path, "$.credentials.") && secretName.MatchString(name)
}

// plainSecret refuses a secret that was written into the file.
func (x *expander) plainSecret(n *ast.MappingValueNode) {
	s, ok := n.Value.(*ast.StringNode)
	if !ok || !secretKey(n.Key.String(), n.Key.GetPath()) || s.Value == "" || variable.MatchString(s.Value) {
		return
	}
	x.errs = append(x.errs, feedlake.Hint(
		fmt.Errorf("%s:%d: %s is written into the file: %w", x.path, n.Key.GetToken().Position.Line, n.Key.String(), feedlake.ErrConfig),
		"take it from the environment, %[1]s: ${NAME}, or from a file, %[1]s: ${file:PATH}", n.Key.String()))
}

// validateLake reports the first value of the lake's part that cannot be used.
func (c *Config) validateLake(bad func(hint, format string, args ...any) error) error {
	if _, err := c.cacheLimit(); err != nil {
		return bad("such as 20GB", "lake.cache.limit %q", c.Lake.Cache.Limit)
	}
	s := c.Lake.S3
	if s == nil {
		if c.Lake.HTTPFS != "" {
			return bad("httpfs reads a bucket: name one under lake.s3", "lake.httpfs without lake.s3")
		}
		return nil
	}
	if s.Bucket == "" {
		return bad("bucket: ${FEEDLAKE_S3_BUCKET}", "lake.s3 has no bucket")
	}
	if !strings.HasPrefix(s.Endpoint, "http://") && !strings.HasPrefix(s.Endpoint, "https://") {
		return bad("a URL, such as http://127.0.0.1:9000 or https://s3.eu-central-1.amazonaws.com", "lake.s3.endpoint %q", s.Endpoint)
	}
	return nil
}

// cacheLimit is lake.cache.limit in bytes; 0 when none is set.
func (c *Config) cacheLimit() (int64, error) {
	if c.Lake.Cache.Limit == "" {
		return 0, nil
	}
	return ParseSize(c.Lake.Cache.Limit)
}

// ParseSize reads a number of bytes, such as 20GB.
func ParseSize(text string) (int64, error) {
	n, err := humanize.ParseBytes(text)
	return int64(min(n, math.MaxInt64)), err
}

// LakeAt is the lake's place for lake.Open.
func (c *Config) LakeAt() (lake.Config, error) {
	limit, err := c.cacheLimit()
	if err != nil {
		return lake.Config{}, err
	}
	at := lake.Config{
		Dir: c.Path(c.Lake.Dir), Catalog: c.Lake.Catalog,
		CacheDir: c.Path(c.Lake.Cache.Dir), CacheLimit: limit, Direct: c.Lake.HTTPFS != "",
	}
	at.S3, err = c.bucket()
	return at, err
}

// bucket reads the secrets that lie in files.
func (c *Config) bucket() (*objects.S3Config, error) {
	s := c.Lake.S3
	if s == nil {
		return nil, nil //nolint:nilnil // no bucket is configured
	}
	at := &objects.S3Config{Endpoint: s.Endpoint, Region: s.Region, Bucket: s.Bucket, Prefix: s.Prefix, Key: s.Key, Secret: s.Secret, Token: s.Token}
	var errs []error
	for _, f := range []struct {
		file string
		to   *string
	}{{s.KeyFile, &at.Key}, {s.SecretFile, &at.Secret}, {s.TokenFile, &at.Token}} {
		if f.file == "" {
			continue
		}
		text, err := os.ReadFile(filepath.Clean(c.Path(f.file)))
		if err != nil {
			errs = append(errs, feedlake.Hint(fmt.Errorf("read secret: %w: %w", err, feedlake.ErrConfig), "the file holds one line, the secret"))
			continue
		}
		*f.to = strings.TrimSpace(string(text))
	}
	return at, errors.Join(errs...)
}
