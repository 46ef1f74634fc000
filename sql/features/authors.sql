-- model: features.authors
-- about: what every author did in an hour; days are sums over their hours
-- inputs: features.posts, features.entities
-- partition: source, day
-- key: source, author_id, hour
-- grows: hours
-- additive: posts, replies_made, reposts_made, likes, engagement, counted, rated_engagement, rated_followers, tags, urls
-- column source: name of the configured source
-- column author_id: stable id of the author, unique within the source
-- column hour: UTC hour
-- column day: UTC day of the hour
-- column author_name: handle in the last post of the hour that shows one
-- column posts: posts of the hour, whatever their kind
-- column replies_made: of them replies and comments
-- column reposts_made: of them reposts
-- column followers: greatest number of followers seen in the hour (accounts)
-- column likes: likes of the hour's posts; NULL when none gives a count
-- column engagement: likes + reposts + replies of the hour's posts; NULL when none gives a count
-- column counted: of the posts, those that give a count: engagement by post is engagement / counted, both summed
-- column rated_engagement: engagement of the posts that give it and followers above 0; NULL when none does
-- column rated_followers: followers of the same posts, of each post once: the rate is rated_engagement / rated_followers, both summed
-- column first_post: first post of the hour (UTC)
-- column last_post: last post of the hour (UTC)
-- column tags: hashtags used, repeats included
-- column urls: links given, repeats included
-- check: not_null(source, author_id, hour, day)
-- check: unique(source, author_id, hour)
-- check: range(posts: 1..)

-- An hour and not a day, so that new posts cost their hour.
with posted as (
  select source, author_id, hour, day, id, author_name, author_followers, created_at, kind, likes, engagement,
         case when engagement is not null and author_followers > 0 then engagement end as rated_engagement,
         case when engagement is not null and author_followers > 0 then author_followers end as rated_followers,
         row_number() over (partition by source, author_id, hour
           order by case when author_name is null then 1 else 0 end, created_at desc, id desc) as place
  from features.posts
  where author_id is not null
),
carried as (
  select source, author_id, hour,
         cast(sum(case when kind = 'hashtag' then occurrences else 0 end) as bigint) as tags,
         cast(sum(case when kind = 'url' then occurrences else 0 end) as bigint) as urls
  from features.entities
  where author_id is not null
  group by source, author_id, hour
),
hourly as (
  select source, author_id, hour, day,
         max(case when place = 1 then author_name end) as author_name,
         cast(count(*) as bigint) as posts,
         cast(count(case when kind in ('reply', 'comment') then 1 end) as bigint) as replies_made,
         cast(count(case when kind = 'repost' then 1 end) as bigint) as reposts_made,
         cast(max(author_followers) as bigint) as followers,
         cast(sum(likes) as bigint) as likes,
         cast(sum(engagement) as bigint) as engagement,
         cast(count(engagement) as bigint) as counted,
         cast(sum(rated_engagement) as bigint) as rated_engagement,
         cast(sum(rated_followers) as bigint) as rated_followers,
         min(created_at) as first_post,
         max(created_at) as last_post
  from posted
  group by source, author_id, hour, day
)
select h.source, h.author_id, h.hour, h.day, h.author_name, h.posts, h.replies_made, h.reposts_made, h.followers, h.likes, h.engagement,
       h.counted, h.rated_engagement, h.rated_followers, h.first_post, h.last_post,
       coalesce(c.tags, 0) as tags, coalesce(c.urls, 0) as urls
from hourly h
left join carried c on c.source = h.source and c.author_id = h.author_id and c.hour = h.hour
