-- model: marts.volume
-- about: posts per hour, source and language; totals over sources sum the rows that are no copy
-- inputs: features.posts
-- partition: day
-- key: hour, source, lang, copy
-- grows: hours
-- additive: posts, originals, replies, reposts, with_engagement
-- column hour: UTC hour
-- column day: UTC day of the hour
-- column source: name of the configured source
-- column lang: language of the posts; und when unknown
-- column copy: whether these are posts that a source before this one, by name, brings too
-- column posts: posts of the hour, whatever their kind
-- column originals: of the posts, those that are no reposts
-- column authors: distinct authors of the row's posts; does not add up over rows
-- column replies: of the posts, replies and comments
-- column reposts: of the posts, reposts
-- column with_engagement: of the posts, those whose network gives likes, reposts or replies
-- check: not_null(hour, day, source, lang, copy)
-- check: unique(hour, source, lang, copy)
-- check: range(posts: 1..)
-- check: fresh(hour, 48h)

select hour, day, source, lang, copy,
       cast(count(*) as bigint) as posts,
       cast(count(case when coalesce(kind, '') <> 'repost' then 1 end) as bigint) as originals,
       cast(count(distinct author_id) as bigint) as authors,
       cast(count(case when kind in ('reply', 'comment') then 1 end) as bigint) as replies,
       cast(count(case when kind = 'repost' then 1 end) as bigint) as reposts,
       cast(count(engagement) as bigint) as with_engagement
from features.posts
group by hour, day, source, lang, copy
