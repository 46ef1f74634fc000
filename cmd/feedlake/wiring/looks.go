package wiring

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/holdings"
	"github.com/feedlake/feedlake/ingest/looks"
)

// lookAgain lets a source read its posts again at the ages of the configuration.
func (a *App) lookAgain(s config.Source, src ingest.Source, hide *ingest.Pseudonyms) (ingest.Source, error) {
	ages, err := s.Ages()
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
	return looks.Wrap(src, looks.Options{Ages: ages, Now: a.Now, Open: func(ctx context.Context, w feedlake.Window) (ingest.Source, func(*feedlake.Post) bool, error) {
		held, err := holdings.Holdings{Lake: a.Lake, Open: a.open}.Versions(ctx, s.Name, w)
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
