package dashboard

import (
	"fmt"
	"strings"
)

// Definitions stand beside the numbers on the page, and in every answer.
const (
	defineOnce       = " A post that two sources bring counts once, for the first of them by name, unless one source is chosen."
	definePosts      = "Posts in the lake, each counted once in its latest version; deleted posts are gone. From marts.volume, by creation time." + defineOnce
	defineRate       = "Likes + replies + reposts of posts, divided by the followers of their authors, both summed over the same posts: those whose network tells both. Reposts, which repeat other people's posts, are left out."
	defineRated      = "Originals, which are all posts but reposts, whose network tells reactions and the author's followers."
	defineTagNet     = "Estimated share of positive posts less that of negative ones among the scored posts with the hashtag, from -1 to 1."
	defineTrending   = "Each hashtag's strongest day in the range. Trending: in some hour, more posts than the trend model expected, beyond chance after correction for many tests."
	defineTagged     = "Posts of that day that carry the hashtag."
	defineExpected   = "Posts that the trend model expected on that day, from the hashtag's usual level, hour of the week and recent past."
	defineScore      = "Greatest surprise of an hour of that day: -log10 of the probability of so many posts or more."
	defineThroughput = "Posts landed by the newest run that landed any, divided by the seconds of that whole run. Runs that were killed are left out: nobody knows when. Not narrowed by the filter."
	defineHeat       = "Posts by UTC weekday and hour of creation, summed over the range." + defineOnce
	defineEngagement = "Likes + reposts + replies of the posts that tell them; reposts are left out. All posts of each source count, also those that another source brings too."
)

// hourlyUpTo is the longest range, in days, that is shown by hour.
const hourlyUpTo = 4

func postsQuestion(f filter) question {
	w := f.totals(volumeTable)
	return question{Table: volumeTable, Where: w, Definitions: map[string]string{"posts": definePosts}, SQL: `SELECT coalesce(sum(posts), 0)::BIGINT AS posts,
       count(DISTINCT source) AS sources,
       count(DISTINCT lang) AS langs,
       min(day) AS first_day,
       max(day) AS last_day
FROM marts.volume` + w}
}

func rateQuestion(f filter) question {
	w := f.totals(engagementTable)
	return question{
		Table: engagementTable, Where: w, Needs: []string{"total_engagement"},
		Definitions: map[string]string{"engagement_rate": defineRate + defineOnce, "rated_posts": defineRated + defineOnce},
		SQL: `SELECT sum(engagement) / nullif(sum(followers), 0) AS engagement_rate,
       coalesce(sum(rated_posts), 0)::BIGINT AS rated_posts,
       coalesce(sum(posts), 0)::BIGINT AS posts
FROM marts.engagement` + w,
	}
}

// hashtagsQuestion takes whole rows of the mart, so that every number shown
// stands in it.
func hashtagsQuestion(f filter) question {
	w := f.where(false)
	return question{
		Table: hashtagsTable, Where: w, ModelsOf: trendsTable,
		Models: "SELECT DISTINCT model, model_version AS version FROM ml.trends" + f.where(false, "model IS NOT NULL", "model_version IS NOT NULL") + "\nORDER BY ALL",
		Definitions: map[string]string{
			"trending": defineTrending, "posts": defineTagged, "expected": defineExpected, "score": defineScore, "net_sentiment": defineTagNet,
		},
		SQL: fmt.Sprintf(`SELECT hashtag, source, day, posts, expected, score, trending, peak_hour, authors, net_sentiment
FROM marts.trending_hashtags%s
QUALIFY row_number() OVER (PARTITION BY source, hashtag
                           ORDER BY trending DESC, score DESC NULLS LAST, posts DESC, day DESC) = 1
ORDER BY trending DESC, score DESC NULLS LAST, posts DESC, hashtag, source
LIMIT %d`, w, f.Limit),
	}
}

func throughputQuestion() question {
	return question{
		Table: runsTable, Where: "\nWHERE posts > 0 AND posts_per_second IS NOT NULL AND state <> 'abandoned'", Definitions: map[string]string{"posts_per_second": defineThroughput},
		SQL: `SELECT run_id, job, started_at, ended_at, state, posts, seconds, posts_per_second
FROM marts.pipeline_runs
WHERE posts > 0 AND posts_per_second IS NOT NULL AND state <> 'abandoned'
ORDER BY started_at DESC, run_id
LIMIT 1`,
	}
}

func runsQuestion(f filter) question {
	return question{
		Table: runsTable, Definitions: map[string]string{"posts_per_second": "Posts landed by the run / seconds of the whole run."},
		SQL: fmt.Sprintf(`SELECT run_id, job, started_at, ended_at, state, posts, rejects, seconds, posts_per_second, steps, scored, error
FROM marts.pipeline_runs
ORDER BY started_at DESC, run_id
LIMIT %d`, f.Limit),
	}
}

func volumeQuestion(f filter, bucket string) question {
	w := f.totals(volumeTable)
	return question{Table: volumeTable, Where: w, Definitions: map[string]string{"posts": definePosts}, SQL: `SELECT ` + bucket + ` AS bucket, source, sum(posts)::BIGINT AS posts
FROM marts.volume` + w + `
GROUP BY ALL
ORDER BY bucket, source`}
}

func heatQuestion(f filter) question {
	w := f.totals(volumeTable)
	return question{Table: volumeTable, Where: w, Definitions: map[string]string{"posts": defineHeat}, SQL: `SELECT isodow(day) AS weekday, hour(hour) AS hour_of_day, sum(posts)::BIGINT AS posts
FROM marts.volume` + w + `
GROUP BY ALL
ORDER BY weekday, hour_of_day`}
}

// engagementQuestion tells of each source by itself, so that its copies count.
func engagementQuestion(f filter) question {
	w := f.where(true)
	return question{
		Table: engagementTable, Where: w, Needs: []string{"total_engagement"},
		Definitions: map[string]string{"engagement_rate": defineRate, "rated_posts": defineRated, "total_engagement": defineEngagement},
		SQL: `SELECT source,
       sum(engagement) / nullif(sum(followers), 0) AS engagement_rate,
       sum(rated_posts)::BIGINT AS rated_posts,
       sum(posts)::BIGINT AS posts,
       sum(likes)::BIGINT AS likes,
       sum(reposts)::BIGINT AS reposts,
       sum(replies)::BIGINT AS replies,
       sum(total_engagement)::BIGINT AS total_engagement
FROM marts.engagement` + w + `
GROUP BY source
ORDER BY engagement_rate DESC NULLS LAST, source`,
	}
}

// filtersQuestion counts what each choice would show: all posts of a source, and
// those of a language once.
func filtersQuestion(f filter) question {
	f = filter{columns: f.columns}
	part := func(column, where string) string {
		return "SELECT '" + column + "' AS kind, " + column + " AS value, sum(posts)::BIGINT AS posts, min(day) AS first_day, max(day) AS last_day\nFROM marts.volume" + where +
			"\nGROUP BY " + column
	}
	return question{
		Table: volumeTable, Definitions: map[string]string{"posts": definePosts},
		SQL: strings.Join([]string{part("source", ""), part("lang", f.totals(volumeTable))}, "\nUNION ALL\n") + "\nORDER BY kind, posts DESC, value",
	}
}
