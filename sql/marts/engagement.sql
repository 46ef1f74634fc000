-- model: marts.engagement
-- about: reactions per day, source and language, and how they compare with followers; reposts are left out
-- inputs: features.reactions
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

-- The posts of a day in the order of their rates: upto counts those up to a rate,
-- so that the one or two in the middle are found without the posts themselves.
with daily as (
  select day, source, lang, copy, rate,
         cast(sum(posts) as bigint) as posts, cast(sum(likes) as bigint) as likes, cast(sum(reposts) as bigint) as reposts,
         cast(sum(replies) as bigint) as replies, cast(sum(views) as bigint) as views, cast(sum(engagement) as bigint) as engagement,
         cast(sum(followers) as bigint) as followers,
         cast(sum(case when rate is not null then posts else 0 end) as bigint) as rated
  from features.reactions
  group by day, source, lang, copy, rate
),
placed as (
  select *, cast(sum(rated) over (partition by day, source, lang, copy order by rate nulls last) as bigint) as upto,
         cast(sum(rated) over (partition by day, source, lang, copy) as bigint) as rates
  from daily
),
middle as (
  select *, case when rate is not null and 2 * upto >= rates and 2 * (upto - rated) < rates then 1 else 0 end
          + case when rate is not null and rates % 2 = 0 and 2 * upto >= rates + 2 and 2 * (upto - rated) < rates + 2 then 1 else 0 end as middles
  from placed
),
summed as (
  select day, source, lang, copy,
         cast(sum(posts) as bigint) as posts,
         cast(sum(rated) as bigint) as rated_posts,
         cast(sum(likes) as bigint) as likes,
         cast(sum(reposts) as bigint) as reposts,
         cast(sum(replies) as bigint) as replies,
         cast(sum(views) as bigint) as views,
         cast(sum(engagement) as bigint) as total_engagement,
         cast(sum(case when rate is not null then engagement end) as bigint) as engagement,
         cast(sum(followers) as bigint) as followers,
         cast(sum(case when middles > 0 then rate * middles end) as double) as middle,
         cast(sum(middles) as double) as middles
  from middle
  group by day, source, lang, copy
)
select day, source, lang, copy, posts, rated_posts, likes, reposts, replies, views, total_engagement, engagement, followers,
       cast(engagement as double) / nullif(cast(followers as double), 0e0) as engagement_rate,
       middle / 1000000000e0 / nullif(middles, 0e0) as median_rate
from summed
