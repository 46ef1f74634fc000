package training

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// A promotion is a line in the audit trail first, then the champion file, then a
// row of ml.champions. The trail leads: where a promotion was cut off, refresh
// brings the champion file, and Sync ml.champions, to what its last line says.

// Change is one line of a model's audit trail: what was in use, what is, who
// changed it and why. A line with Refused keeps what is in use.
type Change struct {
	At      time.Time `json:"at"`
	Model   string    `json:"model"`
	From    int       `json:"from"` // 0: none
	To      int       `json:"to"`
	Refused int       `json:"refused,omitempty"` // version that a repeated gate refused; 0: none
	RunID   string    `json:"run_id,omitempty"`
	Why     string    `json:"why"`
}

// Champion is the version of a model in use; feedlake.ErrNotFound when none is.
func (r *Registry) Champion(model string) (Card, error) {
	n, err := r.inUse(model)
	if err != nil {
		return Card{}, err
	}
	if n == 0 {
		return Card{}, fmt.Errorf("model %s: no version is in use: %w", model, feedlake.ErrNotFound)
	}
	return r.Card(model, n)
}

// inUse reads the champion file; 0 when there is none.
func (r *Registry) inUse(model string) (int, error) {
	b, err := os.ReadFile(filepath.Join(r.dir, model, championFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read champion of %s: %w", model, err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read champion of %s: %w", model, err)
	}
	return n, nil
}

// Promote puts a version in use, notes it in the audit trail and in
// ml.champions. Called again with the version in use it only brings
// ml.champions up to date.
func (r *Registry) Promote(ctx context.Context, model string, version int, runID, why string) error {
	if _, err := r.Card(model, version); err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	if err := r.refresh(ctx, model); err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	from, err := r.inUse(model)
	if err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	if from != version {
		// Whoever sees the version in use sees its card.
		if err := r.lake.Push(ctx, r.key(model, filepath.Base(r.Dir(model, version)), cardFile)); err != nil {
			return err
		}
		if err := r.note(ctx, Change{Model: model, From: from, To: version, RunID: runID, Why: why}); err != nil {
			return err
		}
		if err := r.use(ctx, model, version); err != nil {
			return err
		}
	}
	return r.Sync(ctx, runID)
}

// use writes the champion file.
func (r *Registry) use(ctx context.Context, model string, version int) error {
	key := r.key(model, championFile)
	if err := r.write(key, fmt.Appendf(nil, "%d\n", version)); err != nil {
		return err
	}
	return r.lake.Push(ctx, key)
}

// refresh brings home what other machines decided of a model, and finishes what
// the audit trail says and the champion file does not yet.
func (r *Registry) refresh(ctx context.Context, model string) error {
	missing, err := r.lake.PullFiles(ctx, r.key(model, auditFile), r.key(model, championFile))
	if err != nil {
		return err
	}
	for _, key := range missing { // written here, and cut off before it left
		if _, err := os.Stat(filepath.Join(r.lake.Dir(), filepath.FromSlash(key))); err == nil {
			if err := r.lake.Push(ctx, key); err != nil {
				return err
			}
		}
	}
	changes, err := r.Audit(model)
	if err != nil || len(changes) == 0 {
		return err
	}
	to := changes[len(changes)-1].To
	cur, err := r.inUse(model)
	if err != nil || to == cur || to == 0 {
		return err
	}
	if _, err := r.Card(model, to); err != nil {
		if errors.Is(err, feedlake.ErrNotFound) {
			return nil // its folder was removed by hand
		}
		return err
	}
	return r.use(ctx, model, to)
}

// Rollback puts the version back in use that was in use before the present one.
func (r *Registry) Rollback(ctx context.Context, model, runID, why string) (Change, error) {
	if err := r.refresh(ctx, model); err != nil {
		return Change{}, fmt.Errorf("roll back: %w", err)
	}
	cur, err := r.Champion(model)
	if err != nil {
		return Change{}, fmt.Errorf("roll back: %w", err)
	}
	changes, err := r.Audit(model)
	if err != nil {
		return Change{}, err
	}
	for _, c := range slices.Backward(changes) {
		if c.To == cur.Version && c.From > 0 && c.From != c.To {
			back := Change{From: cur.Version, To: c.From, Model: model, Why: why}
			return back, r.Promote(ctx, model, c.From, runID, why)
		}
	}
	return Change{}, fmt.Errorf("roll back %s: no version was in use before %d: %w", model, cur.Version, feedlake.ErrNotFound)
}

// Audit lists what was in use when, oldest first.
func (r *Registry) Audit(model string) ([]Change, error) {
	b, err := r.readAudit(model)
	if err != nil {
		return nil, err
	}
	var out []Change
	for line := range strings.Lines(string(b)) {
		var c Change
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			continue // a line that a crash cut off
		}
		out = append(out, c)
	}
	return out, nil
}

func (r *Registry) readAudit(model string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(r.dir, model, auditFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read audit trail of %s: %w", model, err)
	}
	return b, nil
}

// note adds a line to the audit trail.
func (r *Registry) note(ctx context.Context, c Change) error {
	c.At = r.now().UTC()
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("write audit trail of %s: %w", c.Model, err)
	}
	trail, err := r.readAudit(c.Model)
	if err != nil {
		return err
	}
	if n := len(trail); n > 0 && trail[n-1] != '\n' { // a crash cut the last line off
		trail = append(trail, '\n')
	}
	key := r.key(c.Model, auditFile)
	if err := r.write(key, append(append(trail, line...), '\n')); err != nil {
		return err
	}
	return r.lake.Push(ctx, key)
}

// championRow is a row of ml.champions.
type championRow struct {
	Model      string    `parquet:"model,optional"`
	Version    int64     `parquet:"version,optional"`
	PromotedAt time.Time `parquet:"promoted_at,optional,timestamp(microsecond)"`
	RunID      string    `parquet:"run_id,optional"`
}

// championsState is the property of ml.champions that says what it holds.
const championsState = "feedlake.champions"

// Sync finishes promotions that were cut off and brings ml.champions and
// ml.confusion to what the registry says. It writes nothing when nothing differs.
func (r *Registry) Sync(ctx context.Context, runID string) error {
	models, err := r.Models()
	if err != nil {
		return err
	}
	var rows []championRow
	var want []string
	for _, m := range models {
		if err := r.refresh(ctx, m); err != nil {
			return err
		}
		c, err := r.Champion(m)
		if errors.Is(err, feedlake.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		rows = append(rows, championRow{Model: m, Version: int64(c.Version), PromotedAt: r.now().UTC(), RunID: runID})
		want = append(want, fmt.Sprintf("%s@%d", m, c.Version))
	}
	if err := r.syncConfusion(ctx, models, runID); err != nil {
		return err
	}
	state := strings.Join(want, ",")
	old, err := r.lake.Property(ctx, "ml.champions", championsState)
	if err != nil || old == state {
		return err
	}
	path, err := lake.WriteRows(ctx, r.lake, "ml.champions", "", rows)
	if err != nil {
		return err
	}
	_, err = r.lake.Commit(ctx, lake.Commit{
		Table: "ml.champions", Add: []string{path}, ReplaceAll: true,
		Set: map[string]string{championsState: state}, Expect: map[string]string{championsState: old},
		Summary: map[string]string{lake.SummaryRunID: runID, "feedlake.champions": state},
	})
	return err
}
