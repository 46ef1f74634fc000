-- model: features.entities
-- about: hashtags, mentions and linked hosts of every post: as the network lists them, from the text where it does not; none of reposts
-- inputs: features.posts
-- partition: source, day
-- key: source, id, kind, entity
-- grows: rows
-- additive: occurrences
-- column source: name of the configured source
-- column id: the post's id, unique within its source
-- column day: UTC day of the post
-- column hour: UTC hour of the post
-- column author_id: stable id of the author, unique within the source
-- column lang: language of the post; und when unknown
-- column kind: hashtag, mention or url
-- column entity: in lower case; a hashtag without '#', a mention without '@', the host of a url
-- column occurrences: how often the network lists it for the post; where the network does not list that kind, how often it is in the text
-- check: not_null(source, id, day, hour, kind, entity)
-- check: unique(source, id, kind, entity)
-- check: accepted(kind: hashtag, mention, url)
-- check: range(occurrences: 1..)

-- The network's list of a kind is the truth, and an empty list means none: the
-- text is searched only where the list is NULL, by the rules of twitter-text
-- (docs/texts.md). In patterns ` stands for the backslash, which the engines'
-- literals treat differently, and % for a set of characters; what repeats in
-- groups is bounded or cannot match in two ways, because Spark's regular
-- expressions backtrack. Neither engine's expressions look ahead: what may not
-- follow a name is taken along, and the name left out after.
--
-- Links leave the text before tags and mentions are looked for, so that
-- https://host/#part and https://host/@name give neither. '&#39;' is no tag
-- because of its '&', '#1' is none because it has no letter. text_stats counts
-- tags with the same two patterns.
--
-- What is cut out comes from an explode wherever something follows that reads it
-- more than once: DuckDB would repeat the expression for each reading, and above a
-- filter too. Expressions take out what they find whole, because groups cost three
-- times as much; string functions leave the part that counts. sql/testdata/plain has
-- the same rules without shortcuts, and a test wants the same rows of both.
with own as (
  select * from features.posts where kind is distinct from 'repost'
),
marked as (
  select source, id, day, hour, author_id, lang, hashtags is null as tags, mentions is null as names,
         case when instr(text, '/') + instr(text, 'www.') > 0
              then regexp_replace(text, '[Hh][Tt][Tt][Pp][Ss]?://[!-~]+|www[.][!-~]+|(?:^|[^A-Za-z0-9-])[A-Za-z0-9-]+[.][a-z]{2,24}/[!-~]*', ' ')
              else text end as body
  from own
  where hashtags is null and instr(text, '#') + instr(text, '＃') > 0 or mentions is null and instr(text, '@') + instr(text, '＠') > 0
),
tag as (
  select source, id, day, hour, author_id, lang,
         explode(case when tags and instr(body, '#') + instr(body, '＃') > 0 then regexp_extract_all(body, replace(replace('(?:^|[`x{FE0E}`x{FE0F}]|[^&`p{L}`p{M}%])[#＃][%]*`p{L}[`p{L}`p{M}%]*',
           '%', '`p{N}_`x{B7}`x{5BE}`x{5F3}`x{5F4}`x{F0B}`x{F0C}`x{200C}`x{200D}`x{3003}`x{301C}`x{309B}`x{309C}`x{30A0}`x{30FB}`x{A67E}`x{FF5E}'), '`', chr(92)), 0) end) as found
  from marked
),
name as (
  select source, id, day, hour, author_id, lang,
         explode(case when names and instr(body, '@') + instr(body, '＠') > 0 then regexp_extract_all(body, '(?:^|[^A-Za-z0-9_!#$%&*@＠/]|(?:^|[^A-Za-z0-9_+~.-])[Rr][Tt])[@＠](?:[A-Za-z0-9_][A-Za-z0-9_-]*(?:[.][A-Za-z0-9-]+){2,9}|[A-Za-z0-9_]+(?:@[A-Za-z0-9-]+(?:[.][A-Za-z0-9-]+){1,9})?[@＠À-ÖØ-öø-ɏʰ-ͯḀ-ỿ]?)', 0) end) as found
  from marked
),
listed as (
  select source, id, day, hour, author_id, lang, 'hashtag' as kind, explode(hashtags) as word from own
  union all
  select source, id, day, hour, author_id, lang, 'mention' as kind, explode(mentions) as word from own
),
-- What is found begins with what stands before the link; a host ends where a port,
-- a path, a query or a fragment begins. Only what has a '@' before them has a user.
found as (
  select source, id, day, hour, author_id, lang,
         explode(regexp_extract_all(text, replace(replace('(?:^|[^@＠$#＃])[Hh][Tt][Tt][Pp][Ss]?://(?:[A-Za-z0-9!$&()*+,;=:._~`x{25}-]*@)?[%][%_-]*(?:[.][%_-]+){1,9}(?:[:/?#][!-~]*)?',
           '%', '`p{L}`p{M}`p{N}`p{So}'), '`', chr(92)), 0)) as address
  from own
  where urls is null and instr(text, '://') > 0
),
link as (
  select source, id, day, hour, author_id, lang,
         case when instr(place, '@') > 0
               and regexp_extract(place, replace(replace('^[A-Za-z0-9!$&()*+,;=:._~`x{25}-]*@[%][%_-]*[.][%_-]', '%', '`p{L}`p{M}`p{N}`p{So}'), '`', chr(92)), 0) <> ''
              then split_part(split_part(place, '@', 2), ':', 1) else split_part(place, ':', 1) end as host
  from (select source, id, day, hour, author_id, lang,
               split_part(split_part(split_part(substr(address, instr(address, '://') + 3), '/', 1), '?', 1), '#', 1) as place from found) x
  union all
  select source, id, day, hour, author_id, lang,
         explode(regexp_extract_all(address, replace(replace('^(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[A-Za-z0-9!$&()*+,;=:._~`x{25}-]*@)?([%][%_-]*(?:[.][%_-]+){1,9})',
           '%', '`p{L}`p{M}`p{N}`p{So}'), '`', chr(92)), 1)) as host
  from (select source, id, day, hour, author_id, lang, explode(urls) as address from own) x
),
-- Names of the internet, where text without spaces may follow at once, and
-- addresses of IPv4.
host as (
  select source, id, day, hour, author_id, lang,
         explode(case when length(host) > 253 or length(host) > 63 and regexp_extract(host, '[^.]{64}', 0) <> '' then null
                      when octet_length(host) = length(host) and regexp_extract(host, '^(?:(?:[A-Za-z0-9]+(?:[_-]+[A-Za-z0-9]+)*[.])*[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*[.](?:[A-Za-z]{2,}|[Xx][Nn]--[A-Za-z0-9-]+)|(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9]))[_-]*$', 0) = '' then null
                      when octet_length(host) = length(host) and substr(host, -1) in ('-', '_')
                      then split(regexp_extract(host, '^(.*[.][Xx][Nn]--[A-Za-z0-9-]+|.*?)[_-]*$', 1), ' ')
                      when octet_length(host) = length(host) then split(host, ' ')
                      when regexp_extract(host, '(?:^|[.])[Xx][Nn]--[^.]*[^!-~]', 0) <> '' then null
                      else regexp_extract_all(coalesce(nullif(regexp_extract(host, '^(.*?[.](?:com|net|org|edu|gov|info|[A-Za-z]{2}))[^!-~]', 1), ''), host),
                             replace(replace('^((?:[%]+(?:[_-]+[%]+)*[.])*[%]+(?:-+[%]+)*[.](?:[`p{L}`p{M}]{2,}|[Xx][Nn]--[A-Za-z0-9-]+))[_-]*$',
           '%', '`p{L}`p{M}`p{N}`p{So}'), '`', chr(92)), 1) end) as word
  from link
),
token as (
  select source, id, day, hour, author_id, lang, 'hashtag' as kind,
         case when substr(found, 2, 1) in ('#', '＃') then substr(found, 3) else substr(found, 2) end as word
  from tag
  union all
  select source, id, day, hour, author_id, lang, 'mention' as kind,
         case when instr(found, '＠') = 0 then substr(found, instr(found, '@') + 1) else regexp_replace(found, '^[^@＠]*[@＠]', '') end as word
  from name
  where instr('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-', substr(found, -1)) > 0
  union all
  select source, id, day, hour, author_id, lang, kind, regexp_replace(trim(word), '^[#＃@＠]+', '') as word from listed
  where replace(replace(replace(replace(trim(word), '#', ''), '＃', ''), '@', ''), '＠', '') <> ''
  union all
  select source, id, day, hour, author_id, lang, 'url' as kind, word
  from host
),
-- 'İ' and the final sigma are the two letters that engines lower differently.
lowered as (
  select source, id, day, hour, author_id, lang, kind,
         case when octet_length(word) = length(word) then lower(word)
              else replace(lower(replace(word, 'İ', 'i')), 'ς', 'σ') end as entity
  from token
)
select source, id, day, hour, author_id, lang, kind, entity, cast(count(*) as bigint) as occurrences
from lowered
group by source, id, day, hour, author_id, lang, kind, entity
