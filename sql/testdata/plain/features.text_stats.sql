-- features.text_stats said plainly: what the model must give, without its shortcuts.
-- In patterns ` stands for the backslash, which the engines' literals treat
-- differently, % and ~ for sets of characters. Emoji are the sequences of
-- Unicode's emoji-test.txt 17.0, and what later versions add to the same blocks:
-- %, which are emoji by themselves, ~, which are with a variation selector only
-- or within a sequence.
with body as (
  select source, id, day, lang, coalesce(text, '') as t from features.posts
),
-- 'İ' and the final sigma are the two letters that engines lower differently.
normal as (
  select source, id, day, lang, t,
         trim(regexp_replace(
           regexp_replace(
             regexp_replace(
               case when octet_length(t) = length(t) then lower(t)
                    else replace(lower(replace(t, 'İ', 'i')), 'ς', 'σ') end,
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
         cast(case when instr(t, '!') + instr(t, '?') = 0 then 0
                   else length(t) - length(replace(replace(t, '!', ''), '?', '')) end as bigint) as marks,
         cast(size(regexp_extract_all(t, '[0-9]+', 0)) as bigint) as numbers,
         cast(case when octet_length(t) = length(t) then 0
                   else size(regexp_extract_all(t, replace(replace(replace(
                     '[🇦-🇿]{2}|[0-9#*]`x{FE0F}?`x{20E3}|(?:[%]`x{FE0F}?|[~]`x{FE0F})[🏻-🏿]?[`x{E0020}-`x{E007F}]*(?:`x{200D}[%~]`x{FE0F}?[🏻-🏿]?){0,5}',
                     '%', '⌚⌛⏩-⏬⏰⏳◽◾☀-☄☎☑☔☕☘☝☠☢☣☦☪☮☯☸-☺♀♂♈-♓♟♠♣♥♦♨♻♾♿⚒-⚗⚙⚛⚜⚠⚡⚧⚪⚫⚰⚱⚽⚾⛄⛅⛈⛎⛏⛑⛓⛔⛩⛪⛰-⛵⛷-⛺⛽✂✅✈-✍✏✒✔✖✝✡✨✳✴❄❇❌❎❓-❕❗❣❤➕-➗➡➰➿⬛⬜⭐⭕🀄🃏🅰🅱🅾🅿🆎🆑-🆚🈁🈂🈚🈯🈲-🈺🉐🉑🌀-🏺🐀-🙏🚀-🛿🟠-🟫🟰🤀-🫿'),
                     '~', '`x{A9}`x{AE}`x{203C}`x{2049}`x{2122}`x{2139}`x{2194}-`x{2199}`x{21A9}-`x{21AA}`x{2328}`x{23CF}`x{23ED}-`x{23EF}`x{23F1}-`x{23F2}`x{23F8}-`x{23FA}`x{24C2}`x{25AA}-`x{25AB}`x{25B6}`x{25C0}`x{25FB}-`x{25FC}`x{2934}-`x{2935}`x{2B05}-`x{2B07}`x{3030}`x{303D}`x{3297}`x{3299}'), '`', chr(92)), 0)) end as bigint) as emoji,
         cast(case when instr(t, '#') + instr(t, '＃') = 0 then 0
                   else size(regexp_extract_all(
                     case when instr(t, '/') + instr(t, 'www.') > 0
                          then regexp_replace(t, '[Hh][Tt][Tt][Pp][Ss]?://[!-~]+|www[.][!-~]+|(?:^|[^A-Za-z0-9-])[A-Za-z0-9-]+[.][a-z]{2,24}/[!-~]*', ' ')
                          else t end,
                     replace(replace('(?:^|[`x{FE0E}`x{FE0F}]|[^&`p{L}`p{M}%])[#＃]([%]*`p{L}[`p{L}`p{M}%]*)',
                       '%', '`p{N}_`x{B7}`x{5BE}`x{5F3}`x{5F4}`x{F0B}`x{F0C}`x{200C}`x{200D}`x{3003}`x{301C}`x{309B}`x{309C}`x{30A0}`x{30FB}`x{A67E}`x{FF5E}'), '`', chr(92)), 1)) end as bigint) as tags
  from normal
)
select source, id, day, lang, norm, norm_md5, chars, bytes, words,
       cast(letters as double) / nullif(cast(words as double), 0e0) as mean_word_len,
       cast(uppers as double) / nullif(cast(chars as double), 0e0) as upper_share,
       marks, numbers, emoji, tags
from measured
