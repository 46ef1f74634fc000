package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/withdraw"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/schedules"
)

// policyConfig says what may be done with the posts of a source. What it leaves
// open is as the platform's terms have it (ingest.TermsOf).
type policyConfig struct {
	Train        string `yaml:"train"`        // allow or deny: may models learn from them
	Redistribute string `yaml:"redistribute"` // allow or deny: may tables of single posts be published
	RetainDays   int    `yaml:"retain_days"`  // posts made longer ago leave the lake; 0: they stay
}

const (
	allow = "allow"
	deny  = "deny"
)

func (p policyConfig) valid() bool {
	known := func(s string) bool { return s == "" || s == allow || s == deny }
	return known(p.Train) && known(p.Redistribute) && p.RetainDays >= 0
}

// rule is what forbids a use: the choice of the config, or the platform's terms;
// "" when it is allowed.
func (c *config) rule(key, choice, terms string) string {
	switch {
	case choice == deny:
		return fmt.Sprintf("policy.%s is deny in %s", key, c.file)
	case choice == allow || terms == "":
		return ""
	}
	return fmt.Sprintf("%s (policy.%s is deny unless the config says allow)", terms, key)
}

// terms are those of the platform that a source's posts come from: its kind, or
// the shape of an archive.
func (c *config) terms(s sourceConfig) ingest.Terms {
	platform := s.Kind
	if s.Kind == files.Kind {
		var archive files.Config
		if c.decoder(s.With)(&archive) == nil {
			platform = archive.Shape
		}
	}
	return ingest.TermsOf(platform)
}

// untrainable lists the sources that no model may learn from.
func (c *config) untrainable() []feedlake.Prohibition {
	return c.prohibitions(func(s sourceConfig) string { return c.rule("train", s.Policy.Train, c.terms(s).Train) })
}

// withheld lists the sources whose single posts are not passed on.
func (c *config) withheld() []feedlake.Prohibition {
	return c.prohibitions(func(s sourceConfig) string {
		return c.rule("redistribute", s.Policy.Redistribute, c.terms(s).Redistribute)
	})
}

func (c *config) prohibitions(of func(sourceConfig) string) []feedlake.Prohibition {
	var out []feedlake.Prohibition
	for _, s := range c.Sources {
		if rule := of(s); rule != "" {
			out = append(out, feedlake.Prohibition{Source: s.Name, Rule: rule})
		}
	}
	return out
}

// horizon is the day from which on the posts of a source are kept; zero when all
// are.
func (s sourceConfig) horizon(now time.Time) time.Time {
	if s.Policy.RetainDays == 0 {
		return time.Time{}
	}
	return now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -s.Policy.RetainDays)
}

// retain takes posts out of the lake that are older than their source keeps
// them, with their scores and rejects, and withdraws those whose account is gone;
// the tables that SQL builds follow. Older snapshots hold them until they expire. A
// source that fails does not stop the others.
func (a *app) retain(ctx context.Context) error {
	var details []string
	var failed []error
	for _, s := range a.cfg.Sources {
		said, err := a.retainOne(ctx, s)
		details = append(details, said...)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return err
		default:
			failed = append(failed, err)
			details = append(details, s.Name+": stopped")
		}
	}
	if len(details) == 0 {
		details = append(details, "nothing is older than its source keeps it, and no account is gone")
	}
	schedules.Report(ctx, schedules.Counts{Detail: strings.Join(details, "; ")})
	return inPart(len(a.cfg.Sources), "source", failed)
}

// retainOne withdraws and forgets the posts of one source, and says of how many.
func (a *app) retainOne(ctx context.Context, s sourceConfig) (said []string, err error) {
	n, err := withdraw.Posts(ctx, withdraw.Options{
		Source: s.Name, RunID: schedules.RunOf(ctx).ID, Lake: a.lake,
		Open: func(ctx context.Context) (*query.DB, error) { return a.duckdb(ctx) },
	})
	schedules.Report(ctx, schedules.Counts{RowsIn: n, RowsOut: n})
	if n > 0 {
		said = append(said, fmt.Sprintf("%s: %s withdrawn, deleted by account or by number", s.Name, plural(n, "post")))
	}
	from := s.horizon(a.o.env.now())
	if err != nil || from.IsZero() {
		return said, err
	}
	days, rows, err := a.forget(ctx, s.Name, from)
	schedules.Report(ctx, schedules.Counts{RowsIn: rows, RowsOut: rows})
	if err != nil {
		return said, fmt.Errorf("keep %s for %d days: %w", s.Name, s.Policy.RetainDays, err)
	}
	if rows > 0 {
		said = append(said, fmt.Sprintf("%s: %s of %s left, made before %s (policy.retain_days is %d)",
			s.Name, plural(rows, "row"), plural(int64(days), "day"), from.Format(time.DateOnly), s.Policy.RetainDays))
	}
	return said, nil
}

// forget removes a source's days before from out of the tables that hold single
// posts, and its rejects of that time.
func (a *app) forget(ctx context.Context, source string, from time.Time) (days int, rows int64, err error) {
	for _, table := range []string{lake.SentimentScores().Name, lake.RawPosts().Name} {
		d, n, err := a.dropDays(ctx, table, source, from)
		if err != nil {
			return days, rows, err
		}
		days, rows = max(days, d), rows+n
	}
	db, err := a.duckdb(ctx)
	if err != nil {
		return days, rows, err
	}
	res, err := a.lake.Erase(ctx, lake.EraseOptions{
		Table: lake.RawRejects().Name, Request: "retain " + source, RunID: schedules.RunOf(ctx).ID,
		Rows: query.Rows{DB: db, Remove: fmt.Sprintf("source = %s and rejected_at < timestamptz '%s'", query.Quote(source), from.Format(time.RFC3339))},
	})
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	return days, rows + res.Removed, err
}

// dropDays removes the partitions of a source's days before from.
func (a *app) dropDays(ctx context.Context, table, source string, from time.Time) (days int, rows int64, err error) {
	cur, err := a.lake.Current(ctx, table)
	if err != nil || cur.ID == 0 {
		return 0, 0, err
	}
	live, err := a.lake.Files(ctx, table, cur.ID)
	if err != nil {
		return 0, 0, err
	}
	old := map[lake.Partition]bool{}
	for _, f := range live {
		of, _ := f.Partition.Value("source")
		day, _ := f.Partition.Value("day")
		if of == source && day != "" && day < from.Format(time.DateOnly) {
			old[f.Partition] = true
			rows += f.Rows
		}
	}
	if len(old) == 0 {
		return 0, 0, nil
	}
	c := lake.Commit{
		Table: table, ID: fmt.Sprintf("retain/%s/%s/%d", source, from.Format(time.DateOnly), cur.ID),
		Summary: map[string]string{lake.SummaryRunID: schedules.RunOf(ctx).ID, lake.SummaryErased: "retain " + source},
	}
	for p := range old {
		c.Replace = append(c.Replace, p)
	}
	_, err = a.lake.CommitOrAsk(ctx, c)
	return len(old), rows, err
}
