package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/feedlake/feedlake"

	"github.com/goccy/go-yaml/ast"

	"github.com/feedlake/feedlake/ingest"
)

// Source is one of the sources; With is what its kind reads.
type Source struct {
	Name       string   `yaml:"name"`
	Kind       string   `yaml:"kind"`
	Credential string   `yaml:"credential"` // a name of credentials; "" asks without one
	Policy     Policy   `yaml:"policy"`
	LookAgain  []string `yaml:"look_again"` // ages at which posts are read once more, such as [1d, 7d]; none: never
	With       ast.Node `yaml:"with"`
}

// Credential is who asks a platform, and how much. All sources that name
// one share its pace and its budget.
type Credential struct {
	Keys   ast.Node `yaml:"keys"` // the platform's own; secrets come from the environment or from files
	Budget Budget   `yaml:"budget"`
}

// Budget bounds what a credential uses, in UTC days and months.
type Budget struct {
	Day   Use `yaml:"day"`
	Month Use `yaml:"month"`
}

// Use is an amount; 0 is no bound.
type Use struct {
	Requests int64   `yaml:"requests"`
	Posts    int64   `yaml:"posts"`
	Dollars  float64 `yaml:"dollars"`
}

func (u Use) use() ingest.Use {
	return ingest.Use{Requests: u.Requests, Posts: u.Posts, Micros: int64(math.Round(u.Dollars * 1e6))}
}

func (u Use) valid() bool { return u.Requests >= 0 && u.Posts >= 0 && u.Dollars >= 0 }

// validateSources reports the first source or credential that cannot be used.
func (c *Config) validateSources(bad func(hint, format string, args ...any) error) error {
	seen := map[string]bool{}
	for i, s := range c.Sources {
		switch {
		case s.Name == "":
			return bad("every source needs a name of its own; it becomes the cursor's name", "sources[%d] has no name", i)
		case s.Kind == "":
			return bad("such as files or simulate", "source %s has no kind", s.Name)
		case seen[s.Name]:
			return bad("a name is a cursor; two sources cannot share it", "two sources named %s", s.Name)
		}
		if _, ok := c.Credentials[s.Credential]; s.Credential != "" && !ok {
			return bad("define it under credentials:", "source %s: credential %q is not in the config", s.Name, s.Credential)
		}
		if !s.Policy.valid() {
			return bad("train and redistribute are allow or deny, retain_days is a number of days", "source %s: policy", s.Name)
		}
		if _, err := s.Ages(); err != nil {
			return bad("ages of an hour or more, such as [1d, 7d]", "source %s: look_again %v", s.Name, s.LookAgain)
		}
		seen[s.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(c.Credentials)) {
		if b := c.Credentials[name].Budget; !b.Day.valid() || !b.Month.valid() {
			return bad("numbers above 0", "credentials.%s.budget", name)
		}
	}
	return nil
}

// Pseudonyms hides who posts are by and whom they name, at landing.
type Pseudonyms struct {
	Key ingest.Secret `yaml:"key"` // of at least 16 bytes; "" lands accounts as they are
}

// Hiding are those of the config; nil when it asks for none.
func (c *Config) Hiding() (*ingest.Pseudonyms, error) {
	if c.Pseudonyms.Key == "" {
		return nil, nil //nolint:nilnil // none are asked for
	}
	p, err := ingest.NewPseudonyms(c.Pseudonyms.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	return p, nil
}

// Budgets are the bounds of the credentials that have some.
func (c *Config) Budgets() map[string]ingest.Budget {
	out := map[string]ingest.Budget{}
	for name, cr := range c.Credentials {
		out[name] = ingest.Budget{Day: cr.Budget.Day.use(), Month: cr.Budget.Month.use()}
	}
	return out
}

// shortestLook is the least age at which posts are read again.
const shortestLook = time.Hour

// Ages are those of look_again, such as 1d, 7d or 36h.
func (s Source) Ages() ([]time.Duration, error) {
	var out []time.Duration
	for _, text := range s.LookAgain {
		age, err := time.ParseDuration(text)
		if days, ok := strings.CutSuffix(text, "d"); ok {
			var n int
			n, err = strconv.Atoi(days)
			age = time.Duration(n) * 24 * time.Hour
		}
		if err != nil || age < shortestLook {
			return nil, fmt.Errorf("source %s: look_again %q: %w", s.Name, text, feedlake.ErrConfig)
		}
		out = append(out, age)
	}
	return out, nil
}

// Decoder decodes a part of the config that a source describes, strictly.
func (c *Config) Decoder(n ast.Node) ingest.Decoder {
	return func(v any) error {
		if n == nil || n.Type() == ast.NullType {
			return nil
		}
		if err := yaml.NodeToValue(n, v, yaml.Strict()); err != nil {
			return yamlError(c.File, err)
		}
		return nil
	}
}

// Locate puts the place in the config before an error that names a key of the source's
// "with" block.
func (c *Config) Locate(s Source, err error) error {
	k, ok := errors.AsType[*ingest.KeyError](err)
	if !ok || s.With == nil {
		return err
	}
	path, bad := yaml.PathString("$." + k.Key)
	if bad != nil {
		return err
	}
	n, bad := path.FilterNode(s.With)
	if bad != nil || n == nil {
		return err
	}
	return fmt.Errorf("%s:%d: %w", c.File, n.GetToken().Position.Line, err)
}
