-- model: marts.trending_hashtags
-- about: the 50 leading hashtags per day and source, those above expectation first
-- inputs: features.hashtag_hourly, ml.trends, features.entities, features.posts, ml.sentiment_scores, ml.champions
-- partition: day
-- key: day, source, hashtag
-- column day: UTC day
-- column source: name of the configured source
-- column hashtag: in lower case, without '#'
-- column rank: place within day and source (1 to 50): trending first, then by score, posts and name
-- column posts: posts of the day that carry the hashtag
-- column authors: distinct authors of those posts
-- column expected: posts that the trend model expected, summed over the hours it looked at; NULL when it saw none
-- column score: greatest surprise of an hour, -log10 of its p-value; NULL when the trend model saw none
-- column peak_hour: UTC hour of the greatest score; without scores, of the most posts
-- column trending: whether an hour of the day was trending
-- column net_sentiment: (positive - negative) / scored over the posts with the hashtag that the champion has labelled; NULL when none
-- check: not_null(day, source, hashtag, rank, posts, trending)
-- check: unique(day, source, hashtag)
-- check: unique(day, source, rank)
-- check: range(rank: 1..50)
-- check: range(net_sentiment: -1..1)

with hourly as (
  select h.day, h.source, h.hashtag, h.hour, h.posts, t.score,
         cast(round(t.expected * 1000000e0) as bigint) as expected,
         case when coalesce(t.trending, false) then 1 else 0 end as trending
  from features.hashtag_hourly h
  left join ml.trends t on t.source = h.source and t.day = h.day and t.hashtag = h.hashtag and t.hour = h.hour
),
placed as (
  select day, source, hashtag, hour, posts, score, expected, trending,
         row_number() over (partition by day, source, hashtag order by score desc nulls last, posts desc, hour) as place
  from hourly
),
daily as (
  select day, source, hashtag,
         cast(sum(posts) as bigint) as posts,
         cast(sum(expected) as double) / 1000000e0 as expected,
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
score as (
  select s.source, s.id, s.day, s.text_md5, s.label
  from ml.sentiment_scores s
  join ml.champions c on c.model = s.model and c.version = s.model_version
),
voiced as (
  select e.day, e.source, e.entity as hashtag,
         cast(count(distinct e.author_id) as bigint) as authors,
         cast(count(s.label) as bigint) as scored,
         cast(count(case when s.label = 'positive' then 1 end) as bigint) as positive,
         cast(count(case when s.label = 'negative' then 1 end) as bigint) as negative
  from features.entities e
  join top t on t.day = e.day and t.source = e.source and t.hashtag = e.entity
  join features.posts p on p.source = e.source and p.day = e.day and p.id = e.id
  left join score s on s.source = p.source and s.day = p.day and s.id = p.id and s.text_md5 = p.text_md5
  where e.kind = 'hashtag'
  group by e.day, e.source, e.entity
)
select t.day, t.source, t.hashtag, cast(t.place as bigint) as rank, t.posts, coalesce(v.authors, 0) as authors,
       t.expected, t.score, t.peak_hour, t.trending = 1 as trending,
       cast(v.positive - v.negative as double) / nullif(cast(v.scored as double), 0e0) as net_sentiment
from top t
left join voiced v on v.day = t.day and v.source = t.source and v.hashtag = t.hashtag
