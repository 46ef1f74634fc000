-- features.text_stats of commit 1848268, whose CPU time BenchmarkTexts compares with.
-- In patterns ` stands for the backslash, which the engines' literals treat
-- differently.
with body as (
  select source, id, day, lang, coalesce(text, '') as t from features.posts
),
-- 'İ' and the final sigma are the two letters that engines lower differently.
normal as (
  select source, id, day, lang, t,
         trim(regexp_replace(
           regexp_replace(
             regexp_replace(
               replace(lower(replace(t, 'İ', 'i')), 'ς', 'σ'),
               replace('https?://[!-~]+|&#?[a-z0-9]+;|[`x{FE0F}`x{20E3}]', '`', chr(92)), ' '),
             replace('[^`p{L}`p{M}`p{N}#@ ]+', '`', chr(92)), ' '),
           '  +', ' ')) as norm
  from body
),
measured as (
  select source, id, day, lang, norm, md5(norm) as norm_md5,
         cast(length(t) as bigint) as chars,
         cast(octet_length(t) as bigint) as bytes,
         cast(case when norm = '' then 0 else length(norm) - length(replace(norm, ' ', '')) + 1 end as bigint) as words,
         cast(length(replace(norm, ' ', '')) as bigint) as letters,
         cast(length(t) - length(regexp_replace(t, replace('`p{Lu}+', '`', chr(92)), '')) as bigint) as uppers,
         cast(length(t) - length(replace(replace(t, '!', ''), '?', '')) as bigint) as marks,
         cast(size(regexp_extract_all(t, '[0-9]+', 0)) as bigint) as numbers,
         cast(case when octet_length(t) = length(t) then 0
                   else size(regexp_extract_all(t, '[🌀-🏺🐀-🫿☀-➿]|[🇦-🇿][🇦-🇿]', 0)) end as bigint) as emoji,
         cast(case when instr(t, '#') + instr(t, '＃') = 0 then 0
                   else size(regexp_extract_all(
                     regexp_replace(t, 'https?://[!-~]+|www[.][!-~]+|(^|[^A-Za-z0-9-])[A-Za-z0-9-]+[.][a-z]{2,24}/[!-~]*', ' '),
                     replace('(^|[^&`p{L}`p{N}_])[#＃]([`p{N}_]*`p{L}[`p{L}`p{M}`p{N}_]*)', '`', chr(92)), 2)) end as bigint) as tags
  from normal
)
select source, id, day, lang, norm, norm_md5, chars, bytes, words,
       cast(letters as double) / nullif(cast(words as double), 0e0) as mean_word_len,
       cast(uppers as double) / nullif(cast(chars as double), 0e0) as upper_share,
       marks, numbers, emoji, tags,
       cast(count(*) over (partition by source, day, norm_md5) as bigint) as copies
from measured
