package training

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// Card says where a model version comes from and how good it is. It lies beside
// the SavedModel as card.json and never changes.
type Card struct {
	Model        string             `json:"model"`
	Version      int                `json:"version"`
	CreatedAt    time.Time          `json:"created_at"`
	RunID        string             `json:"run_id"`
	Data         map[string]int64   `json:"data"` // table to the snapshot that it was fitted from
	Datasets     []string           `json:"datasets,omitempty"`
	Examples     int                `json:"examples"`           // fitted on
	Held         int                `json:"held"`               // judged on
	LeftOut      []string           `json:"left_out,omitempty"` // rules by which posts were not learnt from
	Labels       map[string]int     `json:"labels,omitempty"`
	Languages    []string           `json:"languages,omitempty"` // base languages (BCP 47) that it was judged on
	Seed         int64              `json:"seed"`
	Parameters   map[string]string  `json:"parameters"`
	Evaluation   *Evaluation        `json:"evaluation,omitempty"` // of a sentiment model
	Metrics      map[string]float64 `json:"metrics,omitempty"`    // of other models
	CodeVersion  string             `json:"code_version"`
	GateVerdict  string             `json:"gate_verdict"` // "passed", or why not
	TrainSeconds float64            `json:"train_seconds"`
}

// Registry keeps model versions in a folder, immutable, and which of them is in
// use (the champion). It is safe for several processes.
type Registry struct {
	dir  string
	lake *lake.Lake
	now  func() time.Time
}

// Names in the registry's folder.
const (
	modelsFolder = "models"
	cardFile     = "card.json"
	championFile = "champion"
	auditFile    = "audit.jsonl"
)

// NewRegistry returns the registry of a lake: its folder models.
func NewRegistry(l *lake.Lake, now func() time.Time) *Registry {
	return &Registry{dir: filepath.Join(l.Dir(), modelsFolder), lake: l, now: now}
}

// Dir is the folder of a version.
func (r *Registry) Dir(model string, version int) string {
	return filepath.Join(r.dir, model, fmt.Sprintf("v%04d", version))
}

// key names a file of the registry below the lake's folder.
func (r *Registry) key(parts ...string) string {
	return path.Join(append([]string{modelsFolder}, parts...)...)
}

// Models lists the names of models that have a version, sorted.
func (r *Registry) Models() ([]string, error) {
	entries, err := os.ReadDir(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Versions lists the cards of a model's versions, oldest first. A version whose
// writing was cut off has no card and is not there.
func (r *Registry) Versions(model string) ([]Card, error) {
	entries, err := os.ReadDir(filepath.Join(r.dir, model))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list versions of %s: %w", model, err)
	}
	var cards []Card
	for _, e := range entries {
		n, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "v"))
		if err != nil || !e.IsDir() {
			continue
		}
		c, err := r.Card(model, n)
		if errors.Is(err, feedlake.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		cards = append(cards, c)
	}
	slices.SortFunc(cards, func(a, b Card) int { return a.Version - b.Version })
	return cards, nil
}

// Card reads the card of a version; feedlake.ErrNotFound when there is none.
func (r *Registry) Card(model string, version int) (Card, error) {
	var c Card
	b, err := os.ReadFile(filepath.Join(r.Dir(model, version), cardFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, feedlake.Hint(fmt.Errorf("model %s version %d: %w", model, version, feedlake.ErrNotFound), "feedlake model ls lists the versions")
	}
	if err != nil {
		return c, fmt.Errorf("read card of %s version %d: %w", model, version, err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("read card of %s version %d: %w", model, version, err)
	}
	return c, nil
}

// Pull brings the versions that other machines made to this one. Where the lake
// is one folder there is nothing to bring.
func (r *Registry) Pull(ctx context.Context) error { return r.lake.Pull(ctx, modelsFolder) }

// Reserve makes an empty folder for the next version of a model and returns it.
// Two processes never get the same version.
func (r *Registry) Reserve(ctx context.Context, model string) (version int, dir string, err error) {
	if err := os.MkdirAll(filepath.Join(r.dir, model), 0o755); err != nil {
		return 0, "", fmt.Errorf("reserve version of %s: %w", model, err)
	}
	entries, err := os.ReadDir(filepath.Join(r.dir, model))
	if err != nil {
		return 0, "", fmt.Errorf("reserve version of %s: %w", model, err)
	}
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "v")); err == nil {
			version = max(version, n)
		}
	}
	for {
		version++
		dir = r.Dir(model, version)
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			ours, err := r.lake.Claim(ctx, r.key(model, filepath.Base(dir)))
			if err != nil {
				return 0, "", fmt.Errorf("reserve version of %s: %w", model, err)
			}
			if ours {
				return version, dir, nil
			}
			continue
		}
		if !errors.Is(err, fs.ErrExist) {
			return 0, "", fmt.Errorf("reserve version of %s: %w", model, err)
		}
	}
}

// Add completes a reserved version: with its card the version becomes visible.
func (r *Registry) Add(ctx context.Context, c Card) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("write card of %s: %w", c.Model, err)
	}
	dir := r.Dir(c.Model, c.Version)
	if err := r.lake.Push(ctx, r.key(c.Model, filepath.Base(dir))); err != nil { // the card comes last: with it the version is there
		return fmt.Errorf("write card of %s: %w", c.Model, err)
	}
	if err := r.write(r.key(c.Model, filepath.Base(dir), cardFile), append(b, '\n')); err != nil {
		return err
	}
	return r.lake.Push(ctx, r.key(c.Model, filepath.Base(dir), cardFile))
}

// drop removes the folder of a version that never got a card.
func (r *Registry) drop(model string, version int) error {
	if err := os.RemoveAll(r.Dir(model, version)); err != nil {
		return fmt.Errorf("remove unfinished version %d of %s: %w", version, model, err)
	}
	return nil
}

// write writes a file below the lake's folder, whole or not at all.
func (r *Registry) write(key string, b []byte) error {
	path := filepath.Join(r.lake.Dir(), filepath.FromSlash(key))
	return r.lake.Touch("write-file", key, func() error {
		f, err := os.CreateTemp(filepath.Dir(path), ".writing-*")
		if err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		_, err = f.Write(b)
		err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
		if err == nil {
			err = os.Rename(f.Name(), path)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
		}
		return nil
	})
}
