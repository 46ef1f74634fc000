package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/training"
)

func newLabelCommand(o *options) *cobra.Command {
	c := &cobra.Command{Use: "label", Short: "Bring labelled texts into ml.labels"}
	var l config.Labels
	imp := &cobra.Command{
		Use:   "import FILE --dataset NAME",
		Short: "Import labelled texts (TSV, CSV, NDJSON)",
		Long: `Import labelled texts for the sentiment model. The columns are label (negative,
neutral, positive, or 0, 1, 2) and text; flags give other names. Importing the same
content again adds nothing; changed content replaces what the dataset held.`,
		Example: "  feedlake label import train.tsv --dataset semeval2017",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l.File = args[0]
			if l.Dataset == "" {
				return usage("--dataset is required: the name of the set")
			}
			return o.single(cmd.Context(), wiring.StepLabels, wiring.TrainLocks(), func(ctx context.Context, a *app) error { return a.labelImport(ctx, l) })
		},
	}
	f := imp.Flags()
	f.StringVar(&l.Dataset, "dataset", "", "name of the set")
	f.StringVar(&l.Label, "label", "label", "name of the column with the label")
	f.StringVar(&l.Text, "text", "text", "name of the column with the text")
	f.StringVar(&l.ID, "id", "", "name of the column with an id")
	f.StringVar(&l.Lang, "lang", "", "name of the column with the language")
	c.AddCommand(imp)
	return c
}

// labelImport imports one file; records that cannot be used make it partial.
func (a *app) labelImport(ctx context.Context, l config.Labels) error {
	res, err := a.ImportFile(ctx, l.File, l)
	if err != nil {
		return err
	}
	schedules.Report(ctx, schedules.Counts{Detail: wiring.LabelDetail(res)})
	if len(res.Bad) > 0 {
		return badLabels(l.File, res.Bad)
	}
	return nil
}

func badLabels(file string, bad []training.BadLabel) error {
	const shown = 5
	var parts []string
	for i, b := range bad {
		if i == shown {
			parts = append(parts, fmt.Sprintf("and %d more", len(bad)-shown))
			break
		}
		parts = append(parts, fmt.Sprintf("%s:%d: %s", file, b.Line, b.Reason))
	}
	return fmt.Errorf("%s: %w", strings.Join(parts, "; "), feedlake.ErrPartial)
}
