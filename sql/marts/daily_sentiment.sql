-- model: marts.daily_sentiment
-- about: sentiment of the posts per day, source and language, as the champion model sees it
-- inputs: features.posts, ml.sentiment_scores, ml.champions
-- partition: day
-- key: day, source, lang
-- column day: UTC day
-- column source: name of the configured source
-- column lang: language of the posts; und when unknown
-- column posts: posts of the day
-- column scored: of the posts, those whose present text the champion has labelled
-- column negative: scored posts labelled negative
-- column neutral: scored posts labelled neutral
-- column positive: scored posts labelled positive
-- column positive_share: positive / scored (0 to 1); NULL when none is scored
-- column negative_share: negative / scored (0 to 1); NULL when none is scored
-- column net_sentiment: (positive - negative) / scored (-1 to 1); NULL when none is scored
-- column mean_confidence: mean confidence of the scored posts (0 to 1), exact to a billionth each; NULL when none is scored
-- column model_version: version of the champion; NULL when none is scored
-- check: not_null(day, source, lang)
-- check: unique(day, source, lang)
-- check: range(net_sentiment: -1..1)

-- A score counts for the text it was made for: an edited post waits for its own.
with score as (
  select s.source, s.id, s.day, s.text_md5, s.label, s.model_version,
         cast(round(s.confidence * 1000000000e0) as bigint) as confidence
  from ml.sentiment_scores s
  join ml.champions c on c.model = s.model and c.version = s.model_version
),
summed as (
  select p.day, p.source, p.lang,
         cast(count(*) as bigint) as posts,
         cast(count(s.label) as bigint) as scored,
         cast(count(case when s.label = 'negative' then 1 end) as bigint) as negative,
         cast(count(case when s.label = 'neutral' then 1 end) as bigint) as neutral,
         cast(count(case when s.label = 'positive' then 1 end) as bigint) as positive,
         cast(sum(case when s.label is not null then s.confidence end) as bigint) as confidence,
         cast(max(s.model_version) as bigint) as model_version
  from features.posts p
  left join score s on s.source = p.source and s.day = p.day and s.id = p.id and s.text_md5 = p.text_md5
  group by p.day, p.source, p.lang
)
select day, source, lang, posts, scored, negative, neutral, positive,
       cast(positive as double) / nullif(cast(scored as double), 0e0) as positive_share,
       cast(negative as double) / nullif(cast(scored as double), 0e0) as negative_share,
       cast(positive - negative as double) / nullif(cast(scored as double), 0e0) as net_sentiment,
       cast(confidence as double) / 1000000000e0 / nullif(cast(scored as double), 0e0) as mean_confidence,
       model_version
from summed
