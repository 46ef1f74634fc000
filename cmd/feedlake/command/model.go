package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/training"
	"github.com/feedlake/feedlake/training/tensorflow"
)

func newModelCommand(o *options) *cobra.Command {
	c := &cobra.Command{Use: "model", Short: "List, judge and change the model versions"}
	c.AddCommand(
		&cobra.Command{
			Use: "ls [MODEL]", Short: "List the versions of the models", Args: cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error { return a.modelList(ctx, args) })
			},
		},
		&cobra.Command{
			Use: "show MODEL [VERSION]", Short: "Show a version's report (of the version in use, if none is named)", Args: cobra.RangeArgs(1, 2),
			RunE: func(cmd *cobra.Command, args []string) error {
				return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error { return a.modelShow(ctx, args) })
			},
		},
		&cobra.Command{
			Use: "promote MODEL VERSION", Short: "Put a version in use", Args: cobra.ExactArgs(2),
			RunE: func(cmd *cobra.Command, args []string) error {
				return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error {
					v, err := parseVersion(args[1])
					if err != nil {
						return err
					}
					reg, err := a.Registry(ctx)
					if err != nil {
						return err
					}
					if err := reg.Promote(ctx, args[0], v, "", "promoted by hand"); err != nil {
						return err
					}
					printf(o.env.stdout, "%s: version %d is in use; feedlake run scores with it\n", args[0], v)
					return nil
				})
			},
		},
		&cobra.Command{
			Use: "rollback MODEL", Short: "Put the version back in use that was in use before", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error {
					reg, err := a.Registry(ctx)
					if err != nil {
						return err
					}
					ch, err := reg.Rollback(ctx, args[0], "", "rolled back by hand")
					if err != nil {
						return err
					}
					printf(o.env.stdout, "%s: version %d is in use again instead of %d\n", args[0], ch.To, ch.From)
					return nil
				})
			},
		},
		newModelEvalCommand(o),
		newModelRejudgeCommand(o),
	)
	return c
}

func newModelEvalCommand(o *options) *cobra.Command {
	var file, label, text string
	version := 0
	c := &cobra.Command{
		Use:     "eval sentiment --file FILE",
		Short:   "Judge a version on a file of labelled texts that it has not seen",
		Example: "  feedlake model eval sentiment --file val.tsv --json",
		Args:    cobra.ExactArgs(1), ValidArgs: []string{wiring.ModelSentiment},
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] != wiring.ModelSentiment {
				return usage("model %q: only sentiment is judged by labelled texts", args[0])
			}
			if file == "" {
				return usage("--file is required")
			}
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error {
				return a.modelEval(ctx, file, training.LabelColumns{Label: label, Text: text}, version)
			})
		},
	}
	c.Flags().StringVar(&file, "file", "", "TSV, CSV or NDJSON with a label and a text in each record")
	c.Flags().StringVar(&label, "label", "label", "name of the column with the label")
	c.Flags().StringVar(&text, "text", "text", "name of the column with the text")
	c.Flags().IntVar(&version, "version", 0, "version to judge (default: the one in use)")
	return c
}

func parseVersion(s string) (int, error) {
	v, err := strconv.Atoi(strings.TrimPrefix(s, "v"))
	if err != nil || v < 1 {
		return 0, usage("version %q: a number, as model ls shows it", s)
	}
	return v, nil
}

// version reads the card of a version; 0 means the one in use.
func (a *app) Version(ctx context.Context, model string, v int) (training.Card, error) {
	reg, err := a.Registry(ctx)
	if err != nil {
		return training.Card{}, err
	}
	if v == 0 {
		return reg.Champion(model)
	}
	return reg.Card(model, v)
}

func (a *app) modelList(ctx context.Context, args []string) error {
	reg, err := a.Registry(ctx)
	if err != nil {
		return err
	}
	names := args
	if len(names) == 0 {
		if names, err = reg.Models(); err != nil {
			return err
		}
	}
	type line struct {
		training.Card
		InUse bool `json:"in_use"`
	}
	all := []line{}
	for _, n := range names {
		cards, err := reg.Versions(n)
		if err != nil {
			return err
		}
		champion, err := reg.Champion(n)
		if err != nil && !errors.Is(err, feedlake.ErrNotFound) {
			return err
		}
		for _, c := range cards {
			all = append(all, line{c, c.Version == champion.Version})
		}
	}
	if a.o.json {
		return printJSON(a.o.env.stdout, all)
	}
	rows := make([][]string, len(all))
	for i, c := range all {
		use, recall := "", ""
		if c.InUse {
			use = "in use"
		}
		if c.Evaluation != nil {
			recall = metric(c.Evaluation.MacroRecall)
		}
		rows[i] = []string{c.Model, strconv.Itoa(c.Version), use, recall, feedlake.Count(int64(c.Examples)), stamp(c.CreatedAt), c.GateVerdict}
	}
	printTable(a.o.env.stdout, []string{"model", "version", "", "macro-recall", "examples", "trained (UTC)", "gate"}, rows)
	return nil
}

func (a *app) modelShow(ctx context.Context, args []string) error {
	v := 0
	if len(args) == 2 {
		var err error
		if v, err = parseVersion(args[1]); err != nil {
			return err
		}
	}
	c, err := a.Version(ctx, args[0], v)
	if err != nil {
		return err
	}
	return printJSON(a.o.env.stdout, c)
}

// evaluationReport is what `model eval --json` prints.
type evaluationReport struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	File    string `json:"file"`
	training.Evaluation
	Bad []training.BadLabel `json:"bad"`
}

func (a *app) modelEval(ctx context.Context, path string, cols training.LabelColumns, version int) (err error) {
	card, err := a.Version(ctx, wiring.ModelSentiment, version)
	if err != nil {
		return feedlake.Hint(err, "train one: feedlake label import FILE --dataset NAME, then feedlake train sentiment")
	}
	format, err := training.FormatOf(path)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", err, feedlake.ErrConfig)
	}
	rep := evaluationReport{Model: wiring.ModelSentiment, Version: card.Version, File: path, Bad: []training.BadLabel{}}
	var examples []training.Example
	const most = 256 << 20
	size := 0
	err = training.ReadLabels(f, path, format, cols,
		func(l training.Labelled) error {
			if size += len(l.Text); size > most {
				return feedlake.Hint(fmt.Errorf("%s: texts of more than %d bytes: %w", path, most, feedlake.ErrConfig), "judge the model on a sample of them")
			}
			examples = append(examples, training.Example{Text: l.Text, Label: l.Label})
			return nil
		},
		func(b training.BadLabel) {
			if rep.Bad = append(rep.Bad, b); len(rep.Bad) > 1<<20 {
				rep.Bad = rep.Bad[:1<<20]
			}
		})
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	reg, err := a.Registry(ctx)
	if err != nil {
		return err
	}
	s, err := (tensorflow.Sentiment{}).Load(ctx, reg.Dir(wiring.ModelSentiment, card.Version))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if rep.Evaluation, err = training.Judge(ctx, s, examples); err != nil {
		return err
	}
	if a.o.json {
		if err := printJSON(a.o.env.stdout, rep); err != nil {
			return err
		}
	} else {
		printEvaluation(a, rep)
	}
	if len(rep.Bad) > 0 {
		return fmt.Errorf("%s:%d: %s, and %d more records could not be used: %w", path, rep.Bad[0].Line, rep.Bad[0].Reason, len(rep.Bad)-1, feedlake.ErrPartial)
	}
	return nil
}

func printEvaluation(a *app, r evaluationReport) {
	w := a.o.env.stdout
	printf(w, "%s version %d on %s of %s: macro-recall %s, macro-F1 %s, accuracy %s, calibration error %s\n", r.Model, r.Version,
		feedlake.Plural(int64(r.N), "text"), r.File, metric(r.MacroRecall), metric(r.MacroF1), metric(r.Accuracy), metric(r.ECE))
	var rows [][]string
	for i, c := range r.Classes {
		row := []string{c.Label, metric(c.Precision), metric(c.Recall), metric(c.F1), feedlake.Count(int64(c.Support))}
		for _, n := range r.Confusion[i] {
			row = append(row, feedlake.Count(int64(n)))
		}
		rows = append(rows, row)
	}
	printTable(w, []string{"true label", "precision", "recall", "F1", "texts", "→ negative", "→ neutral", "→ positive"}, rows)
}

func metric(v float64) string { return fmt.Sprintf("%.3f", v) }

// scoreLines scores one text a line of standard input: label and probabilities
// of negative, neutral and positive, separated by tabs, in the same order.
func scoreLines(ctx context.Context, a *app) (err error) {
	s, err := a.SentimentInUse(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	const batch, longest, together = 1024, 16 << 20, 32 << 20
	in := bufio.NewScanner(a.o.env.stdin)
	in.Buffer(make([]byte, 64<<10), longest)
	out := bufio.NewWriter(a.o.env.stdout)
	var texts []string
	size := 0
	flush := func() error {
		got, err := s.Score(ctx, texts)
		if err != nil {
			return err
		}
		for _, g := range got {
			printf(out, "%s\t%.6f\t%.6f\t%.6f\n", g.Label, g.P[0], g.P[1], g.P[2])
		}
		clear(texts)
		texts, size = texts[:0], 0
		return out.Flush()
	}
	for in.Scan() {
		size += len(in.Bytes())
		if texts = append(texts, strings.ToValidUTF8(in.Text(), "\ufffd")); len(texts) == batch || size >= together || a.o.env.stdinTTY {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	return flush()
}
