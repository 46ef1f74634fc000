package dashboard

import (
	"fmt"
	"strings"
)

// Definitions of sentiment.
const (
	defineSentiment = "Label given to the present text of each post by the version of the sentiment model that judged its day. Shares are of the scored posts." + defineOnce
	defineShare     = "Estimated share of the scored posts: what the model said, corrected by what it is known to mistake on held-out texts (ml.confusion). " +
		"The interval holds the true share in 95 of 100 cases. Where the mistakes of a version are not known, the share of its labels, uncorrected."
	defineNet = "Positive share - negative share, from -1 to 1."
)

func sentimentQuestion(f filter) question { return sentimentBy(f, "") }

func sentimentDaysQuestion(f filter) question { return sentimentBy(f, "day") }

// sentimentBy sums the mart by a column, or all of it. Estimates add up over rows;
// shares and their intervals follow from the sums.
func sentimentBy(f filter, column string) question {
	q := question{
		Table: sentimentTable, Where: f.totals(sentimentTable),
		Definitions: map[string]string{"sentiment": defineSentiment, "share": defineShare, "net_sentiment": defineNet},
		Models: "SELECT DISTINCT 'sentiment' AS model, model_version AS version FROM marts.daily_sentiment" +
			f.totals(sentimentTable, "model_version IS NOT NULL") + "\nORDER BY ALL",
	}
	text := labelledShares
	if hasColumn(f.columns[sentimentTable], "negative_estimate") && len(f.columns[confusionTable]) > 0 {
		q.With, text = []string{confusionTable}, correctedShares
	}
	by, order := "", ""
	if column != "" {
		by, order = column+", ", "\nORDER BY "+column
	}
	q.SQL = strings.NewReplacer("{by}", by, "{where}", q.Where, "{order}", order).Replace(text)
	return q
}

// labelledShares are the shares of labels as they were given, of a mart that was
// built before they were corrected.
const labelledShares = `SELECT {by}coalesce(sum(posts), 0)::BIGINT AS posts,
       coalesce(sum(scored), 0)::BIGINT AS scored,
       coalesce(sum(negative), 0)::BIGINT AS negative,
       coalesce(sum(neutral), 0)::BIGINT AS neutral,
       coalesce(sum(positive), 0)::BIGINT AS positive,
       count(*) < 0 AS corrected,
       sum(negative) / nullif(sum(scored), 0) AS negative_share,
       sum(neutral) / nullif(sum(scored), 0) AS neutral_share,
       sum(positive) / nullif(sum(scored), 0) AS positive_share,
       (sum(positive) - sum(negative)) / nullif(sum(scored), 0) AS net_sentiment
FROM marts.daily_sentiment{where}
GROUP BY ALL{order}`

// classColumns spells a piece of SQL for each class: its name, its number, and the
// weight of each class in the variance of an estimate, as in marts.daily_sentiment.
func classColumns(format string) string {
	var all []string
	for i, class := range []string{"negative", "neutral", "positive"} {
		all = append(all, strings.NewReplacer("{class}", class, "{i}", fmt.Sprint(i+1)).Replace(format))
	}
	return strings.Join(all, ",\n       ")
}

var correctedShares = `WITH summed AS (
SELECT {by}model_version AS version, sum(posts) AS posts, sum(scored) AS scored,
       coalesce(sum(scored) FILTER (WHERE negative_estimate IS NULL), 0) AS unknown,
       ` + classColumns("sum({class}) AS {class}, coalesce(sum({class}_estimate), 0) AS n{i}") + `
FROM marts.daily_sentiment{where}
GROUP BY ALL
), known AS (
SELECT version, ` + classColumns("max(doubt) FILTER (WHERE label = '{class}') AS d{i}, max(spread_negative) FILTER (WHERE label = '{class}') AS s{i}1, "+
	"max(spread_neutral) FILTER (WHERE label = '{class}') AS s{i}2, max(spread_positive) FILTER (WHERE label = '{class}') AS s{i}3") + `
FROM ml.confusion
WHERE model = 'sentiment'
GROUP BY version
), doubted AS (
SELECT s.*, k.* EXCLUDE (version),
       ` + classColumns("greatest(n{i}, 0) + 0.5 + pow(greatest(n{i}, 0), 2) * d{i} AS u{i}") + `
FROM summed s LEFT JOIN known k ON k.version = s.version
), total AS (
SELECT {by}coalesce(sum(posts), 0)::BIGINT AS posts,
       coalesce(sum(scored), 0)::BIGINT AS scored,
       ` + classColumns("coalesce(sum({class}), 0)::BIGINT AS {class}, sum(n{i}) AS n{i}, sum(s{i}1 * u1 + s{i}2 * u2 + s{i}3 * u3) AS v{i}") + `,
       (least(sum(n1), 0) + least(sum(n2), 0) + least(sum(n3), 0)) / 2 AS short,
       coalesce(sum(CASE WHEN d1 IS NULL THEN scored ELSE unknown END) = 0 AND sum(scored) > 0, false) AS corrected
FROM doubted
GROUP BY ALL
), shares AS (
SELECT *, ` + classColumns("CASE WHEN NOT corrected THEN {class} / nullif(scored, 0) WHEN n{i} < 0 THEN 0 "+
	"ELSE least(greatest((n{i} + short) / nullif(scored, 0), 0), 1) END AS {class}_share") + `
FROM total
)
SELECT {by}posts, scored, negative, neutral, positive, corrected,
       ` + classColumns("{class}_share, CASE WHEN corrected THEN greatest({class}_share - 1.96 * sqrt(v{i}) / scored, 0) END AS {class}_low, "+
	"CASE WHEN corrected THEN least({class}_share + 1.96 * sqrt(v{i}) / scored, 1) END AS {class}_high") + `,
       positive_share - negative_share AS net_sentiment
FROM shares{order}`
