// Package simulate makes posts up: seeded, so that one configuration always
// gives the same posts; in any volume; with what real networks have: authors of
// skewed activity, hours of day, weekdays, languages, hashtags with planted
// bursts, sentiment in the wording alone, edits, deletions, duplicates and
// broken records.
package simulate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
)

// Kind names the source in configurations.
const Kind = "simulate"

// Config is the "with" block of a simulated source. Zero values are the defaults.
type Config struct {
	Seed       uint64    `yaml:"seed"`
	Posts      int64     `yaml:"posts"`      // records in all; 10,000
	Start      time.Time `yaml:"start"`      // the first hour; 2026-01-05, a Monday
	Days       int       `yaml:"days"`       // 14
	Networks   []string  `yaml:"networks"`   // values of raw.posts.source; sim-x, sim-reddit, sim-mastodon
	Broken     *float64  `yaml:"broken"`     // share of records that cannot be read; 0.002
	Duplicates *float64  `yaml:"duplicates"` // share of records that come twice; 0.01
	Edits      *float64  `yaml:"edits"`      // share of posts that are edited later; 0.01
	Deletions  *float64  `yaml:"deletions"`  // share of posts that are deleted later; 0.01
}

// shares are the configured shares, resolved.
type shares struct{ broken, duplicates, edits, deletions float64 }

func share(v *float64, otherwise float64) float64 {
	if v == nil {
		return otherwise
	}
	return *v
}

func (c Config) shares() shares {
	return shares{share(c.Broken, 0.002), share(c.Duplicates, 0.01), share(c.Edits, 0.01), share(c.Deletions, 0.01)}
}

func (c Config) withDefaults() Config {
	if c.Posts == 0 {
		c.Posts = 10_000
	}
	if c.Start.IsZero() {
		c.Start = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	}
	c.Start = c.Start.UTC().Truncate(time.Hour)
	if c.Days == 0 {
		c.Days = 14
	}
	if len(c.Networks) == 0 {
		c.Networks = []string{"sim-x", "sim-reddit", "sim-mastodon"}
	}
	return c
}

func (c Config) validate() error {
	bad := func(hint, format string, args ...any) error {
		return feedlake.Hint(fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), feedlake.ErrConfig), "%s", hint)
	}
	if c.Posts < 0 || c.Days < 0 || c.Days > 3660 {
		return bad("posts above 0, days from 1 to 3660", "posts %d in %d days", c.Posts, c.Days)
	}
	s := c.shares()
	for name, v := range map[string]float64{"broken": s.broken, "duplicates": s.duplicates, "edits": s.edits, "deletions": s.deletions} {
		if v < 0 || v > 0.5 {
			return bad("a share from 0 to 0.5", "%s %v", name, v)
		}
	}
	if slices.Contains(c.Networks, "") {
		return bad("give each a name", "an empty network")
	}
	return nil
}

// Burst is a planted event: for some hours its hashtag is carried by many times
// the posts that carry it otherwise.
type Burst struct {
	Tag    string
	Start  time.Time // a whole hour
	Hours  int
	Factor float64 // posts with the tag in these hours, as a multiple of its usual count
}

// usualShare is the share of posts that carry a burst's hashtag at other times.
const usualShare = 0.002

// burstTags are what bursts are about.
var burstTags = [...]string{"blackout", "heatwave", "finale", "transferday", "outage", "verdict", "launch", "storm"}

// Bursts lists the planted bursts, in time order: one in about every four days,
// none in the first two, so that a baseline can be known.
func (c Config) Bursts() []Burst {
	c = c.withDefaults()
	r := rand.New(rand.NewPCG(c.Seed, streamBursts))
	var out []Burst
	for day := 2; day < c.Days; day += 3 + r.IntN(3) {
		out = append(out, Burst{
			Tag: burstTags[len(out)%len(burstTags)], Start: c.Start.Add(time.Duration(day*24+7+r.IntN(14)) * time.Hour),
			Hours: 3 + r.IntN(5), Factor: float64(60 + 10*r.IntN(9)),
		})
	}
	return out
}

// Streams of random numbers; one seed gives each its own.
const (
	streamRecords = iota + 1
	streamBursts
	streamAuthors
	streamLabels
	streamFates
)
