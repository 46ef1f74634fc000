-- model: features.reactions
-- about: reactions to the posts of an hour by language and rate of engagement, from which days are summed; reposts are left out
-- inputs: features.posts
-- partition: source, day
-- key: hour, source, lang, copy, rate
-- grows: hours
-- additive: posts, likes, reposts, replies, views, engagement, followers
-- column hour: UTC hour
-- column day: UTC day of the hour
-- column source: name of the configured source
-- column lang: language of the posts; und when unknown
-- column copy: whether these are posts that a source before this one, by name, brings too
-- column rate: engagement / followers of each of the posts, in billionths; NULL without engagement, or without followers above 0
-- column posts: posts of the hour with this rate that are no reposts
-- column likes: sum over the posts; NULL when none gives a count
-- column reposts: how often the posts were reposted, summed; NULL when none gives a count
-- column replies: sum over the posts; NULL when none gives a count
-- column views: sum over the posts; NULL when none gives a count
-- column engagement: likes + reposts + replies of the posts; NULL when none gives a count
-- column followers: followers of the authors of the posts, of each post once; NULL without a rate
-- check: not_null(hour, day, source, lang, copy)
-- check: unique(hour, source, lang, copy, rate)
-- check: range(posts: 1..)

-- Rates are whole billionths, so that their order and their middle are the same on
-- every engine; the bounds (a rate of 9 million) keep them exact as doubles.
with rated as (
  select hour, day, source, lang, copy, likes, reposts, replies, views, engagement,
         case when engagement is not null and author_followers > 0 then author_followers end as followers,
         case when engagement is not null and author_followers > 0 then
           cast(least(greatest(round(cast(engagement as double) * 1000000000e0 / cast(author_followers as double)),
             -9000000000000000e0), 9000000000000000e0) as bigint) end as rate
  from features.posts
  where coalesce(kind, '') <> 'repost'
)
select hour, day, source, lang, copy, rate,
       cast(count(*) as bigint) as posts,
       cast(sum(likes) as bigint) as likes,
       cast(sum(reposts) as bigint) as reposts,
       cast(sum(replies) as bigint) as replies,
       cast(sum(views) as bigint) as views,
       cast(sum(engagement) as bigint) as engagement,
       cast(sum(followers) as bigint) as followers
from rated
group by hour, day, source, lang, copy, rate
