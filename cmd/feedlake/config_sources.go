package main

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/feedlake/feedlake/ingest"
)

type sourceConfig struct {
	Name       string       `yaml:"name"`
	Kind       string       `yaml:"kind"`
	Credential string       `yaml:"credential"` // a name of credentials; "" asks without one
	Policy     policyConfig `yaml:"policy"`
	LookAgain  []string     `yaml:"look_again"` // ages at which posts are read once more, such as [1d, 7d]; none: never
	With       ast.Node     `yaml:"with"`
}

// credentialConfig is who asks a platform, and how much. All sources that name
// one share its pace and its budget.
type credentialConfig struct {
	Keys   ast.Node     `yaml:"keys"` // the platform's own; secrets come from the environment or from files
	Budget budgetConfig `yaml:"budget"`
}

// budgetConfig bounds what a credential uses, in UTC days and months.
type budgetConfig struct {
	Day   useConfig `yaml:"day"`
	Month useConfig `yaml:"month"`
}

// useConfig is an amount; 0 is no bound.
type useConfig struct {
	Requests int64   `yaml:"requests"`
	Posts    int64   `yaml:"posts"`
	Dollars  float64 `yaml:"dollars"`
}

func (u useConfig) use() ingest.Use {
	return ingest.Use{Requests: u.Requests, Posts: u.Posts, Micros: int64(math.Round(u.Dollars * 1e6))}
}

func (u useConfig) valid() bool { return u.Requests >= 0 && u.Posts >= 0 && u.Dollars >= 0 }

// validateSources reports the first source or credential that cannot be used.
func (c *config) validateSources(bad func(hint, format string, args ...any) error) error {
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
		if _, err := s.ages(); err != nil {
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

// pseudonymsConfig hides who posts are by and whom they name, at landing.
type pseudonymsConfig struct {
	Key ingest.Secret `yaml:"key"` // of at least 16 bytes; "" lands accounts as they are
}

// pseudonyms are those of the config; nil when it asks for none.
func (c *config) pseudonyms() (*ingest.Pseudonyms, error) {
	if c.Pseudonyms.Key == "" {
		return nil, nil //nolint:nilnil // none are asked for
	}
	p, err := ingest.NewPseudonyms(c.Pseudonyms.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.file, err)
	}
	return p, nil
}

// budgets are the bounds of the credentials that have some.
func (c *config) budgets() map[string]ingest.Budget {
	out := map[string]ingest.Budget{}
	for name, cr := range c.Credentials {
		out[name] = ingest.Budget{Day: cr.Budget.Day.use(), Month: cr.Budget.Month.use()}
	}
	return out
}
