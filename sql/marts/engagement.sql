-- model: marts.engagement
-- about: reactions per day, source and language, and the mean engagement rate of a post
-- inputs: features.posts
-- partition: day
-- key: day, source, lang
-- column day: UTC day
-- column source: name of the configured source
-- column lang: language of the posts; und when unknown
-- column posts: posts of the day
-- column rated_posts: posts with engagement and with followers of their author above 0
-- column likes: sum over the posts; NULL when none gives a count
-- column reposts: sum over the posts; NULL when none gives a count
-- column replies: sum over the posts; NULL when none gives a count
-- column views: sum over the posts; NULL when none gives a count
-- column engagement: likes + reposts + replies of the posts; NULL when none gives a count
-- column followers: followers of the authors, summed over the rated posts; NULL when none is rated
-- column rate_sum: sum over the rated posts of engagement / followers, exact to a billionth each; NULL when none is rated
-- column engagement_rate: rate_sum / rated_posts, the mean rate of a post; NULL when none is rated
-- check: not_null(day, source, lang)
-- check: unique(day, source, lang)
-- check: range(posts: 1..)

-- Rates are summed as whole billionths, because a sum of doubles depends on its
-- order; the bounds (a rate of 9 million) keep them exact as doubles.
with rated as (
  select day, source, lang, likes, reposts, replies, views, engagement,
         case when engagement is not null and author_followers > 0 then author_followers end as followers,
         case when engagement is not null and author_followers > 0 then
           cast(least(greatest(round(cast(engagement as double) * 1000000000e0 / cast(author_followers as double)),
             -9000000000000000e0), 9000000000000000e0) as decimal(38, 0)) end as rate
  from features.posts
),
summed as (
  select day, source, lang,
         cast(count(*) as bigint) as posts,
         cast(count(rate) as bigint) as rated_posts,
         cast(sum(likes) as bigint) as likes,
         cast(sum(reposts) as bigint) as reposts,
         cast(sum(replies) as bigint) as replies,
         cast(sum(views) as bigint) as views,
         cast(sum(engagement) as bigint) as engagement,
         cast(sum(followers) as bigint) as followers,
         cast(sum(rate) as double) / 1000000000e0 as rate_sum
  from rated
  group by day, source, lang
)
select day, source, lang, posts, rated_posts, likes, reposts, replies, views, engagement, followers, rate_sum,
       rate_sum / nullif(cast(rated_posts as double), 0e0) as engagement_rate
from summed
