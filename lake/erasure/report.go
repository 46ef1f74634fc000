package erasure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// States of a Report.
const (
	DryRun  = "dry run"
	Running = "running" // or stopped before its end
	Partial = "partial"
	Done    = "done"
)

// Report tells what was taken down. It holds counts and hashes, no id and
// no text. It is kept as <lake>/erasures/<run id>.json.
type Report struct {
	RunID      string             `json:"run_id,omitempty"`
	Request    string             `json:"request"` // the same for the same targets
	State      string             `json:"state"`
	StartedAt  time.Time          `json:"started_at"`
	EndedAt    time.Time          `json:"ended_at,omitzero"`
	Resumes    []string           `json:"resumes,omitempty"` // runs of the same request that did not come to their end
	Targets    []Found            `json:"targets"`
	Rows       int64              `json:"rows"`       // of raw.posts, reposts included
	Copies     int64              `json:"copies"`     // posts of others that say the same and stay
	Tombstones int                `json:"tombstones"` // rows added to ops.erasures
	Tables     []lake.EraseResult `json:"tables"`
	Expired    []Expired          `json:"expired"`
	Orphans    int                `json:"orphans"` // files that no snapshot named, spilled ones included
	Dropped    int                `json:"dropped"` // further copies in this machine's cache, of files that a bucket no longer has
	InUse      int                `json:"in_use"`  // such copies that a program reads; the next command drops them
	Places     []Place            `json:"places"`
	Models     []Model            `json:"models"`
	Left       []Left             `json:"left"` // empty: nothing was found any more
	Advice     []string           `json:"advice"`
}

// Found is what was found of one target.
type Found struct {
	Kind   string `json:"kind"`
	Source string `json:"source"`
	Hash   string `json:"hash"`
	Found  bool   `json:"found"`
	Posts  int64  `json:"posts"`
	Rows   int64  `json:"rows"` // versions of the posts
}

// Expired counts what went with the old snapshots of one table.
type Expired struct {
	Table     string `json:"table"`
	Snapshots int    `json:"snapshots"`
	Files     int    `json:"files"`
	Bytes     int64  `json:"bytes"`
}

// Place is a place that tables are published to.
type Place struct {
	Name  string `json:"name"`
	State string `json:"state"` // "done", or why not
	Rows  int64  `json:"rows"`  // sent
}

// Model is a version of a model that learnt from what was erased.
type Model struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	InUse   bool   `json:"in_use"`
	Rows    int64  `json:"rows"` // labelled texts, or posts with hashtags
	Basis   string `json:"basis"`
}

// Left is where something is still found.
type Left struct {
	Where string `json:"where"`
	What  string `json:"what"`
	Count int64  `json:"count"`
	Why   string `json:"why"`
}

// addTable adds to what the report says of a table.
func (r *Report) addTable(res lake.EraseResult) {
	i := slices.IndexFunc(r.Tables, func(t lake.EraseResult) bool { return t.Table == res.Table })
	if i < 0 {
		r.Tables = append(r.Tables, res)
		return
	}
	t := &r.Tables[i]
	t.Removed, t.Cleared, t.Partitions = t.Removed+res.Removed, t.Cleared+res.Cleared, t.Partitions+res.Partitions
	if res.Snapshot != 0 {
		t.Snapshot = res.Snapshot
	}
}

// takeOver adds what an unfinished run of the same request had done.
func (r *Report) takeOver(old *Report) {
	r.Resumes = append(append(r.Resumes, old.Resumes...), old.RunID)
	for i := range r.Targets {
		t, o := &r.Targets[i], old.Targets[i] // the same request has the same targets
		t.Found, t.Posts, t.Rows = t.Found || o.Found, max(t.Posts, o.Posts), max(t.Rows, o.Rows)
	}
	r.Rows, r.Copies = max(r.Rows, old.Rows), max(r.Copies, old.Copies)
	r.Tombstones += old.Tombstones
	r.Orphans += old.Orphans
	r.Dropped += old.Dropped
	for _, t := range old.Tables {
		r.addTable(t)
	}
	r.Expired = append(old.Expired, r.Expired...)
	for _, m := range old.Models {
		r.addModel(m)
	}
}

func (r *Report) addModel(m Model) {
	i := slices.IndexFunc(r.Models, func(o Model) bool { return o.Model == m.Model && o.Version == m.Version })
	if i < 0 {
		r.Models = append(r.Models, m)
		return
	}
	r.Models[i].Rows, r.Models[i].InUse = max(r.Models[i].Rows, m.Rows), m.InUse
}

// advise says what is left to a person.
func (r *Report) advise() {
	r.Advice = []string{}
	names := map[string]bool{}
	for _, m := range r.Models {
		if !names[m.Model] {
			names[m.Model] = true
			r.Advice = append(r.Advice, fmt.Sprintf("train anew: feedlake train %s; old versions stay in models/%s until their folders are removed", m.Model, m.Model))
		}
	}
	if r.InUse > 0 {
		r.Advice = append(r.Advice, fmt.Sprintf("a program reads %s in the cache that the bucket no longer has; end it, then run any command: it drops them", feedlake.Plural(int64(r.InUse), "copied file")))
	}
	if r.Copies > 0 {
		r.Advice = append(r.Advice, fmt.Sprintf("%s of others repeat a text that was erased, and stay; erase them by their ids if they must go", feedlake.Plural(r.Copies, "row")))
	}
}

// keep writes the report beside the lake's tables, for its owner's eyes only.
func (r *Report) keep(ctx context.Context, l *lake.Lake) error {
	dir := filepath.Join(l.Dir(), lake.ErasuresFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep report: %w", err)
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("keep report: %w", err)
	}
	path := filepath.Join(dir, r.RunID+".json")
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep report: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("keep report: %w", err)
	}
	return l.Push(ctx, lake.ErasuresFolder+"/"+r.RunID+".json")
}

// unfinished lists the reports of runs of a request that did not come to their
// end and were not taken over, oldest first.
func unfinished(dir, request string) ([]*Report, error) {
	names, err := filepath.Glob(filepath.Join(dir, lake.ErasuresFolder, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	var out []*Report
	taken := map[string]bool{}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Clean(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read reports: %w", err)
		}
		var r Report
		if json.Unmarshal(b, &r) != nil || r.Request != request {
			continue
		}
		for _, id := range r.Resumes {
			taken[id] = true
		}
		if r.State == Running || r.State == Partial {
			out = append(out, &r)
		}
	}
	out = slices.DeleteFunc(out, func(r *Report) bool { return taken[r.RunID] })
	slices.SortFunc(out, func(a, b *Report) int { return a.StartedAt.Compare(b.StartedAt) })
	return out, nil
}
