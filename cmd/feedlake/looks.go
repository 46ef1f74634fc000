package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/looks"
)

// shortestLook is the least age at which posts are read again.
const shortestLook = time.Hour

// ages are those of look_again, such as 1d, 7d or 36h.
func (s sourceConfig) ages() ([]time.Duration, error) {
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

// lookAgain lets a source read its posts again at the ages of the configuration.
func (a *app) lookAgain(s sourceConfig, src ingest.Source, hide *ingest.Pseudonyms) (ingest.Source, error) {
	ages, err := s.ages()
	if err != nil {
		return nil, err
	}
	l, ok := src.(ingest.Looker)
	if !ok && len(ages) > 0 {
		return nil, feedlake.Hint(fmt.Errorf("source %s: look_again: its posts cannot be asked for again: %w", s.Name, feedlake.ErrConfig), "take look_again out")
	}
	if !ok {
		return src, nil
	}
	return looks.Wrap(src, looks.Options{Ages: ages, Now: a.o.env.now, Open: func(ctx context.Context, w feedlake.Window) (ingest.Source, func(*feedlake.Post) bool, error) {
		held, err := holdings{a}.versions(ctx, s.Name, w)
		if err != nil {
			return nil, nil, err
		}
		again, err := l.Look(ctx, w, slices.Sorted(maps.Keys(held)))
		return again, func(p *feedlake.Post) bool {
			landed := *p
			if hide != nil {
				landed.Source, landed.Mentions, landed.URLs = s.Name, nil, nil
				hide.Hide(&landed)
			}
			return held[landed.ID] != frontier.Version(&landed)
		}, err
	}}), nil
}

// newest are the posts of a source that were created in a window, as they were
// seen last.
const newest = `SELECT id, kind, coalesce(text, ''), likes, reposts, replies, views FROM (
  SELECT *, row_number() OVER (PARTITION BY id ORDER BY coalesce(observed_at, TIMESTAMPTZ '1970-01-01 00:00:00+00') DESC, seq DESC NULLS LAST) AS n
  FROM raw.posts WHERE created_at >= $1 AND created_at < $2
) WHERE n = 1 AND NOT deleted AND kind IN ('post', 'reply', 'repost', 'quote', 'comment')`

// versions are what the posts of a source say that were created in a window.
func (h holdings) versions(ctx context.Context, source string, w feedlake.Window) (out map[string]string, err error) {
	db, err := h.a.duckdb(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := h.view(ctx, db, source, w); err != nil {
		return nil, err
	}
	rows, err := db.SQL().QueryContext(ctx, newest, w.Start.UTC(), w.End.UTC())
	if err != nil {
		return nil, fmt.Errorf("list what the lake holds of %s: %w", source, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	out = map[string]string{}
	for rows.Next() {
		var p feedlake.Post
		if err := rows.Scan(&p.ID, &p.Kind, &p.Text, &p.Likes, &p.Reposts, &p.Replies, &p.Views); err != nil {
			return nil, fmt.Errorf("list what the lake holds of %s: %w", source, err)
		}
		out[p.ID] = frontier.Version(&p)
	}
	return out, rows.Err()
}
