-- features.entities said plainly: what the model must give, without its shortcuts.
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
-- more than once: DuckDB would repeat the expression for each reading.
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
name as (
  select source, id, day, hour, author_id, lang,
         explode(regexp_extract_all(body, '(?:^|[^A-Za-z0-9_!#$%&*@＠/]|(?:^|[^A-Za-z0-9_+~.-])[Rr][Tt])[@＠]([A-Za-z0-9_][A-Za-z0-9_-]*(?:[.][A-Za-z0-9-]+){2,9}|[A-Za-z0-9_]+(?:@[A-Za-z0-9-]+(?:[.][A-Za-z0-9-]+){1,9})?[@＠À-ÖØ-öø-ɏʰ-ͯḀ-ỿ]?)', 1)) as word
  from marked
  where names
),
listed as (
  select source, id, day, hour, author_id, lang, 'hashtag' as kind, explode(hashtags) as word from own
  union all
  select source, id, day, hour, author_id, lang, 'mention' as kind, explode(mentions) as word from own
),
link as (
  select source, id, day, hour, author_id, lang,
         explode(regexp_extract_all(text, replace(replace('(?:^|[^@＠$#＃])[Hh][Tt][Tt][Pp][Ss]?://(?:[A-Za-z0-9!$&()*+,;=:._~`x{25}-]*@)?([%][%_-]*(?:[.][%_-]+){1,9})(?:[:/?#][!-~]*)?',
           '%', '`p{L}`p{M}`p{N}`p{So}'), '`', chr(92)), 1)) as host
  from own
  where urls is null and instr(text, '://') > 0
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
         explode(case when length(host) > 253 or length(host) > 63 and regexp_like(host, '[^.]{64}') then null
                      when octet_length(host) = length(host)
                      then regexp_extract_all(host, '^((?:[A-Za-z0-9]+(?:[_-]+[A-Za-z0-9]+)*[.])*[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*[.](?:[A-Za-z]{2,63}|[Xx][Nn]--[A-Za-z0-9-]+)|(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9]))[_-]*$', 1)
                      when regexp_like(host, '(?:^|[.])[Xx][Nn]--[^.]*[^!-~]') then null
                      else regexp_extract_all(coalesce(nullif(regexp_extract(host, '^(.*?[.](?:com|net|org|edu|gov|info|[A-Za-z]{2}))[^!-~]', 1), ''), host),
                             replace(replace('^((?:[%]+(?:[_-]+[%]+)*[.])*[%]+(?:-+[%]+)*[.](?:[`p{L}`p{M}]{2,63}|[Xx][Nn]--[A-Za-z0-9-]+))[_-]*$',
           '%', '`p{L}`p{M}`p{N}`p{So}'), '`', chr(92)), 1) end) as word
  from link
),
token as (
  select source, id, day, hour, author_id, lang, 'hashtag' as kind,
         explode(regexp_extract_all(body, replace(replace('(?:^|[`x{FE0E}`x{FE0F}]|[^&`p{L}`p{M}%])[#＃]([%]*`p{L}[`p{L}`p{M}%]*)',
           '%', '`p{N}_`x{B7}`x{5BE}`x{5F3}`x{5F4}`x{F0B}`x{F0C}`x{200C}`x{200D}`x{3003}`x{301C}`x{309B}`x{309C}`x{30A0}`x{30FB}`x{A67E}`x{FF5E}'), '`', chr(92)), 1)) as word
  from marked
  where tags
  union all
  select source, id, day, hour, author_id, lang, 'mention' as kind, word from name where regexp_like(word, '[A-Za-z0-9_-]$')
  union all
  select source, id, day, hour, author_id, lang, kind, regexp_replace(trim(word), '^[#＃@＠]+', '') as word from listed
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
where entity <> ''
group by source, id, day, hour, author_id, lang, kind, entity
