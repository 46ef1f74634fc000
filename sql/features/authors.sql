-- model: features.authors
-- about: what every author did on a day
-- inputs: features.posts, features.entities
-- partition: source, day
-- key: source, author_id, day
-- additive: posts, replies_made, reposts_made, likes, engagement, tags, urls
-- column source: name of the configured source
-- column author_id: stable id of the author, unique within the source
-- column day: UTC day
-- column author_name: handle in the last post of the day that shows one
-- column posts: posts of the day, whatever their kind
-- column replies_made: of them replies and comments
-- column reposts_made: of them reposts
-- column followers: greatest number of followers seen on the day (accounts)
-- column likes: likes of the day's posts; NULL when none gives a count
-- column engagement: likes + reposts + replies of the day's posts; NULL when none gives a count
-- column engagement_per_post: engagement by post that gives a count
-- column engagement_rate: engagement / followers, both summed over the posts that give both, followers above 0; NULL when none does
-- column first_post: first post of the day (UTC)
-- column last_post: last post of the day (UTC)
-- column active_hours: hours of the day with a post
-- column tags: hashtags used, repeats included
-- column urls: links given, repeats included
-- check: not_null(source, author_id, day)
-- check: unique(source, author_id, day)
-- check: range(posts: 1..)
-- check: range(active_hours: 1..24)

with posted as (
  select source, author_id, day, id, author_name, author_followers, created_at, hour, kind, likes, engagement,
         case when engagement is not null and author_followers > 0 then engagement end as rated_engagement,
         case when engagement is not null and author_followers > 0 then author_followers end as rated_followers,
         row_number() over (partition by source, author_id, day
           order by case when author_name is null then 1 else 0 end, created_at desc, id desc) as place
  from features.posts
  where author_id is not null
),
carried as (
  select source, author_id, day,
         cast(sum(case when kind = 'hashtag' then occurrences else 0 end) as bigint) as tags,
         cast(sum(case when kind = 'url' then occurrences else 0 end) as bigint) as urls
  from features.entities
  where author_id is not null
  group by source, author_id, day
),
daily as (
  select source, author_id, day,
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
         max(created_at) as last_post,
         cast(count(distinct hour) as bigint) as active_hours
  from posted
  group by source, author_id, day
)
select d.source, d.author_id, d.day, d.author_name, d.posts, d.replies_made, d.reposts_made, d.followers, d.likes, d.engagement,
       cast(d.engagement as double) / nullif(cast(d.counted as double), 0e0) as engagement_per_post,
       cast(d.rated_engagement as double) / nullif(cast(d.rated_followers as double), 0e0) as engagement_rate,
       d.first_post, d.last_post, d.active_hours,
       coalesce(c.tags, 0) as tags, coalesce(c.urls, 0) as urls
from daily d
left join carried c on c.source = d.source and c.author_id = d.author_id and c.day = d.day
