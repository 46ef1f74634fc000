package lake

func columns(pairs ...string) []Column {
	cols := make([]Column, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		cols = append(cols, Column{Name: pairs[i], Type: pairs[i+1]})
	}
	return cols
}

// PropertyNetwork is a property of raw.posts; a source's name follows. It names the
// platform whose ids the source's posts carry, once one of them has told. Sources
// of one network speak of the same posts.
const PropertyNetwork = "feedlake.network."

// RawPosts is raw.posts: one row per observed version of a post, the columns of
// feedlake.Post.
func RawPosts() Spec {
	return Spec{
		Name: "raw.posts",
		Columns: columns(
			"source", "VARCHAR", "id", "VARCHAR", "uri", "VARCHAR", "kind", "VARCHAR",
			"author_id", "VARCHAR", "author_name", "VARCHAR", "author_followers", "BIGINT",
			"created_at", "TIMESTAMPTZ", "observed_at", "TIMESTAMPTZ", "text", "VARCHAR", "lang", "VARCHAR",
			"hashtags", "VARCHAR[]", "mentions", "VARCHAR[]", "urls", "VARCHAR[]",
			"reply_to", "VARCHAR", "repost_of", "VARCHAR", "quote_of", "VARCHAR",
			"likes", "BIGINT", "reposts", "BIGINT", "replies", "BIGINT", "views", "BIGINT",
			"deleted", "BOOLEAN", "query", "VARCHAR", "payload", "VARCHAR", "run_id", "VARCHAR",
			"network", "VARCHAR", "seq", "BIGINT", "reading", "BIGINT"),
		Partition: []string{"source", "day(created_at)"},
		Key:       []string{"source", "id", "observed_at"},
		Landed:    true,
	}
}

// RawRejects is raw.rejects: the records that could not be read, the columns of
// feedlake.Reject.
func RawRejects() Spec {
	return Spec{
		Name: "raw.rejects",
		Columns: columns("source", "VARCHAR", "reason", "VARCHAR", "payload", "VARCHAR",
			"position", "VARCHAR", "rejected_at", "TIMESTAMPTZ", "run_id", "VARCHAR"),
		Partition: []string{"source", "day(rejected_at)"},
		Key:       []string{"source", "position", "run_id"},
		Landed:    true,
	}
}

// Scattered is features.scattered: the posts whose versions lie in more than one
// partition of raw.posts, because a version moved the post's time to another day,
// a deletion carries another time, or two sources bring one post. Each of these
// partitions has a row: shown where the post belongs now, with the version that
// won, and not shown elsewhere. Transforms keeps it; see docs/adr/0015.
func Scattered() Spec {
	return Spec{
		Name: "features.scattered",
		Columns: columns("source", "VARCHAR", "id", "VARCHAR", "day", "DATE", "shown", "BOOLEAN", "copy", "BOOLEAN", "versions", "BIGINT",
			"network", "VARCHAR", "uri", "VARCHAR", "kind", "VARCHAR", "author_id", "VARCHAR", "author_name", "VARCHAR", "author_followers", "BIGINT",
			"created_at", "TIMESTAMPTZ", "observed_at", "TIMESTAMPTZ", "text", "VARCHAR", "lang", "VARCHAR",
			"hashtags", "VARCHAR[]", "mentions", "VARCHAR[]", "urls", "VARCHAR[]",
			"reply_to", "VARCHAR", "repost_of", "VARCHAR", "quote_of", "VARCHAR",
			"likes", "BIGINT", "reposts", "BIGINT", "replies", "BIGINT", "views", "BIGINT"),
		Partition: []string{"source", "day"},
		Key:       []string{"source", "id", "day"},
	}
}

// Labels is ml.labels: texts with the sentiment that somebody gave them.
func Labels() Spec {
	return Spec{
		Name: "ml.labels",
		Columns: columns("source", "VARCHAR", "id", "VARCHAR", "text", "VARCHAR", "lang", "VARCHAR",
			"label", "VARCHAR", "labeller", "VARCHAR", "dataset", "VARCHAR", "labelled_at", "TIMESTAMPTZ", "run_id", "VARCHAR"),
		Partition: []string{"dataset"},
		Key:       []string{"dataset", "id"},
	}
}

// SentimentScores is ml.sentiment_scores: what a version of the sentiment model
// says of one text of a post, or why it says nothing (unscored: language or
// empty). The version that judged a partition first judges what comes late to it
// (docs/adr/0017); to judge again replaces the partition.
func SentimentScores() Spec {
	return Spec{
		Name: "ml.sentiment_scores",
		Columns: columns("source", "VARCHAR", "id", "VARCHAR", "day", "DATE", "text_md5", "VARCHAR", "label", "VARCHAR",
			"p_negative", "DOUBLE", "p_neutral", "DOUBLE", "p_positive", "DOUBLE", "confidence", "DOUBLE",
			"model", "VARCHAR", "model_version", "BIGINT", "input_snapshot", "BIGINT", "run_id", "VARCHAR", "scored_at", "TIMESTAMPTZ",
			"unscored", "VARCHAR"),
		Partition: []string{"source", "day"},
		Key:       []string{"source", "id", "text_md5", "model", "model_version"},
	}
}

// Champions is ml.champions: the version of each model that is in use.
func Champions() Spec {
	return Spec{
		Name:    "ml.champions",
		Columns: columns("model", "VARCHAR", "version", "BIGINT", "promoted_at", "TIMESTAMPTZ", "run_id", "VARCHAR"),
		Key:     []string{"model"},
	}
}

// Confusion is ml.confusion: what a version of the sentiment model made of the
// held-out texts of each label, and how counts of its answers are corrected by
// that. Rows are only ever added. said_ counts its labels, mean_ is the mean of
// its probabilities; weight_ is what a text's probability of each class adds to the
// estimated number of texts of the label, spread_ the variance of that for a text
// of each class; doubt is the variance of what is known of the label's texts as a
// share of what one text has.
func Confusion() Spec {
	return Spec{
		Name: "ml.confusion",
		Columns: columns("model", "VARCHAR", "version", "BIGINT", "label", "VARCHAR", "texts", "BIGINT",
			"said_negative", "BIGINT", "said_neutral", "BIGINT", "said_positive", "BIGINT",
			"mean_negative", "DOUBLE", "mean_neutral", "DOUBLE", "mean_positive", "DOUBLE",
			"weight_negative", "DOUBLE", "weight_neutral", "DOUBLE", "weight_positive", "DOUBLE",
			"spread_negative", "DOUBLE", "spread_neutral", "DOUBLE", "spread_positive", "DOUBLE",
			"doubt", "DOUBLE", "run_id", "VARCHAR"),
		Key: []string{"model", "version", "label"},
	}
}

// Trends is ml.trends: each hour with posts of a hashtag against what the count
// model expected. expected_day is what it expected of all hours of the day, those
// without posts too, from the hour in which the source began; it is there for the
// hashtags that lead the day.
func Trends() Spec {
	return Spec{
		Name: "ml.trends",
		Columns: columns("source", "VARCHAR", "hashtag", "VARCHAR", "hour", "TIMESTAMPTZ", "day", "DATE",
			"observed", "BIGINT", "expected", "DOUBLE", "p_value", "DOUBLE", "q_value", "DOUBLE", "score", "DOUBLE", "trending", "BOOLEAN",
			"model", "VARCHAR", "model_version", "BIGINT", "input_snapshot", "BIGINT", "run_id", "VARCHAR", "expected_day", "DOUBLE"),
		Partition: []string{"source", "day"},
		Key:       []string{"source", "hashtag", "hour"},
	}
}

// Steps is ops.steps: the runs that have ended, one row of kind "run" each, and
// their steps, for marts.pipeline_runs. All rows of a run have one day: that of its
// end.
func Steps() Spec {
	return Spec{
		Name: "ops.steps",
		Columns: columns("run_id", "VARCHAR", "job", "VARCHAR", "step", "VARCHAR",
			"started_at", "TIMESTAMPTZ", "ended_at", "TIMESTAMPTZ", "state", "VARCHAR",
			"rows_in", "BIGINT", "rows_out", "BIGINT", "rejects", "BIGINT", "detail", "VARCHAR", "error", "VARCHAR", "kind", "VARCHAR", "day", "DATE"),
		Partition: []string{"day"},
		Key:       []string{"run_id", "step"},
	}
}

// Erased is ops.erasures: what was taken down and must not enter the lake again.
// It holds neither ids nor texts, only their hashes; see Erasures.
func Erased() Spec {
	return Spec{
		Name:    "ops.erasures",
		Columns: columns("kind", "VARCHAR", "source", "VARCHAR", "hash", "VARCHAR", "at", "TIMESTAMPTZ", "run_id", "VARCHAR"),
		Key:     []string{"kind", "source", "hash"},
		Landed:  true,
	}
}

// Fixed lists the specs of the tables that feedlake itself writes, beside those
// that SQL models make.
func Fixed() []Spec {
	return []Spec{RawPosts(), RawRejects(), Scattered(), Labels(), SentimentScores(), Champions(), Confusion(), Trends(), Steps(), Erased()}
}
