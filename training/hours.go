package training

import (
	"context"
	"fmt"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// trainedTags bounds the hashtags that the count model is fitted on, by source,
// the ones with the most posts first; and trainedHours how many of the newest
// hours of each.
const (
	trainedTags  = 150
	trainedHours = 8 * 7 * 24
)

// hoursQuery spreads the busiest hashtags over every hour of their source, hours
// without posts included, because features.hashtag_hourly has rows only for hours
// with posts: a model fitted on those alone would never expect less than one
// post. The hours before a hashtag was first seen are among them, or the model
// would learn that a new hashtag always comes with posts. The windows are those
// of features.hashtag_hourly.
const hoursQuery = `
with top as (
  select source, hashtag from features.hashtag_hourly
  where not list_contains(string_split(?, chr(31)), source)
  group by source, hashtag
  qualify row_number() over (partition by source order by sum(posts) desc, hashtag) <= ?
),
known as (
  select source, min(hour) as first_hour, max(hour) as last_hour from features.hashtag_hourly group by all
),
grid as (
  select t.source, t.hashtag, k.first_hour as source_hour,
         unnest(generate_series(greatest(k.first_hour, k.last_hour - to_hours(?)), k.last_hour, interval 1 hour)) as hour
  from top t join known k using (source)
),
filled as (
  select g.*, coalesce(h.posts, 0) as posts,
         cast(epoch(g.hour) as bigint) // 3600 as h
  from grid g left join features.hashtag_hourly h on h.source = g.source and h.hashtag = g.hashtag and h.hour = g.hour
),
windows as (
  select *,
         coalesce(sum(posts) over (tag range between 24 preceding and 1 preceding), 0) as posts_24h,
         coalesce(sum(posts) over (tag range between 168 preceding and 1 preceding), 0) as posts_7d,
         coalesce(sum(posts) over (tag range between 672 preceding and 1 preceding), 0) as posts_28d,
         coalesce(sum(posts) over (partition by source, hashtag, h % 24 order by h range between 168 preceding and 1 preceding), 0) as same_hour_7d,
         h - max(case when posts > 0 then h end) over (tag range between 672 preceding and 1 preceding) as since_last
  from filled
  window tag as (partition by source, hashtag order by h)
)
select posts, posts_24h::bigint, posts_7d::bigint, posts_28d::bigint, same_hour_7d::bigint, coalesce(since_last, 0),
       least(672, cast(epoch(hour - source_hour) as bigint) // 3600),
       (isodow(hour) - 1) * 24 + extract(hour from hour)
from windows
order by hour, source, hashtag`

// readHours reads what the count model is fitted on, oldest first, and tells by
// which rules sources were left out.
func readHours(ctx context.Context, l *lake.Lake, db *query.DB, barred []feedlake.Prohibition) (_ []TagHour, leftOut []string, snapshot int64, _ error) {
	const input = "features.hashtag_hourly"
	cur, err := l.Current(ctx, input)
	if err != nil {
		return nil, nil, 0, err
	}
	if cur.ID == 0 {
		return nil, nil, 0, fmt.Errorf("table %s holds nothing: %w", input, feedlake.ErrNotFound)
	}
	if err := db.PinTable(ctx, l, input, cur.ID); err != nil {
		return nil, nil, 0, err
	}
	if leftOut, err = db.Prohibited(ctx, input, barred); err != nil {
		return nil, nil, 0, err
	}
	rows, err := db.SQL().QueryContext(ctx, hoursQuery, query.ProhibitedSources(barred), trainedTags, trainedHours)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("read hours: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	var out []TagHour
	for rows.Next() {
		var h TagHour
		if err := rows.Scan(&h.Posts, &h.Posts24h, &h.Posts7d, &h.Posts28d, &h.SameHour7d, &h.HoursSinceLast, &h.HoursKnown, &h.HourOfWeek); err != nil {
			return nil, nil, 0, fmt.Errorf("read hours: %w", err)
		}
		out = append(out, h)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, 0, fmt.Errorf("read hours: %w", err)
	}
	if len(out) == 0 && len(leftOut) > 0 {
		return nil, leftOut, cur.ID, fmt.Errorf("table %s: %s: %w", input, strings.Join(leftOut, "; "), feedlake.ErrForbidden)
	}
	if len(out) == 0 {
		return nil, nil, 0, fmt.Errorf("table %s holds nothing: %w", input, feedlake.ErrNotFound)
	}
	return out, leftOut, cur.ID, nil
}
