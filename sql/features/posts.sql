-- model: features.posts
-- about: the latest version of every post; deleted posts are gone
-- inputs: raw.posts
-- partition: source, day
-- key: source, id
-- column source: name of the configured source
-- column id: the post's id, unique within its source
-- column uri: global address of the post
-- column kind: post, reply, repost, quote or comment
-- column author_id: stable id of the author, unique within the source
-- column author_name: handle as shown
-- column author_followers: followers of the author when this version was seen (accounts)
-- column created_at: when the post was made (UTC)
-- column observed_at: when this version was seen (UTC)
-- column day: UTC day of created_at
-- column hour: UTC hour of created_at
-- column text: the post's text
-- column lang: base language (BCP 47) in lower case, such as zh; und when unknown, and for what is no language
-- column lang_tag: canonical BCP 47 tag of the language, such as zh-Hant or pt-BR; NULL where lang is und
-- column hashtags: as listed by the network, without '#'
-- column mentions: as listed by the network, without '@'
-- column urls: as listed by the network
-- column reply_to: id of the post answered
-- column repost_of: id of the post repeated
-- column quote_of: id of the post quoted
-- column likes: count at observed_at; absent is NULL, and so is a count beyond 10^12
-- column reposts: count at observed_at; absent is NULL, and so is a count beyond 10^12
-- column replies: count at observed_at; absent is NULL, and so is a count beyond 10^12
-- column views: count at observed_at; absent is NULL, and so is a count beyond 10^12
-- column engagement: likes + reposts + replies, an absent one as 0; NULL when all three are absent
-- column text_md5: MD5 of the text (hex); NULL without text
-- column versions: observed versions of the post, this one included
-- check: not_null(source, id, created_at, observed_at, day, hour, lang)
-- check: unique(source, id)
-- check: accepted(kind: post, reply, repost, quote, comment)
-- check: range(versions: 1..)

-- Versions of a post share created_at, and so the partition. Only posts that
-- were seen more than once pay for a sort, and only they read the payload.
with seen as (
  select source, id, cast(count(*) as bigint) as versions, max(observed_at) as newest
  from raw.posts
  group by source, id
),
once as (
  select p.source, p.id, p.uri, p.kind, p.author_id, p.author_name, p.author_followers, p.created_at, p.observed_at,
         p.text, p.lang, p.hashtags, p.mentions, p.urls, p.reply_to, p.repost_of, p.quote_of,
         p.likes, p.reposts, p.replies, p.views, p.deleted, s.versions
  from raw.posts p
  join seen s on s.source = p.source and s.id = p.id
  where s.versions = 1
),
again as (
  select p.source, p.id, p.uri, p.kind, p.author_id, p.author_name, p.author_followers, p.created_at, p.observed_at,
         p.text, p.lang, p.hashtags, p.mentions, p.urls, p.reply_to, p.repost_of, p.quote_of,
         p.likes, p.reposts, p.replies, p.views, p.deleted, s.versions,
         row_number() over (partition by p.source, p.id
           order by p.payload desc nulls last, p.run_id desc nulls last, p.text desc nulls last) as place
  from raw.posts p
  join seen s on s.source = p.source and s.id = p.id
  where s.versions > 1 and p.observed_at is not distinct from s.newest
),
latest as (
  select * from once
  union all
  select source, id, uri, kind, author_id, author_name, author_followers, created_at, observed_at,
         text, lang, hashtags, mentions, urls, reply_to, repost_of, quote_of,
         likes, reposts, replies, views, deleted, versions
  from again
  where place = 1
),
-- A count that no network can reach would overflow every sum above it.
counted as (
  select source, id, uri, kind, author_id, author_name, created_at, observed_at, text, lower(replace(lang, '_', '-')) as tag,
         hashtags, mentions, urls, reply_to, repost_of, quote_of, versions,
         case when author_followers between 0 and 1000000000000 then author_followers end as author_followers,
         case when likes between -1000000000000 and 1000000000000 then likes end as likes,
         case when reposts between -1000000000000 and 1000000000000 then reposts end as reposts,
         case when replies between -1000000000000 and 1000000000000 then replies end as replies,
         case when views between -1000000000000 and 1000000000000 then views end as views
  from latest
  where not coalesce(deleted, false)
),
-- Languages land as canonical tags; older rows hold what the network said in
-- lower case, with codes that were replaced and marks that name no language (qaa
-- to qtz, of which X uses some).
based as (
  select *, regexp_extract(concat(tag, '-'), '^([a-z]{2,3})-', 1) as base,
         split_part(tag, '-', 2) as second, split_part(tag, '-', 3) as third
  from counted
),
spoken as (
  select *, case when base is null or base in ('', 'und', 'zxx', 'mul', 'mis', 'art') or base between 'qaa' and 'qtz' then 'und'
                 else case base when 'in' then 'id' when 'iw' then 'he' when 'ji' then 'yi' when 'jw' then 'jv' when 'mo' then 'ro'
                           else base end end as lang
  from based
)
select source, id, uri, kind, author_id, author_name, author_followers, created_at, observed_at,
       cast(created_at as date) as day,
       date_trunc('hour', created_at) as hour,
       text, lang,
       case when lang = 'und' then null
            when length(tag) <= 3 or not regexp_like(tag, '^[a-z]{2,3}(-[a-z0-9]{1,8}){1,9}$') then lang
            else concat_ws('-', lang,
              case length(second) when 4 then concat(upper(substr(second, 1, 1)), substr(second, 2)) when 2 then upper(second) else second end,
              nullif(case when length(second) = 4 and length(third) = 2 then upper(third) else third end, ''),
              nullif(substr(tag, length(base) + length(second) + length(third) + 4), '')) end as lang_tag,
       hashtags, mentions, urls, reply_to, repost_of, quote_of,
       likes, reposts, replies, views,
       case when likes is not null or reposts is not null or replies is not null
            then coalesce(likes, 0) + coalesce(reposts, 0) + coalesce(replies, 0) end as engagement,
       md5(text) as text_md5, versions
from spoken
