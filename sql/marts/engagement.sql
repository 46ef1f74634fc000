-- model: marts.engagement
-- about: reactions per day, source and language, and how they compare with followers; reposts are left out
-- inputs: features.posts
-- partition: day
-- key: day, source, lang, copy
-- additive: posts, rated_posts, likes, reposts, replies, views, total_engagement, engagement, followers
-- column day: UTC day
-- column source: name of the configured source
-- column lang: language of the posts; und when unknown
-- column copy: whether these are posts that a source before this one, by name, brings too: totals over sources sum the rows that are no copy
-- column posts: posts of the day that are no reposts
-- column rated_posts: of the posts, those with engagement and with followers of their author above 0
-- column likes: sum over the posts; NULL when none gives a count
-- column reposts: how often the posts were reposted, summed; NULL when none gives a count
-- column replies: sum over the posts; NULL when none gives a count
-- column views: sum over the posts; NULL when none gives a count
-- column total_engagement: likes + reposts + replies of the posts; NULL when none gives a count
-- column engagement: likes + reposts + replies of the rated posts; NULL when none is rated
-- column followers: followers of the authors of the rated posts, of each post once; NULL when none is rated
-- column engagement_rate: engagement / followers; NULL when none is rated; of several rows sum both, then divide
-- column median_rate: middle of the rates engagement / followers of the rated posts, rounded to a billionth each; NULL when none is rated; does not add up
-- check: not_null(day, source, lang, copy)
-- check: unique(day, source, lang, copy)
-- check: range(posts: 1..)

-- Rates are whole billionths, so that their order and their middle are the same on
-- every engine; the bounds (a rate of 9 million) keep them exact as doubles.
with rated as (
  select day, source, lang, copy, likes, reposts, replies, views, engagement,
         case when engagement is not null and author_followers > 0 then author_followers end as followers,
         case when engagement is not null and author_followers > 0 then
           cast(least(greatest(round(cast(engagement as double) * 1000000000e0 / cast(author_followers as double)),
             -9000000000000000e0), 9000000000000000e0) as bigint) end as rate
  from features.posts
  where coalesce(kind, '') <> 'repost'
),
placed as (
  select day, source, lang, copy, likes, reposts, replies, views, engagement, followers, rate,
         row_number() over (partition by day, source, lang, copy order by rate nulls last) as place,
         cast(count(rate) over (partition by day, source, lang, copy) as bigint) as rates
  from rated
),
summed as (
  select day, source, lang, copy,
         cast(count(*) as bigint) as posts,
         cast(count(rate) as bigint) as rated_posts,
         cast(sum(likes) as bigint) as likes,
         cast(sum(reposts) as bigint) as reposts,
         cast(sum(replies) as bigint) as replies,
         cast(sum(views) as bigint) as views,
         cast(sum(engagement) as bigint) as total_engagement,
         cast(sum(case when rate is not null then engagement end) as bigint) as engagement,
         cast(sum(followers) as bigint) as followers,
         cast(sum(case when 2 * place between rates and rates + 2 then rate end) as double) as middle,
         cast(count(case when 2 * place between rates and rates + 2 then rate end) as double) as middles
  from placed
  group by day, source, lang, copy
)
select day, source, lang, copy, posts, rated_posts, likes, reposts, replies, views, total_engagement, engagement, followers,
       cast(engagement as double) / nullif(cast(followers as double), 0e0) as engagement_rate,
       middle / 1000000000e0 / nullif(middles, 0e0) as median_rate
from summed
