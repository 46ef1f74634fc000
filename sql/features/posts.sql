-- model: features.posts
-- about: the version of every post that holds, for each source that brings it; deleted posts are gone
-- inputs: raw.posts living, features.scattered
-- partition: source, day
-- key: source, id
-- grows: rows
-- additive: likes, reposts, replies, views, engagement
-- column source: name of the configured source
-- column network: platform whose ids the source's posts carry; NULL where none is known
-- column id: the post's id, unique within its network, or within its source where no network is known
-- column copy: whether a source before this one, by name, shows the same post: totals over sources count rows that are no copy
-- column uri: global address of the post
-- column kind: post, reply, repost, quote or comment
-- column author_id: stable id of the author, unique within the source
-- column author_name: handle as shown
-- column author_followers: followers of the author when this version was seen (accounts)
-- column created_at: when the post was made (UTC)
-- column observed_at: when this version was seen (UTC); NULL when the record does not tell
-- column age_at_observation: seconds from created_at to observed_at (s): reactions of a young post are not its last; NULL without observed_at
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
-- column likes: count at observed_at; absent is NULL, and so is a count beyond 10^12 and every count of a repost
-- column reposts: count at observed_at; absent is NULL, and so is a count beyond 10^12 and every count of a repost
-- column replies: count at observed_at; absent is NULL, and so is a count beyond 10^12 and every count of a repost
-- column views: count at observed_at; absent is NULL, and so is a count beyond 10^12 and every count of a repost
-- column engagement: likes + reposts + replies, an absent one as 0; NULL when all three are absent, as in a repost
-- column text_md5: MD5 of the text (hex); NULL without text
-- column versions: observed versions of the post, of all sources, this one included
-- check: not_null(source, id, copy, created_at, day, hour, lang)
-- check: unique(source, id)
-- check: accepted(kind: post, reply, repost, quote, comment)
-- check: range(versions: 1..)

-- Most posts have all their versions in one partition; the others stand in
-- features.scattered, with the version that holds (docs/adr/0015). Only posts that
-- were seen more than once pay for a sort.
with seen as (
  select p.source, p.id, cast(count(*) as bigint) as versions
  from raw.posts p
  left join (select distinct source, id from features.scattered) s on s.source = p.source and s.id = p.id
  where s.id is null
  group by p.source, p.id
),
held as (
  select p.source, p.network, p.id, p.uri, p.kind, p.author_id, p.author_name, p.author_followers, p.created_at, p.observed_at,
         p.text, p.lang, p.hashtags, p.mentions, p.urls, p.reply_to, p.repost_of, p.quote_of,
         p.likes, p.reposts, p.replies, p.views, p.deleted, p.reading, p.run_id, p.seq, s.versions
  from raw.posts p
  join seen s on s.source = p.source and s.id = p.id
),
again as (
  select source, network, id, uri, kind, author_id, author_name, author_followers, created_at, observed_at,
         text, lang, hashtags, mentions, urls, reply_to, repost_of, quote_of,
         likes, reposts, replies, views, deleted, false as copy, versions,
         row_number() over (partition by source, id order by coalesce(reading, 0) desc,
           observed_at desc nulls last, case when deleted then 0 else 1 end, run_id desc nulls last, seq desc nulls last,
           likes desc nulls last, reposts desc nulls last, replies desc nulls last, views desc nulls last,
           text desc nulls last, uri desc nulls last, created_at desc) as place
  from held
  where versions > 1
),
latest as (
  select source, network, id, uri, kind, author_id, author_name, author_followers, created_at, observed_at,
         text, lang, hashtags, mentions, urls, reply_to, repost_of, quote_of,
         likes, reposts, replies, views, deleted, false as copy, versions
  from held
  where versions = 1
  union all
  select source, network, id, uri, kind, author_id, author_name, author_followers, created_at, observed_at,
         text, lang, hashtags, mentions, urls, reply_to, repost_of, quote_of,
         likes, reposts, replies, views, deleted, copy, versions
  from again
  where place = 1
  union all
  select source, network, id, uri, kind, author_id, author_name, author_followers, created_at, observed_at,
         text, lang, hashtags, mentions, urls, reply_to, repost_of, quote_of,
         likes, reposts, replies, views, false as deleted, copy, versions
  from features.scattered
  where shown
),
-- A count that no network can reach would overflow every sum above it. A repost
-- shows the counts of the post that it repeats, which are not its own.
counted as (
  select source, network, id, copy, uri, kind, author_id, author_name, created_at, observed_at, text, lower(replace(lang, '_', '-')) as tag,
         hashtags, mentions, urls, reply_to, repost_of, quote_of, versions,
         case when author_followers between 0 and 1000000000000 then author_followers end as author_followers,
         case when coalesce(kind, '') <> 'repost' and likes between -1000000000000 and 1000000000000 then likes end as likes,
         case when coalesce(kind, '') <> 'repost' and reposts between -1000000000000 and 1000000000000 then reposts end as reposts,
         case when coalesce(kind, '') <> 'repost' and replies between -1000000000000 and 1000000000000 then replies end as replies,
         case when coalesce(kind, '') <> 'repost' and views between -1000000000000 and 1000000000000 then views end as views
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
select source, network, id, copy, uri, kind, author_id, author_name, author_followers, created_at, observed_at,
       unix_seconds(observed_at) - unix_seconds(created_at) as age_at_observation,
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
