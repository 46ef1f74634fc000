package training

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// Dataset is the labelled texts of one snapshot, split for fitting and judging.
type Dataset struct {
	Snapshot  int64          // of ml.labels
	Fit, Held []Example      // no text of one is, up to spelling, in the other
	Counts    map[string]int // examples by label
	Datasets  []string       // names of the sets, sorted
	Conflicts int            // texts that were labelled in more than one way; left out
	Barred    int            // texts of posts that may not be learnt from; left out
	Rules     []string       // that barred them
}

// heldShare is one in how many texts is held out.
const heldShare = 10

// ReadDataset reads ml.labels at its newest snapshot. Texts that differ only in
// case, spaces, digits, mentions and links count as one; where they carry
// different labels they are left out. Which part a text falls into depends on
// the text alone, so the held-out part stays held out as labels are added. A
// lake without labels is feedlake.ErrNotFound; one with no other labels than of
// posts of barred sources is feedlake.ErrForbidden.
func ReadDataset(ctx context.Context, l *lake.Lake, db *query.DB, barred []feedlake.Prohibition) (Dataset, error) {
	cur, err := l.Current(ctx, "ml.labels")
	if err != nil {
		return Dataset{}, err
	}
	if cur.ID == 0 {
		return Dataset{}, feedlake.Hint(fmt.Errorf("table ml.labels holds nothing: %w", feedlake.ErrNotFound), "feedlake label import FILE --dataset NAME")
	}
	if err := db.PinTable(ctx, l, "ml.labels", cur.ID); err != nil {
		return Dataset{}, err
	}
	rules, err := barPosts(ctx, l, db, barred)
	if err != nil {
		return Dataset{}, err
	}
	d, err := readLabels(ctx, db)
	if err != nil {
		return Dataset{}, fmt.Errorf("read labels: %w", err)
	}
	d.Snapshot = cur.ID
	if d.Barred > 0 {
		d.Rules = rules
	}
	if d.Barred > 0 && len(d.Fit)+len(d.Held) == 0 {
		return d, fmt.Errorf("table ml.labels: %s: %w", strings.Join(rules, "; "), feedlake.ErrForbidden)
	}
	return d, nil
}

func readLabels(ctx context.Context, db *query.DB) (_ Dataset, err error) {
	rows, err := db.SQL().QueryContext(ctx, `select text, label, coalesce(lang, ''), dataset, text in (select text from barred_texts)
		from ml.labels order by dataset, id, text, label`)
	if err != nil {
		return Dataset{}, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	return split(rows)
}

func split(rows *sql.Rows) (Dataset, error) {
	d := Dataset{Counts: map[string]int{}}
	var all []Example
	var keys []string
	first := map[string]int{} // normalised text to its label, or -1
	for rows.Next() {
		var x Example
		var label, dataset string
		var barred, ok bool
		if err := rows.Scan(&x.Text, &label, &x.Lang, &dataset, &barred); err != nil {
			return d, err
		}
		if barred {
			d.Barred++
			continue
		}
		if x.Label, ok = parseLabel(label); !ok {
			return d, fmt.Errorf("label %q: %w", label, feedlake.ErrRejected)
		}
		if n := len(d.Datasets); n == 0 || d.Datasets[n-1] != dataset {
			d.Datasets = append(d.Datasets, dataset)
		}
		key := normal(x.Text)
		if seen, ok := first[key]; ok {
			if seen != x.Label && seen >= 0 {
				first[key] = -1
				d.Conflicts++
			}
			continue
		}
		first[key] = x.Label
		all, keys = append(all, x), append(keys, key)
	}
	for i, x := range all {
		if first[keys[i]] < 0 {
			continue
		}
		d.Counts[sentimentLabels[x.Label]]++
		if held(keys[i]) {
			d.Held = append(d.Held, x)
		} else {
			d.Fit = append(d.Fit, x)
		}
	}
	return d, rows.Err()
}

// judgedShare is one in how many held-out texts must be of a language for a
// version to count as judged on it.
const judgedShare = 100

// languages lists the base languages of the held-out texts, sorted; unsaid is
// that of texts which do not tell theirs.
func (d Dataset) languages(unsaid string) []string {
	n := map[string]int{}
	for _, x := range d.Held {
		base, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(x.Lang, "_", "-")), "-")
		if base == "" || base == "und" {
			base = unsaid
		}
		n[base]++
	}
	var out []string
	for _, base := range slices.Sorted(maps.Keys(n)) {
		if base != "" && n[base]*judgedShare >= len(d.Held) {
			out = append(out, base)
		}
	}
	return out
}

// learnable wants an example of every class to fit on.
func (d Dataset) learnable() error {
	for c, label := range sentimentLabels {
		if !slices.ContainsFunc(d.Fit, func(x Example) bool { return x.Label == c }) {
			return feedlake.Hint(fmt.Errorf("no example is %s: %w", label, feedlake.ErrRejected),
				"import labels of all three kinds: feedlake label import FILE --dataset NAME")
		}
	}
	return nil
}

// held decides by the normalised text alone.
func held(key string) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return (h.Sum64()>>17)%heldShare == 0
}

// normal is a text without what differs between copies of it.
func normal(text string) string {
	var out []string
	for f := range strings.FieldsSeq(strings.ToLower(text)) {
		if strings.HasPrefix(f, "@") || strings.Contains(f, "://") {
			continue
		}
		f = strings.Map(func(r rune) rune {
			if unicode.IsDigit(r) {
				return '0'
			}
			return r
		}, f)
		out = append(out, f)
	}
	return strings.Join(out, " ")
}
