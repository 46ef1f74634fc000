package lake

import "maps"

// Description tells people what a table that feedlake itself writes holds.
type Description struct {
	About    string            // one line
	Columns  map[string]string // meaning of each column, with its unit
	Additive []string          // columns whose values may be summed over rows
}

// Describe describes the tables of Fixed, by name.
func Describe() map[string]Description {
	post := map[string]string{
		"source": "name of the configured source", "id": "the post's id, unique within its network, or within its source where no network is known",
		"network": "platform whose ids the source's posts carry, such as x; NULL where none is known", "uri": "global address of the post",
		"kind":      "post, reply, repost, quote or comment; of deletions also account and local",
		"author_id": "stable id of the author, unique within the source", "author_name": "handle as shown",
		"author_followers": "followers of the author when this version was seen (accounts)",
		"created_at":       "when the post was made, as the network says (UTC)",
		"observed_at":      "when this version was seen (UTC); NULL when the record does not tell",
		"text":             "the post's text", "lang": "canonical BCP 47 tag; NULL when the network does not say",
		"hashtags": "as listed by the network, without '#'; NULL when it does not list them", "mentions": "as listed by the network, without '@'; NULL when it does not list them",
		"urls": "as listed by the network; NULL when it does not list them", "reply_to": "id of the post answered", "repost_of": "id of the post repeated",
		"quote_of": "id of the post quoted", "likes": "count when this version was seen; absent is NULL", "reposts": "count when this version was seen; absent is NULL",
		"replies": "count when this version was seen; absent is NULL", "views": "count when this version was seen; absent is NULL",
	}
	with := func(more map[string]string) map[string]string {
		out := map[string]string{}
		for _, m := range []map[string]string{post, more} {
			maps.Copy(out, m)
		}
		return out
	}
	return map[string]Description{
		RawPosts().Name: {About: "every observed version of a post, as it came; rows are only ever added, but for erasure and retention", Columns: with(map[string]string{
			"deleted": "whether this version says that the post is gone", "query": "what was asked of the network: a search, a feed, a file",
			"payload": "the record as it came (JSON)", "run_id": "the run that landed the row",
			"seq":     "place among the records of the run, from 1: of versions seen at one moment the later holds; NULL in rows of older programs",
			"reading": "how often the source's records were asked for anew (ingest --again) before this one was read; NULL: never",
		})},
		RawRejects().Name: {About: "records that could not be read, and why; nothing is dropped silently", Columns: map[string]string{
			"source": "name of the configured source", "reason": "what is wrong", "payload": "the record, cut at 64 KiB",
			"position": "where it stands: file and line, or a request and an index", "rejected_at": "when it was read (UTC)", "run_id": "the run that read it",
		}},
		Scattered().Name: {About: "posts whose versions lie in more than one partition of raw.posts: a row for each of the partitions", Columns: with(map[string]string{
			"day": "UTC day of the partition", "shown": "whether the post belongs into this partition now; only then the columns of the version that holds are filled",
			"copy": "whether a source before this one, by name, shows the same post", "versions": "observed versions of the post, of all sources",
		})},
		Labels().Name: {About: "texts with the sentiment that somebody gave them", Columns: map[string]string{
			"source": "source of the labelled post, where it is one", "id": "id within the data set", "text": "the text", "lang": "its language",
			"label": "negative, neutral or positive", "labeller": "who gave it", "dataset": "name of the set", "labelled_at": "when (UTC)", "run_id": "the run that read it",
		}},
		SentimentScores().Name: {About: "what a version of the sentiment model says of one text of a post", Columns: map[string]string{
			"source": "source of the post", "id": "id of the post", "day": "UTC day of the post", "text_md5": "MD5 of the text that was scored (hex)",
			"label": "the class with the greatest probability", "p_negative": "probability (0 to 1)", "p_neutral": "probability (0 to 1)", "p_positive": "probability (0 to 1)",
			"confidence": "probability of the label (0 to 1)", "unscored": "why the text has no label; NULL where it has one", "model": "name of the model", "model_version": "its version", "input_snapshot": "snapshot of features.posts that was read",
			"run_id": "the run that scored it", "scored_at": "when (UTC)",
		}},
		Confusion().Name: {About: "what held-out texts tell of a version of the sentiment model, one row for each true label; shares are corrected with it", Columns: map[string]string{
			"model": "name of the model", "version": "its version", "label": "the label that people gave", "texts": "held-out texts with this label",
			"said_negative": "of them, labelled negative by the model", "said_neutral": "of them, labelled neutral by the model", "said_positive": "of them, labelled positive by the model",
			"mean_negative": "mean of the model's probability of negative over them (0 to 1)", "mean_neutral": "the same of neutral", "mean_positive": "the same of positive",
			"weight_negative": "what a text's probability of negative adds to the estimated number of texts of the label", "weight_neutral": "the same of neutral", "weight_positive": "the same of positive",
			"spread_negative": "variance of that for a text that is negative", "spread_neutral": "the same for a neutral text", "spread_positive": "the same for a positive text",
			"doubt": "variance of what is known of the label's texts, as a share of all", "run_id": "the run that trained the version",
		}},
		Champions().Name: {About: "the version of each model that is in use", Columns: map[string]string{
			"model": "name of the model", "version": "its version", "promoted_at": "when it came into use (UTC)", "run_id": "the run that promoted it",
		}},
		Trends().Name: {About: "each hashtag's hour against what the count model expected", Columns: map[string]string{
			"source": "source of the posts", "hashtag": "in lower case, without '#'", "hour": "UTC hour", "day": "UTC day of the hour",
			"observed": "posts of the hour with the hashtag", "expected": "posts that the model expected", "expected_day": "posts that the model expected over all hours of the day, those without the hashtag too",
			"p_value": "chance of so many posts or more (0 to 1)",
			"q_value": "p_value corrected for the tests of the hour (0 to 1)", "score": "-log10 of p_value", "trending": "whether the hour counts as trending",
			"model": "name of the model", "model_version": "its version", "input_snapshot": "snapshot of features.hashtag_hourly that was read", "run_id": "the run that judged it",
		}, Additive: []string{"observed", "expected"}},
		Steps().Name: {About: "the runs that have ended, one row of kind run each, and their steps", Columns: map[string]string{
			"run_id": "the run", "job": "the job that ran", "step": "the step; run in the row that tells how the run ended",
			"kind": "what the step did: ingest, backfill, retain, features, labels, train, score, trends, marts, publish or transform; run in the row " +
				"that tells how the run ended; NULL in rows of older versions",
			"started_at": "start (UTC)", "ended_at": "end (UTC)",
			"state": "how it ended", "rows_in": "rows read", "rows_out": "rows written", "rejects": "records that could not be read", "detail": "what it did", "error": "why it failed",
			"day": "UTC day on which the run ended; where nothing tells, on which it began or was recorded",
		}, Additive: []string{"rows_in", "rows_out", "rejects"}},
		Erased().Name: {About: "what was taken down and must not enter again: hashes, neither ids nor texts", Columns: map[string]string{
			"kind": "post, author or label", "source": "source, data set or network", "hash": "SHA-256 of source, NUL and id (hex)", "at": "when (UTC)", "run_id": "the run",
		}},
	}
}
