// Package config reads feedlake's configuration: one YAML file, strictly, with
// defaults, the rules of its values and the policies of its sources.
package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/feedlake/feedlake"
)

// Config is one YAML file. Defaults are filled first, unknown keys are errors,
// and ${NAME} or ${NAME:-default} in a value takes it from the environment,
// ${file:PATH} from a file.
// Relative paths start from the file's folder.
type Config struct {
	Lake        Lake                  `yaml:"lake"`
	Engine      Engine                `yaml:"engine"`
	Parallel    *int                  `yaml:"parallel"` // how much is done side by side; nil: something on every core
	Sources     []Source              `yaml:"sources"`
	Credentials map[string]Credential `yaml:"credentials"`
	Pseudonyms  Pseudonyms            `yaml:"pseudonyms"`
	Rejects     Rejects               `yaml:"rejects"`
	Labels      []Labels              `yaml:"labels"`
	Models      Models                `yaml:"models"`
	Publish     []Publish             `yaml:"publish"`
	Schedule    map[string]Schedule   `yaml:"schedule"`
	Care        Care                  `yaml:"care"`
	Serve       Serve                 `yaml:"serve"`
	Log         Log                   `yaml:"log"`

	Base string `yaml:"-"` // folder that relative paths start from
	File string `yaml:"-"` // "" when no file was read
}

// Engine says what runs the SQL of sql/.
type Engine struct {
	Kind    string `yaml:"kind"` // duckdb, spark or auto
	Memory  string `yaml:"memory"`
	Threads int    `yaml:"threads"`
	Remote  string `yaml:"remote"` // of Spark Connect: sc://host:port
	Above   string `yaml:"above"`  // auto: Spark when a run reads more than this; "": a multiple of memory
	Spark   Spark  `yaml:"spark"`
}

// Spark says how Spark reaches what feedlake reaches under another address.
type Spark struct {
	Catalog  string `yaml:"catalog"`     // JDBC URL; "": made from lake.catalog
	Endpoint string `yaml:"s3_endpoint"` // "": lake.s3.endpoint
}

// Rejects bounds the share of records that may be unreadable before a step is partial.
type Rejects struct {
	MaxShare float64 `yaml:"max_share"`
}

// Labels is a file of labelled texts; Label, Text, ID and Lang name its columns.
type Labels struct {
	File    string `yaml:"file"`
	Dataset string `yaml:"dataset"`
	Label   string `yaml:"label"`
	Text    string `yaml:"text"`
	ID      string `yaml:"id"`
	Lang    string `yaml:"lang"`
}

// Models says how models are trained.
type Models struct {
	Sentiment Sentiment `yaml:"sentiment"`
	Trends    Trends    `yaml:"trends"`
}

// Sentiment is the part of the sentiment model.
type Sentiment struct {
	Seed     int64  `yaml:"seed"`
	Language string `yaml:"language"` // of labels that do not tell theirs
	Gate     Gate   `yaml:"gate"`
}

// Gate is what a new version must reach: a macro-recall, and no fall below the version in use by more than Drop.
type Gate struct {
	MacroRecall float64 `yaml:"macro_recall"`
	Drop        float64 `yaml:"drop"`
}

// Trends is the part of the count model.
type Trends struct {
	Seed    int64         `yaml:"seed"`
	Every   time.Duration `yaml:"every"`
	Authors int64         `yaml:"authors"` // fewest authors of a trending hour
}

// Schedule is a plan: cron expression, IANA zone and what happens to missed times.
type Schedule struct {
	Cron    string `yaml:"cron"`
	Zone    string `yaml:"zone"`
	CatchUp string `yaml:"catch_up"`
}

// Serve says where the dashboard listens and who may see it.
type Serve struct {
	Addr  string `yaml:"addr"`
	Token string `yaml:"token"`
}

// Log says from which level on the program logs.
type Log struct {
	Level string `yaml:"level"`
}

// Default is what a person who writes nothing gets.
func Default() Config {
	return Config{
		Lake:    Lake{Dir: "lake"},
		Engine:  Engine{Kind: "duckdb"},
		Rejects: Rejects{MaxShare: 0.05},
		Models: Models{
			Sentiment: Sentiment{Seed: 1, Language: "en", Gate: Gate{MacroRecall: 0.5, Drop: 0.02}},
			Trends:    Trends{Seed: 1, Every: 7 * 24 * time.Hour, Authors: 3},
		},
		Care:  Care{Auto: true, Time: time.Minute, Rewrite: "1GB"},
		Serve: Serve{Addr: "127.0.0.1:5002"},
		Log:   Log{Level: "info"},
	}
}

// Load reads a config file. Every error names file and line, wraps
// feedlake.ErrConfig and carries a hint.
func Load(path string, getenv func(string) (string, bool)) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, feedlake.Hint(fmt.Errorf("read config: %w: %w", err, feedlake.ErrConfig), "write one with: feedlake init")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return Config{}, fmt.Errorf("read config %s: %w", path, err)
	}
	return Parse(path, filepath.Dir(abs), text, getenv)
}

// Parse reads a config out of text; path names it in errors, base is the folder that
// its relative paths start from.
func Parse(path, base string, text []byte, getenv func(string) (string, bool)) (Config, error) {
	c := Default()
	c.Base, c.File = base, path
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return c, yamlError(path, err)
	}
	if len(file.Docs) > 1 {
		return c, fmt.Errorf("%s: more than one document: %w", path, feedlake.ErrConfig)
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return c, nil
	}
	x := &expander{path: path, base: base, getenv: getenv}
	ast.Walk(x, file.Docs[0].Body)
	if len(x.errs) > 0 {
		return c, errors.Join(x.errs...)
	}
	if err := yaml.NodeToValue(file.Docs[0].Body, &c, yaml.Strict()); err != nil {
		return c, yamlError(path, err)
	}
	c.Base, c.File = base, path
	return c, c.validate()
}

// expander puts the environment, and the content of files, into string values.
type expander struct {
	path   string
	base   string // folder that relative paths start from
	getenv func(string) (string, bool)
	errs   []error
}

// variable matches ${file:PATH}, ${NAME} and ${NAME:-default}.
var variable = regexp.MustCompile(`\$\{(?:file:([^}]+)|([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?)\}`)

// Visit expands one node; keys are left alone.
func (x *expander) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.MappingValueNode:
		x.plainSecret(n)
		ast.Walk(x, n.Value)
		return nil
	case *ast.StringNode:
		n.Value = x.expand(n.Value, n.GetToken().Position.Line)
	case *ast.LiteralNode:
		n.Value.Value = x.expand(n.Value.Value, n.GetToken().Position.Line)
	}
	return x
}

func (x *expander) expand(s string, line int) string {
	return variable.ReplaceAllStringFunc(s, func(m string) string {
		part := variable.FindStringSubmatch(m)
		if part[1] != "" {
			return x.content(part[1], line)
		}
		if v, ok := x.getenv(part[2]); ok && v != "" {
			// A path given on the command line of the shell starts from where the
			// shell stands, not from the config's folder.
			if strings.HasPrefix(v, "./") || strings.HasPrefix(v, "../") || v == "." || v == ".." {
				if abs, err := filepath.Abs(v); err == nil {
					return abs
				}
			}
			return v
		}
		if part[3] == "" {
			x.errs = append(x.errs, feedlake.Hint(fmt.Errorf("%s:%d: variable %s is not set: %w", x.path, line, part[2], feedlake.ErrConfig),
				"export %s, or give a default: ${%s:-value}", part[2], part[2]))
		}
		return part[4]
	})
}

// content is what a file holds, without the end of its last line.
func (x *expander) content(path string, line int) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(x.base, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		x.errs = append(x.errs, feedlake.Hint(fmt.Errorf("%s:%d: %w: %w", x.path, line, err, feedlake.ErrConfig), "a relative path starts from the config's folder"))
	}
	return strings.TrimRight(string(b), "\r\n")
}

// yamlError turns the library's error into "file:line:column: message".
func yamlError(path string, err error) error {
	var ye yaml.Error
	if !errors.As(err, &ye) {
		return fmt.Errorf("%s: %w: %w", path, err, feedlake.ErrConfig)
	}
	at := path
	if tok := ye.GetToken(); tok != nil {
		at = fmt.Sprintf("%s:%d:%d", path, tok.Position.Line, tok.Position.Column)
	}
	e := fmt.Errorf("%s: %s: %w", at, ye.GetMessage(), feedlake.ErrConfig)
	if strings.Contains(ye.GetMessage(), "unknown field") {
		return feedlake.Hint(e, "check the spelling; feedlake init writes a config with every key explained")
	}
	return feedlake.Hint(e, "feedlake init writes a config with every key explained")
}

// validate reports the first value that cannot be used.
func (c *Config) validate() error {
	bad := func(hint, format string, args ...any) error {
		return feedlake.Hint(fmt.Errorf("%s: %s: %w", c.File, fmt.Sprintf(format, args...), feedlake.ErrConfig), "%s", hint)
	}
	if err := c.validateCare(bad); err != nil {
		return err
	}
	if err := c.validateLake(bad); err != nil {
		return err
	}
	if err := c.ValidateEngine(bad); err != nil {
		return err
	}
	if err := c.validateParallel(bad); err != nil {
		return err
	}
	if err := c.validateSources(bad); err != nil {
		return err
	}
	if c.Rejects.MaxShare < 0 || c.Rejects.MaxShare > 1 {
		return bad("a share, such as 0.05", "rejects.max_share %v", c.Rejects.MaxShare)
	}
	for i, l := range c.Labels {
		if l.File == "" || l.Dataset == "" {
			return bad("a file, and a name for the set", "labels[%d] needs file and dataset", i)
		}
	}
	for i, p := range c.Publish {
		if p.Kind == "" {
			return bad("such as postgres or export", "publish[%d] has no kind", i)
		}
	}
	return nil
}

// Path resolves a path of the config.
func (c *Config) Path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.Base, p)
}
