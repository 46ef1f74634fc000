package config

import (
	"fmt"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
)

// Policy says what may be done with the posts of a source. What it leaves
// open is as the platform's terms have it (ingest.TermsOf).
type Policy struct {
	Train        string `yaml:"train"`        // allow or deny: may models learn from them
	Redistribute string `yaml:"redistribute"` // allow or deny: may tables of single posts be published
	RetainDays   int    `yaml:"retain_days"`  // posts made longer ago leave the lake; 0: they stay
}

const (
	allow = "allow"
	deny  = "deny"
)

func (p Policy) valid() bool {
	known := func(s string) bool { return s == "" || s == allow || s == deny }
	return known(p.Train) && known(p.Redistribute) && p.RetainDays >= 0
}

// rule is what forbids a use: the choice of the config, or the platform's terms;
// "" when it is allowed.
func (c *Config) rule(key, choice, terms string) string {
	switch {
	case choice == deny:
		return fmt.Sprintf("policy.%s is deny in %s", key, c.File)
	case choice == allow || terms == "":
		return ""
	}
	return fmt.Sprintf("%s (policy.%s is deny unless the config says allow)", terms, key)
}

// terms are those of the platform that a source's posts come from: its kind, or
// the shape of an archive.
func (c *Config) terms(s Source) ingest.Terms {
	platform := s.Kind
	if s.Kind == files.Kind {
		var archive files.Config
		if c.Decoder(s.With)(&archive) == nil {
			platform = archive.Shape
		}
	}
	return ingest.TermsOf(platform)
}

// Untrainable lists the sources that no model may learn from.
func (c *Config) Untrainable() []feedlake.Prohibition {
	return c.prohibitions(func(s Source) string { return c.rule("train", s.Policy.Train, c.terms(s).Train) })
}

// Withheld lists the sources whose single posts are not passed on.
func (c *Config) Withheld() []feedlake.Prohibition {
	return c.prohibitions(func(s Source) string {
		return c.rule("redistribute", s.Policy.Redistribute, c.terms(s).Redistribute)
	})
}

func (c *Config) prohibitions(of func(Source) string) []feedlake.Prohibition {
	var out []feedlake.Prohibition
	for _, s := range c.Sources {
		if rule := of(s); rule != "" {
			out = append(out, feedlake.Prohibition{Source: s.Name, Rule: rule})
		}
	}
	return out
}

// Horizon is the day from which on the posts of a source are kept; zero when all
// are.
func (s Source) Horizon(now time.Time) time.Time {
	if s.Policy.RetainDays == 0 {
		return time.Time{}
	}
	return now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -s.Policy.RetainDays)
}
