-- model: features.text_stats
-- about: text statistics of every post, with a normalised text to find copies
-- inputs: features.posts
-- partition: source, day
-- key: source, id
-- grows: rows
-- additive: chars, bytes, words, marks, numbers, emoji, tags
-- column source: name of the configured source
-- column id: the post's id, unique within its source
-- column day: UTC day of the post
-- column lang: language of the post; und when unknown
-- column norm: the text in lower case without links, HTML entities and punctuation, its words parted by one space; '#' and '@' stay
-- column norm_md5: MD5 of norm (hex); posts that share it are copies (docs/texts.md)
-- column chars: length of the text (code points); 0 without text
-- column bytes: length of the text (bytes of UTF-8)
-- column words: words of norm
-- column mean_word_len: mean length of the words of norm (code points); NULL without words
-- column upper_share: upper-case letters among the characters (0 to 1); NULL without text
-- column marks: exclamation and question marks
-- column numbers: runs of digits
-- column emoji: emoji; a flag, a keycap, a family count once, a skin tone counts with who has it; arrows, boxes and signs such as ▶ and © only where they are marked as emoji
-- column tags: hashtags in the text, by the rules of features.entities
-- check: not_null(source, id, day, lang, norm, norm_md5)
-- check: unique(source, id)
-- check: range(chars: 0..)
-- check: range(upper_share: 0..1)

-- In patterns ` stands for the backslash, which the engines' literals treat
-- differently, % and ~ for sets of characters. Emoji are the sequences of
-- Unicode's emoji-test.txt 17.0, and what later versions add to the same blocks:
-- %, which are emoji by themselves, ~, which are with a variation selector only
-- or within a sequence.
--
-- Expressions run where there is something to find, and without groups that take
-- out a part, which cost three times as much. sql/testdata/plain has the same rules
-- without shortcuts, and a test wants the same rows of both.
with body as (
  select source, id, day, lang, coalesce(text, '') as t from features.posts
),
-- 'İ' and the final sigma are the two letters that engines lower differently.
lowered as (
  select source, id, day, lang, t,
         case when octet_length(t) = length(t) then lower(t)
              else replace(lower(replace(t, 'İ', 'i')), 'ς', 'σ') end as low
  from body
),
-- One pass takes out links, HTML entities and punctuation with the blanks around
-- them; what stands side by side four times or more leaves blanks to part once more.
parted as (
  select source, id, day, lang, t,
         regexp_replace(low, replace(' *(?:(?:https?://[!-~]+|&#?[a-z0-9]+;|[`x{FE0F}`x{20E3}]+|[^`p{L}`p{M}`p{N}#@& ]+|&) *){1,4}|  +',
           '`', chr(92)), ' ') as words
  from lowered
),
single as (
  select source, id, day, lang, t, case when instr(words, '  ') > 0 then regexp_replace(words, '  +', ' ') else words end as words
  from parted
),
normal as (
  select source, id, day, lang, t, case when words like ' %' or words like '% ' then trim(words) else words end as norm
  from single
),
measured as (
  select source, id, day, lang, norm, md5(norm) as norm_md5,
         cast(length(t) as bigint) as chars,
         cast(octet_length(t) as bigint) as bytes,
         cast(length(norm) as bigint) as norm_chars,
         cast(case when norm = '' then 0 else size(split(norm, ' ')) end as bigint) as words,
         cast(regexp_count(t, replace('`p{Lu}', '`', chr(92))) as bigint) as uppers,
         cast(case when instr(t, '!') = 0 then 0 else size(split(t, '!')) - 1 end
           + case when instr(t, '?') = 0 then 0 else length(t) - length(replace(t, '?', '')) end as bigint) as marks,
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
                     replace(replace('(?:^|[`x{FE0E}`x{FE0F}]|[^&`p{L}`p{M}%])[#＃][%]*`p{L}[`p{L}`p{M}%]*',
                       '%', '`p{N}_`x{B7}`x{5BE}`x{5F3}`x{5F4}`x{F0B}`x{F0C}`x{200C}`x{200D}`x{3003}`x{301C}`x{309B}`x{309C}`x{30A0}`x{30FB}`x{A67E}`x{FF5E}'), '`', chr(92)), 0)) end as bigint) as tags
  from normal
)
select source, id, day, lang, norm, norm_md5, chars, bytes, words,
       cast(norm_chars - greatest(words - 1, 0) as double) / nullif(cast(words as double), 0e0) as mean_word_len,
       cast(uppers as double) / nullif(cast(chars as double), 0e0) as upper_share,
       marks, numbers, emoji, tags
from measured
