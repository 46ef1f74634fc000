-- model: features.hashtag_hourly
-- about: posts per hashtag and hour, with what was known of the hashtag before that hour
-- inputs: features.entities back=28d, features.posts back=28d
-- partition: source, day
-- key: source, hashtag, hour
-- additive: posts
-- column source: name of the configured source
-- column hashtag: in lower case, without '#'
-- column hour: UTC hour
-- column day: UTC day of the hour
-- column posts: posts of this hour that carry the hashtag
-- column authors: distinct authors of those posts
-- column posts_24h: posts with the hashtag in the 24 hours before, this one excluded
-- column posts_7d: posts with the hashtag in the 168 hours before, this one excluded
-- column posts_28d: posts with the hashtag in the 672 hours before, this one excluded
-- column same_hour_7d: posts with the hashtag in the same hour of day over the last 7 days
-- column hours_since_last: hours since the hashtag was last seen; NULL when not in the 672 hours before
-- column hours_known: hours since the source's first post in the 672 hours before (at most 672)
-- check: not_null(source, hashtag, hour, day)
-- check: unique(source, hashtag, hour)
-- check: range(posts: 1..)
-- check: range(hours_known: 0..672)

with hourly as (
  select source, entity as hashtag, hour, day,
         cast(count(*) as bigint) as posts,
         cast(count(distinct author_id) as bigint) as authors,
         cast(floor(unix_seconds(hour) / 3600e0) as bigint) as h
  from features.entities
  where kind = 'hashtag'
  group by source, entity, hour, day
),
rolling as (
  select source, hashtag, hour, day, posts, authors, h,
         coalesce(cast(sum(posts) over (partition by source, hashtag order by h range between 24 preceding and 1 preceding) as bigint), 0) as posts_24h,
         coalesce(cast(sum(posts) over (partition by source, hashtag order by h range between 168 preceding and 1 preceding) as bigint), 0) as posts_7d,
         coalesce(cast(sum(posts) over (partition by source, hashtag order by h range between 672 preceding and 1 preceding) as bigint), 0) as posts_28d,
         coalesce(cast(sum(posts) over (partition by source, hashtag, h % 24 order by h range between 168 preceding and 1 preceding) as bigint), 0) as same_hour_7d,
         h - max(h) over (partition by source, hashtag order by h range between 672 preceding and 1 preceding) as hours_since_last
  from hourly
),
active as (
  select distinct source, cast(floor(unix_seconds(hour) / 3600e0) as bigint) as h
  from features.posts
),
known as (
  select source, h,
         h - min(h) over (partition by source order by h range between 672 preceding and current row) as hours_known
  from active
)
select r.source, r.hashtag, r.hour, r.day, r.posts, r.authors,
       r.posts_24h, r.posts_7d, r.posts_28d, r.same_hour_7d, r.hours_since_last,
       coalesce(k.hours_known, 0) as hours_known
from rolling r
left join known k on k.source = r.source and k.h = r.h
