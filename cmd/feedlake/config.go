package main

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

// config is one YAML file. Defaults are filled first, unknown keys are errors,
// and ${NAME} or ${NAME:-default} in a value takes it from the environment,
// ${file:PATH} from a file.
// Relative paths start from the file's folder.
type config struct {
	Lake        lakeConfig                  `yaml:"lake"`
	Engine      engineConfig                `yaml:"engine"`
	Sources     []sourceConfig              `yaml:"sources"`
	Credentials map[string]credentialConfig `yaml:"credentials"`
	Pseudonyms  pseudonymsConfig            `yaml:"pseudonyms"`
	Rejects     rejectsConfig               `yaml:"rejects"`
	Labels      []labelsConfig              `yaml:"labels"`
	Models      modelsConfig                `yaml:"models"`
	Publish     []publishConfig             `yaml:"publish"`
	Schedule    map[string]scheduleConfig   `yaml:"schedule"`
	Care        careConfig                  `yaml:"care"`
	Serve       serveConfig                 `yaml:"serve"`
	Log         logConfig                   `yaml:"log"`

	base string // folder that relative paths start from
	file string // "" when no file was read
}

// engineConfig says what runs the SQL of sql/.
type engineConfig struct {
	Kind    string      `yaml:"kind"` // duckdb, spark or auto
	Memory  string      `yaml:"memory"`
	Threads int         `yaml:"threads"`
	Remote  string      `yaml:"remote"` // of Spark Connect: sc://host:port
	Above   string      `yaml:"above"`  // auto: Spark when a run reads more than this; "": a multiple of memory
	Spark   sparkConfig `yaml:"spark"`
}

// sparkConfig says how Spark reaches what feedlake reaches under another address.
type sparkConfig struct {
	Catalog  string `yaml:"catalog"`     // JDBC URL; "": made from lake.catalog
	Endpoint string `yaml:"s3_endpoint"` // "": lake.s3.endpoint
}

type rejectsConfig struct {
	MaxShare float64 `yaml:"max_share"`
}

type labelsConfig struct {
	File    string `yaml:"file"`
	Dataset string `yaml:"dataset"`
	Label   string `yaml:"label"`
	Text    string `yaml:"text"`
	ID      string `yaml:"id"`
	Lang    string `yaml:"lang"`
}

type modelsConfig struct {
	Sentiment sentimentConfig `yaml:"sentiment"`
	Trends    trendsConfig    `yaml:"trends"`
}

type sentimentConfig struct {
	Seed     int64      `yaml:"seed"`
	Language string     `yaml:"language"` // of labels that do not tell theirs
	Gate     gateConfig `yaml:"gate"`
}

type gateConfig struct {
	MacroRecall float64 `yaml:"macro_recall"`
	Drop        float64 `yaml:"drop"`
}

type trendsConfig struct {
	Seed    int64         `yaml:"seed"`
	Every   time.Duration `yaml:"every"`
	Authors int64         `yaml:"authors"` // fewest authors of a trending hour
}

type publishConfig struct {
	Name   string   `yaml:"name"`
	Kind   string   `yaml:"kind"`
	Dir    string   `yaml:"dir"`
	DSN    string   `yaml:"dsn"`
	Schema string   `yaml:"schema"`
	Tables []string `yaml:"tables"`
}

type scheduleConfig struct {
	Cron    string `yaml:"cron"`
	Zone    string `yaml:"zone"`
	CatchUp string `yaml:"catch_up"`
}

type serveConfig struct {
	Addr  string `yaml:"addr"`
	Token string `yaml:"token"`
}

type logConfig struct {
	Level string `yaml:"level"`
}

// defaultConfig is what a person who writes nothing gets.
func defaultConfig() config {
	return config{
		Lake:    lakeConfig{Dir: "lake"},
		Engine:  engineConfig{Kind: "duckdb", Memory: "700MB"},
		Rejects: rejectsConfig{MaxShare: 0.05},
		Models: modelsConfig{
			Sentiment: sentimentConfig{Seed: 1, Language: "en", Gate: gateConfig{MacroRecall: 0.5, Drop: 0.02}},
			Trends:    trendsConfig{Seed: 1, Every: 7 * 24 * time.Hour, Authors: 3},
		},
		Care:  careConfig{Auto: true, Time: time.Minute, Rewrite: "1GB"},
		Serve: serveConfig{Addr: "127.0.0.1:5002"},
		Log:   logConfig{Level: "info"},
	}
}

// loadConfig reads a config file. Every error names file and line, wraps
// feedlake.ErrConfig and carries a hint.
func loadConfig(path string, getenv func(string) (string, bool)) (config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return config{}, feedlake.Hint(fmt.Errorf("read config: %w: %w", err, feedlake.ErrConfig), "write one with: feedlake init")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return config{}, fmt.Errorf("read config %s: %w", path, err)
	}
	return parseConfig(path, filepath.Dir(abs), text, getenv)
}

func parseConfig(path, base string, text []byte, getenv func(string) (string, bool)) (config, error) {
	c := defaultConfig()
	c.base, c.file = base, path
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
	c.base, c.file = base, path
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
func (c *config) validate() error {
	bad := func(hint, format string, args ...any) error {
		return feedlake.Hint(fmt.Errorf("%s: %s: %w", c.file, fmt.Sprintf(format, args...), feedlake.ErrConfig), "%s", hint)
	}
	if err := c.validateCare(bad); err != nil {
		return err
	}
	if err := c.validateLake(bad); err != nil {
		return err
	}
	if err := c.validateEngine(bad); err != nil {
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
		switch {
		case p.Kind == "postgres" && p.DSN == "":
			return bad("dsn: ${FEEDLAKE_DSN}", "publish[%d] has no dsn", i)
		case p.Kind == "export" && p.Dir == "":
			return bad("dir: publish", "publish[%d] has no dir", i)
		case p.Kind != "postgres" && p.Kind != "export":
			return bad("postgres or export", "publish[%d].kind %q", i, p.Kind)
		}
	}
	return nil
}

// path resolves a path of the config.
func (c *config) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.base, p)
}
