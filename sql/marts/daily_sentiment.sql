-- model: marts.daily_sentiment
-- about: sentiment of the posts per day, source and language: what the model said, and the shares that follow once its known mistakes are taken out
-- inputs: features.posts, ml.sentiment_scores, ml.confusion lookup
-- partition: day
-- key: day, source, lang, copy
-- additive: posts, scored, unscored_language, unscored_empty, negative, neutral, positive, negative_estimate, neutral_estimate, positive_estimate
-- column day: UTC day
-- column source: name of the configured source
-- column lang: language of the posts; und when unknown
-- column copy: whether a source before this one, by name, shows the same posts: totals over sources sum the rows that are no copy
-- column posts: posts of the day, reposts left out: they repeat what others say
-- column scored: of the posts, those whose present text a model version has labelled
-- column unscored_language: of the posts, those in a language that the version was not judged on
-- column unscored_empty: of the posts, those without a word or an emoji, links and mentions aside
-- column negative: scored posts that the model labelled negative
-- column neutral: scored posts that the model labelled neutral
-- column positive: scored posts that the model labelled positive
-- column negative_estimate: estimated number of negative posts among the scored; it adds up over rows, and can be below 0 in a small one
-- column neutral_estimate: estimated number of neutral posts among the scored; it adds up over rows, and can be below 0 in a small one
-- column positive_estimate: estimated number of positive posts among the scored; it adds up over rows, and can be below 0 in a small one
-- column negative_share: estimated share of negative posts among the scored (0 to 1); NULL when none is scored, or the version's mistakes are not known
-- column negative_low: lower end of the interval that holds negative_share in 95 of 100 cases
-- column negative_high: upper end of the interval that holds negative_share in 95 of 100 cases
-- column neutral_share: estimated share of neutral posts among the scored (0 to 1)
-- column neutral_low: lower end of the interval that holds neutral_share in 95 of 100 cases
-- column neutral_high: upper end of the interval that holds neutral_share in 95 of 100 cases
-- column positive_share: estimated share of positive posts among the scored (0 to 1)
-- column positive_low: lower end of the interval that holds positive_share in 95 of 100 cases
-- column positive_high: upper end of the interval that holds positive_share in 95 of 100 cases
-- column net_sentiment: positive_share - negative_share (-1 to 1)
-- column mean_confidence: mean confidence of the scored posts (0 to 1), exact to a billionth each; NULL when none is scored
-- column model_version: newest version among those that judged the day; NULL when none did
-- check: not_null(day, source, lang, copy)
-- check: unique(day, source, lang, copy)
-- check: range(net_sentiment: -1..1)
-- check: range(negative_share: 0..1)

-- A score counts for the text it was made for: an edited post waits for its own.
with score as (
  select source, id, day, text_md5, label, unscored, model_version,
         cast(round(p_negative * 1000000000e0) as bigint) as p_negative,
         cast(round(p_neutral * 1000000000e0) as bigint) as p_neutral,
         cast(round(p_positive * 1000000000e0) as bigint) as p_positive,
         cast(round(confidence * 1000000000e0) as bigint) as confidence
  from ml.sentiment_scores
  where model = 'sentiment'
),
counted as (
  select p.day, p.source, p.lang, p.copy, s.model_version,
         cast(count(*) as bigint) as posts,
         cast(count(s.label) as bigint) as scored,
         cast(count(case when s.unscored = 'language' then 1 end) as bigint) as unscored_language,
         cast(count(case when s.unscored = 'empty' or p.text is null then 1 end) as bigint) as unscored_empty,
         cast(count(case when s.label = 'negative' then 1 end) as bigint) as negative,
         cast(count(case when s.label = 'neutral' then 1 end) as bigint) as neutral,
         cast(count(case when s.label = 'positive' then 1 end) as bigint) as positive,
         cast(sum(s.p_negative) as double) / 1000000000e0 as p_negative,
         cast(sum(s.p_neutral) as double) / 1000000000e0 as p_neutral,
         cast(sum(s.p_positive) as double) / 1000000000e0 as p_positive,
         cast(sum(s.confidence) as bigint) as confidence
  from features.posts p
  left join score s on s.source = p.source and s.day = p.day and s.id = p.id and s.text_md5 = p.text_md5
  where p.kind is distinct from 'repost'
  group by p.day, p.source, p.lang, p.copy, s.model_version
),
-- w_ij: what a probability of class j adds to the number of texts of class i;
-- s_ij: the variance of that for a text of class j; d_j: the doubt about class j.
-- The classes are 1 negative, 2 neutral, 3 positive.
known as (
  select version,
         max(case when label = 'negative' then weight_negative end) as w11, max(case when label = 'negative' then weight_neutral end) as w12,
         max(case when label = 'negative' then weight_positive end) as w13,
         max(case when label = 'neutral' then weight_negative end) as w21, max(case when label = 'neutral' then weight_neutral end) as w22,
         max(case when label = 'neutral' then weight_positive end) as w23,
         max(case when label = 'positive' then weight_negative end) as w31, max(case when label = 'positive' then weight_neutral end) as w32,
         max(case when label = 'positive' then weight_positive end) as w33,
         max(case when label = 'negative' then spread_negative end) as s11, max(case when label = 'negative' then spread_neutral end) as s12,
         max(case when label = 'negative' then spread_positive end) as s13,
         max(case when label = 'neutral' then spread_negative end) as s21, max(case when label = 'neutral' then spread_neutral end) as s22,
         max(case when label = 'neutral' then spread_positive end) as s23,
         max(case when label = 'positive' then spread_negative end) as s31, max(case when label = 'positive' then spread_neutral end) as s32,
         max(case when label = 'positive' then spread_positive end) as s33,
         max(case when label = 'negative' then doubt end) as d1, max(case when label = 'neutral' then doubt end) as d2,
         max(case when label = 'positive' then doubt end) as d3
  from ml.confusion
  where model = 'sentiment'
  group by version
),
estimated as (
  select c.*, k.s11, k.s12, k.s13, k.s21, k.s22, k.s23, k.s31, k.s32, k.s33, k.d1, k.d2, k.d3,
         k.w11 * c.p_negative + k.w12 * c.p_neutral + k.w13 * c.p_positive as n1,
         k.w21 * c.p_negative + k.w22 * c.p_neutral + k.w23 * c.p_positive as n2,
         k.w31 * c.p_negative + k.w32 * c.p_neutral + k.w33 * c.p_positive as n3
  from counted c
  left join known k on k.version = c.model_version
),
-- The variance of an estimate of class i is the sum over the classes j of s_ij
-- times (texts of j + 1/2, for what a handful hides, + their square times the doubt
-- about j).
spread as (
  select e.*,
         greatest(e.n1, 0e0) + 5e-1 + greatest(e.n1, 0e0) * greatest(e.n1, 0e0) * e.d1 as u1,
         greatest(e.n2, 0e0) + 5e-1 + greatest(e.n2, 0e0) * greatest(e.n2, 0e0) * e.d2 as u2,
         greatest(e.n3, 0e0) + 5e-1 + greatest(e.n3, 0e0) * greatest(e.n3, 0e0) * e.d3 as u3
  from estimated e
),
summed as (
  select day, source, lang, copy,
         cast(sum(posts) as bigint) as posts, cast(sum(scored) as bigint) as scored,
         cast(sum(unscored_language) as bigint) as unscored_language, cast(sum(unscored_empty) as bigint) as unscored_empty,
         cast(sum(negative) as bigint) as negative, cast(sum(neutral) as bigint) as neutral, cast(sum(positive) as bigint) as positive,
         cast(sum(cast(round(n1 * 1000000e0) as bigint)) as double) / 1000000e0 as n1,
         cast(sum(cast(round(n2 * 1000000e0) as bigint)) as double) / 1000000e0 as n2,
         cast(sum(cast(round(n3 * 1000000e0) as bigint)) as double) / 1000000e0 as n3,
         cast(sum(cast(round((u1 * s11 + u2 * s12 + u3 * s13) * 1000000e0) as bigint)) as double) / 1000000e0 as v1,
         cast(sum(cast(round((u1 * s21 + u2 * s22 + u3 * s23) * 1000000e0) as bigint)) as double) / 1000000e0 as v2,
         cast(sum(cast(round((u1 * s31 + u2 * s32 + u3 * s33) * 1000000e0) as bigint)) as double) / 1000000e0 as v3,
         max(case when scored > 0 and n1 is null then 1 else 0 end) as lacking,
         cast(sum(confidence) as bigint) as confidence,
         cast(max(model_version) as bigint) as model_version
  from spread
  group by day, source, lang, copy
),
shared as (
  select s.*, nullif(cast(case when lacking = 0 then scored end as double), 0e0) as n
  from summed s
),
-- The nearest shares to the estimates that are not below 0 and make 1.
below as (
  select s.*, (least(n1, 0e0) + least(n2, 0e0) + least(n3, 0e0)) / 2e0 as excess from shared s
),
placed as (
  select b.*,
         round(case when n1 < 0e0 then 0e0 else least(greatest((n1 + excess) / n, 0e0), 1e0) end, 6) as x1,
         round(case when n2 < 0e0 then 0e0 else least(greatest((n2 + excess) / n, 0e0), 1e0) end, 6) as x2,
         round(case when n3 < 0e0 then 0e0 else least(greatest((n3 + excess) / n, 0e0), 1e0) end, 6) as x3,
         round(196e-2 * sqrt(v1) / n, 6) as h1,
         round(196e-2 * sqrt(v2) / n, 6) as h2,
         round(196e-2 * sqrt(v3) / n, 6) as h3
  from below b
)
select day, source, lang, copy, posts, scored, unscored_language, unscored_empty, negative, neutral, positive,
       case when n is not null then n1 end as negative_estimate,
       case when n is not null then n2 end as neutral_estimate,
       case when n is not null then n3 end as positive_estimate,
       case when n is not null then x1 end as negative_share,
       case when n is not null then greatest(x1 - h1, 0e0) end as negative_low,
       case when n is not null then least(x1 + h1, 1e0) end as negative_high,
       case when n is not null then x2 end as neutral_share,
       case when n is not null then greatest(x2 - h2, 0e0) end as neutral_low,
       case when n is not null then least(x2 + h2, 1e0) end as neutral_high,
       case when n is not null then x3 end as positive_share,
       case when n is not null then greatest(x3 - h3, 0e0) end as positive_low,
       case when n is not null then least(x3 + h3, 1e0) end as positive_high,
       case when n is not null then x3 - x1 end as net_sentiment,
       cast(confidence as double) / 1000000000e0 / nullif(cast(scored as double), 0e0) as mean_confidence,
       model_version
from placed
