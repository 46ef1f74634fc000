package training

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// LabelRow is a row of ml.labels.
type LabelRow struct {
	Source     string    `parquet:"source,optional,dict"`
	ID         string    `parquet:"id,optional"`
	Text       string    `parquet:"text,optional"`
	Lang       string    `parquet:"lang,optional,dict"`
	Label      string    `parquet:"label,optional,dict"`
	Labeller   string    `parquet:"labeller,optional,dict"`
	Dataset    string    `parquet:"dataset,optional,dict"`
	LabelledAt time.Time `parquet:"labelled_at,optional,timestamp(microsecond)"`
	RunID      string    `parquet:"run_id,optional,dict"`
}

// LabelImport says what to bring into ml.labels.
type LabelImport struct {
	Lake     *lake.Lake
	Dataset  string // the set's name; the same name with the same content is imported once
	Labeller string // who gave the labels; "" is "import"
	RunID    string
	Now      func() time.Time
	// Read calls good or bad for every record, as ReadLabels does. It is called twice
	// for a set that is not known.
	Read func(good func(Labelled) error, bad func(BadLabel)) error
}

// LabelResult tells what ImportLabels did.
type LabelResult struct {
	Dataset string     `json:"dataset"`
	Added   int        `json:"added"`
	Known   bool       `json:"known"` // the same content was imported before: nothing added
	Bad     []BadLabel `json:"bad"`
	Erased  int        `json:"erased,omitempty"` // texts that were taken down before and did not enter
}

// labelDigest is the property of ml.labels that holds the digest of a set's
// content.
func labelDigest(dataset string) string { return "feedlake.labels." + dataset }

// ImportLabels brings a set of labelled texts into ml.labels, in one commit. A
// set whose content has changed replaces the rows that it brought before.
func ImportLabels(ctx context.Context, o LabelImport) (LabelResult, error) {
	res := LabelResult{Dataset: o.Dataset, Bad: []BadLabel{}}
	labeller := o.Labeller
	if labeller == "" {
		labeller = "import"
	}
	erased, err := o.Lake.Erasures(ctx)
	if err != nil {
		return res, fmt.Errorf("import labels %s: %w", o.Dataset, err)
	}
	// The file is read once to see whether it is known, and once more to write it:
	// a set of any size is imported in little memory.
	digest := sha256.New()
	kept, bad := 0, 0
	err = o.rows(ctx, labeller, digest, func(r LabelRow) error {
		if erased.Label(o.Dataset, r.ID) {
			res.Erased++
			return nil
		}
		kept++
		return nil
	}, func(b BadLabel) {
		if bad++; bad <= maxBadLabels {
			res.Bad = append(res.Bad, b)
		}
	})
	switch {
	case err != nil:
		return res, fmt.Errorf("import labels %s: %w", o.Dataset, err)
	case bad > maxBadLabels:
		return res, feedlake.Hint(fmt.Errorf("import labels %s: %d records cannot be used, the first in line %d: %s: %w",
			o.Dataset, bad, res.Bad[0].Line, res.Bad[0].Reason, feedlake.ErrRejected), "is this a file of labelled texts?")
	case kept == 0 && res.Erased == 0:
		return res, fmt.Errorf("import labels %s: no usable record, %d bad: %w", o.Dataset, bad, feedlake.ErrRejected)
	}
	sum := hex.EncodeToString(digest.Sum(nil))
	old, err := o.Lake.Property(ctx, "ml.labels", labelDigest(o.Dataset))
	if err != nil {
		return res, err
	}
	if old == sum {
		res.Known = true
		return res, nil
	}
	part := lake.MakePartition("dataset", o.Dataset)
	var add []string
	if kept > 0 {
		path, err := o.write(ctx, part, labeller, sum, erased)
		if err != nil {
			return res, fmt.Errorf("import labels %s: %w", o.Dataset, err)
		}
		add = append(add, path)
	}
	_, err = o.Lake.Commit(ctx, lake.Commit{
		Table: "ml.labels", ID: "labels " + o.Dataset + " " + sum, Add: add, Replace: []lake.Partition{part},
		Set:     map[string]string{labelDigest(o.Dataset): sum},
		Expect:  map[string]string{labelDigest(o.Dataset): old},
		Summary: map[string]string{lake.SummaryRunID: o.RunID, "feedlake.dataset": o.Dataset},
	})
	if err != nil {
		return res, fmt.Errorf("import labels %s: %w", o.Dataset, err)
	}
	res.Added = kept
	return res, nil
}

// rows reads the set, and adds each of its texts to a digest.
func (o *LabelImport) rows(ctx context.Context, labeller string, digest hash.Hash, good func(LabelRow) error, bad func(BadLabel)) error {
	return o.Read(func(l Labelled) error {
		id := l.ID
		if id == "" {
			sum := sha256.Sum256([]byte(l.Text))
			id = hex.EncodeToString(sum[:8])
		}
		_, _ = fmt.Fprintf(digest, "%q %q %q %d\n", id, l.Text, l.Lang, l.Label)
		return errors.Join(ctx.Err(), good(LabelRow{
			Source: "labels", ID: id, Text: l.Text, Lang: l.Lang, Label: sentimentLabels[l.Label],
			Labeller: labeller, Dataset: o.Dataset, LabelledAt: o.Now().UTC(), RunID: o.RunID,
		}))
	}, bad)
}

// write brings the set into a file, and fails when it is another one than sum
// tells.
func (o *LabelImport) write(ctx context.Context, part lake.Partition, labeller, sum string, erased *lake.Erasures) (string, error) {
	w, err := lake.NewRowWriter[LabelRow](o.Lake, "ml.labels", part)
	if err != nil {
		return "", err
	}
	const at = 1024
	rows, digest := make([]LabelRow, 0, at), sha256.New()
	err = o.rows(ctx, labeller, digest, func(r LabelRow) error {
		if erased.Label(o.Dataset, r.ID) {
			return nil
		}
		if rows = append(rows, r); len(rows) < at {
			return nil
		}
		err := w.Write(rows)
		rows = rows[:0]
		return err
	}, func(BadLabel) {})
	if err == nil {
		err = w.Write(rows)
	}
	if err == nil && hex.EncodeToString(digest.Sum(nil)) != sum {
		err = feedlake.Hint(fmt.Errorf("the texts changed while they were read: %w", feedlake.ErrConflict), "run again when nobody writes the file")
	}
	if err != nil {
		w.Abort()
		return "", err
	}
	return w.Close(ctx)
}
