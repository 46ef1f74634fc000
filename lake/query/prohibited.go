package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
)

// prohibitedIn is the condition that a row's source is one of those that
// ProhibitedSources spells.
const prohibitedIn = "list_contains(string_split(?, chr(31)), source)"

// ProhibitedSources spells the sources as the argument of
// list_contains(string_split(?, chr(31)), source).
func ProhibitedSources(list []feedlake.Prohibition) string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = p.Source
	}
	return strings.Join(names, "\x1f")
}

// Prohibited names the rules, each with its source, that forbid a use of rows
// which a pinned table holds.
func (d *DB) Prohibited(ctx context.Context, table string, list []feedlake.Prohibition) (rules []string, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	rows, err := d.SQL().QueryContext(ctx, "select distinct source from "+table+" where "+prohibitedIn+" order by source", ProhibitedSources(list))
	if err != nil {
		return nil, fmt.Errorf("read sources of %s: %w", table, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var source string
		if err := rows.Scan(&source); err != nil {
			return nil, fmt.Errorf("read sources of %s: %w", table, err)
		}
		i := slices.IndexFunc(list, func(p feedlake.Prohibition) bool { return p.Source == source })
		rules = append(rules, source+": "+list[i].Rule)
	}
	return rules, rows.Err()
}
