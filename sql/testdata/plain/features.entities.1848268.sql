-- features.entities of commit 1848268, whose CPU time BenchmarkTexts compares with.
-- In patterns ` stands for the backslash, which the engines' literals treat
-- differently; repetitions of groups are bounded, because Spark's regular
-- expressions backtrack. Links leave the text before tags and mentions are looked for, so that
-- https://host/#part and https://host/@name give neither. '&#39;' is no tag
-- because of its '&', '#1' is none because it has no letter. X wraps every link
-- of a text as t.co: where the network lists the links, the wrapper is left out.
with marked as (
  select source, id, day, hour, author_id, lang,
         regexp_replace(text, '[Hh][Tt][Tt][Pp][Ss]?://[!-~]+|www[.][!-~]+|(^|[^A-Za-z0-9-])[A-Za-z0-9-]+[.][a-z]{2,24}/[!-~]*', ' ') as body
  from features.posts
  where instr(text, '#') + instr(text, '＃') + instr(text, '@') > 0
),
token as (
  select source, id, day, hour, author_id, lang, 'hashtag' as kind, 1 as in_text,
         explode(regexp_extract_all(body, replace('(^|[^&`p{L}`p{N}_])[#＃]([`p{N}_]*`p{L}[`p{L}`p{M}`p{N}_]*)', '`', chr(92)), 2)) as word
  from marked
  union all
  select source, id, day, hour, author_id, lang, 'mention' as kind, 1 as in_text,
         explode(regexp_extract_all(body, replace('(^|[^`p{L}`p{N}_@/])@([A-Za-z0-9_][A-Za-z0-9_-]*([.][A-Za-z0-9-]+){2,9}|[A-Za-z0-9_]+(@[A-Za-z0-9-]+([.][A-Za-z0-9-]+){1,9})?)', '`', chr(92)), 2)) as word
  from marked
  union all
  select source, id, day, hour, author_id, lang, 'hashtag' as kind, 0 as in_text, explode(hashtags) as word
  from features.posts
  union all
  select source, id, day, hour, author_id, lang, 'mention' as kind, 0 as in_text, explode(mentions) as word
  from features.posts
),
link as (
  select source, id, day, hour, author_id, lang, 1 as in_text, coalesce(size(urls), 0) as listed,
         explode(regexp_extract_all(text, replace('[Hh][Tt][Tt][Pp][Ss]?://([!-.0->A-~]*@)?([`p{L}`p{N}-]+([.][`p{L}`p{N}-]+){1,9})', '`', chr(92)), 2)) as word
  from features.posts
  where instr(text, '://') > 0
  union all
  select source, id, day, hour, author_id, lang, 0 as in_text, 0 as listed, explode(urls) as word
  from features.posts
),
host as (
  select source, id, day, hour, author_id, lang, 'url' as kind, in_text,
         case when in_text = 1 then word
              else regexp_extract(word, replace('^([A-Za-z][A-Za-z0-9+.-]*://)?([!-.0->A-~]*@)?([`p{L}`p{N}-]+([.][`p{L}`p{N}-]+){1,9})', '`', chr(92)), 3) end as word
  from link
  where not (in_text = 1 and listed > 0 and lower(word) = 't.co')
),
-- 'İ' and the final sigma are the two letters that engines lower differently.
lowered as (
  select source, id, day, hour, author_id, lang, kind, in_text,
         replace(lower(replace(regexp_replace(trim(word), '^[#＃@]+', ''), 'İ', 'i')), 'ς', 'σ') as entity
  from (select * from token union all select * from host) x
)
select source, id, day, hour, author_id, lang, kind, entity,
       cast(greatest(sum(in_text), sum(1 - in_text)) as bigint) as occurrences
from lowered
where entity <> ''
group by source, id, day, hour, author_id, lang, kind, entity
