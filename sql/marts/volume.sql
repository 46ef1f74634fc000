-- model: marts.volume
-- about: posts per hour, source and language
-- inputs: features.posts
-- partition: day
-- key: hour, source, lang
-- column hour: UTC hour
-- column day: UTC day of the hour
-- column source: name of the configured source
-- column lang: language of the posts; und when unknown
-- column posts: posts of the hour, whatever their kind
-- column authors: distinct authors of the hour
-- column replies: of the posts, replies and comments
-- column reposts: of the posts, reposts
-- column with_engagement: of the posts, those whose network gives likes, reposts or replies
-- check: not_null(hour, day, source, lang)
-- check: unique(hour, source, lang)
-- check: range(posts: 1..)
-- check: fresh(hour, 48h)

select hour, day, source, lang,
       cast(count(*) as bigint) as posts,
       cast(count(distinct author_id) as bigint) as authors,
       cast(count(case when kind in ('reply', 'comment') then 1 end) as bigint) as replies,
       cast(count(case when kind = 'repost' then 1 end) as bigint) as reposts,
       cast(count(engagement) as bigint) as with_engagement
from features.posts
group by hour, day, source, lang
