package config

import "time"

// Care says what feedlake does by itself, after each run, to keep the lake
// fast: small files become large ones, and snapshots that nobody needs go.
type Care struct {
	Auto    bool          `yaml:"auto"`
	Time    time.Duration `yaml:"time"`    // no rewriting begins later than this after a run
	Rewrite string        `yaml:"rewrite"` // so much is rewritten after a run at most
}

// validateCare reports the first value of the care part that cannot be used.
func (c *Config) validateCare(bad func(hint, format string, args ...any) error) error {
	if n, err := ParseSize(c.Care.Rewrite); err != nil || n <= 0 {
		return bad("such as 1GB", "care.rewrite %q", c.Care.Rewrite)
	}
	if c.Care.Time <= 0 {
		return bad("such as 1m; auto: false leaves care to feedlake lake compact and expire", "care.time %s", c.Care.Time)
	}
	return nil
}
