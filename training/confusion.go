package training

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/feedlake/feedlake/lake"
)

const confusionTable = "ml.confusion"

// confusionState is the property of ml.confusion that lists the versions in it.
const confusionState = "feedlake.confusion"

// ConfusionRow is a row of ml.confusion.
type ConfusionRow struct {
	Model          string  `parquet:"model,optional"`
	Version        int64   `parquet:"version"`
	Label          string  `parquet:"label,optional"`
	Texts          int64   `parquet:"texts"`
	SaidNegative   int64   `parquet:"said_negative"`
	SaidNeutral    int64   `parquet:"said_neutral"`
	SaidPositive   int64   `parquet:"said_positive"`
	MeanNegative   float64 `parquet:"mean_negative"`
	MeanNeutral    float64 `parquet:"mean_neutral"`
	MeanPositive   float64 `parquet:"mean_positive"`
	WeightNegative float64 `parquet:"weight_negative"`
	WeightNeutral  float64 `parquet:"weight_neutral"`
	WeightPositive float64 `parquet:"weight_positive"`
	SpreadNegative float64 `parquet:"spread_negative"`
	SpreadNeutral  float64 `parquet:"spread_neutral"`
	SpreadPositive float64 `parquet:"spread_positive"`
	Doubt          float64 `parquet:"doubt"`
	RunID          string  `parquet:"run_id,optional"`
}

// syncConfusion adds the versions to ml.confusion whose reports tell how their
// answers are corrected. What stands there stays: scores name it.
func (r *Registry) syncConfusion(ctx context.Context, models []string, runID string) error {
	old, err := r.lake.Property(ctx, confusionTable, confusionState)
	if err != nil {
		return err
	}
	have := strings.Fields(old)
	var rows []ConfusionRow
	for _, m := range models {
		cards, err := r.Versions(m)
		if err != nil {
			return err
		}
		for _, c := range cards {
			name := fmt.Sprintf("%s@%d", m, c.Version)
			if c.Evaluation == nil || c.Evaluation.Correction == nil || slices.Contains(have, name) {
				continue
			}
			have = append(have, name)
			rows = append(rows, confusionRows(c, runID)...)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	path, err := lake.WriteRows(ctx, r.lake, confusionTable, "", rows)
	if err != nil {
		return err
	}
	_, err = r.lake.Commit(ctx, lake.Commit{
		Table: confusionTable, Add: []string{path},
		Set: map[string]string{confusionState: strings.Join(have, " ")}, Expect: map[string]string{confusionState: old},
		Summary: map[string]string{lake.SummaryRunID: runID},
	})
	return err
}

func confusionRows(c Card, runID string) []ConfusionRow {
	rows := make([]ConfusionRow, len(sentimentLabels))
	k := c.Evaluation.Correction
	for y, label := range sentimentLabels {
		said := c.Evaluation.Confusion[y]
		rows[y] = ConfusionRow{
			Model: c.Model, Version: int64(c.Version), Label: label, Texts: int64(k.Texts[y]),
			SaidNegative: int64(said[0]), SaidNeutral: int64(said[1]), SaidPositive: int64(said[2]),
			MeanNegative: k.Rates[y][0], MeanNeutral: k.Rates[y][1], MeanPositive: k.Rates[y][2],
			WeightNegative: k.Weights[y][0], WeightNeutral: k.Weights[y][1], WeightPositive: k.Weights[y][2],
			SpreadNegative: k.Spread[y][0], SpreadNeutral: k.Spread[y][1], SpreadPositive: k.Spread[y][2],
			Doubt: k.Doubt(y), RunID: runID,
		}
	}
	return rows
}
