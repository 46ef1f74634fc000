-- model: marts.trending_hashtags
-- about: the 50 leading hashtags per day and source, those above expectation first
-- inputs: features.hashtag_hourly, ml.trends, features.entities, features.posts, ml.sentiment_scores, ml.confusion lookup
-- partition: day
-- key: day, source, hashtag
-- additive: posts, expected
-- column day: UTC day
-- column source: name of the configured source
-- column hashtag: in lower case, without '#'
-- column rank: place within day and source (1 to 50): trending first, then by score, posts and name
-- column posts: posts of the day that carry the hashtag; reposts do not count
-- column authors: distinct authors of those posts
-- column expected: posts that the trend model expected on the whole UTC day, hours without posts and hours to come included, from the hour in which the source began; NULL when it was not asked
-- column score: greatest surprise of an hour, -log10 of its p-value; NULL when the trend model saw none
-- column peak_hour: UTC hour of the greatest score; without scores, of the most posts
-- column trending: whether an hour of the day was trending
-- column net_sentiment: estimated share of positive posts less that of negative ones (-1 to 1) among the posts with the hashtag that a model version has labelled; NULL when none is, or the version's mistakes are not known
-- check: not_null(day, source, hashtag, rank, posts, trending)
-- check: unique(day, source, hashtag)
-- check: unique(day, source, rank)
-- check: range(rank: 1..50)
-- check: range(net_sentiment: -1..1)

with hourly as (
  select h.day, h.source, h.hashtag, h.hour, h.posts, t.score, t.expected_day,
         case when coalesce(t.trending, false) then 1 else 0 end as trending
  from features.hashtag_hourly h
  left join ml.trends t on t.source = h.source and t.day = h.day and t.hashtag = h.hashtag and t.hour = h.hour
),
placed as (
  select day, source, hashtag, hour, posts, score, expected_day, trending,
         row_number() over (partition by day, source, hashtag order by score desc nulls last, posts desc, hour) as place
  from hourly
),
daily as (
  select day, source, hashtag,
         cast(sum(posts) as bigint) as posts,
         round(max(expected_day), 6) as expected,
         max(score) as score,
         max(case when place = 1 then hour end) as peak_hour,
         max(trending) as trending
  from placed
  group by day, source, hashtag
),
ranked as (
  select day, source, hashtag, posts, expected, score, peak_hour, trending,
         row_number() over (partition by day, source
           order by trending desc, score desc nulls last, posts desc, hashtag) as place
  from daily
),
top as (
  select day, source, hashtag, posts, expected, score, peak_hour, trending, place from ranked where place <= 50
),
-- What a probability of each class adds to the positive posts less the negative.
known as (
  select version,
         max(case when label = 'positive' then weight_negative end) - max(case when label = 'negative' then weight_negative end) as w1,
         max(case when label = 'positive' then weight_neutral end) - max(case when label = 'negative' then weight_neutral end) as w2,
         max(case when label = 'positive' then weight_positive end) - max(case when label = 'negative' then weight_positive end) as w3
  from ml.confusion
  where model = 'sentiment'
  group by version
),
-- A score counts for the text it was made for: an edited post waits for its own.
score as (
  select s.source, s.id, s.day, s.label,
         cast(round((k.w1 * s.p_negative + k.w2 * s.p_neutral + k.w3 * s.p_positive) * 1000000e0) as bigint) as net
  from ml.sentiment_scores s
  join known k on k.version = s.model_version
  join features.posts p on p.source = s.source and p.day = s.day and p.id = s.id and p.text_md5 = s.text_md5
  where s.model = 'sentiment'
),
-- features.entities has none of reposts.
voiced as (
  select e.day, e.source, e.entity as hashtag,
         cast(count(distinct e.author_id) as bigint) as authors,
         cast(count(s.label) as bigint) as scored,
         cast(sum(s.net) as double) / 1000000e0 as net
  from features.entities e
  join top t on t.day = e.day and t.source = e.source and t.hashtag = e.entity
  left join score s on s.source = e.source and s.day = e.day and s.id = e.id
  where e.kind = 'hashtag'
  group by e.day, e.source, e.entity
)
select t.day, t.source, t.hashtag, cast(t.place as bigint) as rank, t.posts, coalesce(v.authors, 0) as authors,
       t.expected, t.score, t.peak_hour, t.trending = 1 as trending,
       case when v.scored > 0 then round(greatest(least(v.net / cast(v.scored as double), 1e0), -1e0), 6) end as net_sentiment
from top t
left join voiced v on v.day = t.day and v.source = t.source and v.hashtag = t.hashtag
