package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake/lake"
)

// States of an eraseReport.
const (
	eraseDry     = "dry run"
	eraseRunning = "running" // or stopped before its end
	erasePartial = "partial"
	eraseDone    = "done"
)

// eraseReport tells what was taken down. It holds counts and hashes, no id and
// no text. It is kept as <lake>/erasures/<run id>.json.
type eraseReport struct {
	RunID      string             `json:"run_id,omitempty"`
	Request    string             `json:"request"` // the same for the same targets
	State      string             `json:"state"`
	StartedAt  time.Time          `json:"started_at"`
	EndedAt    time.Time          `json:"ended_at,omitzero"`
	Resumes    []string           `json:"resumes,omitempty"` // runs of the same request that did not come to their end
	Targets    []eraseTargetFound `json:"targets"`
	Rows       int64              `json:"rows"`       // of raw.posts, reposts included
	Copies     int64              `json:"copies"`     // posts of others that say the same and stay
	Tombstones int                `json:"tombstones"` // rows added to ops.erasures
	Tables     []lake.EraseResult `json:"tables"`
	Expired    []eraseExpired     `json:"expired"`
	Orphans    int                `json:"orphans"` // files that no snapshot named, spilled ones included
	Dropped    int                `json:"dropped"` // further copies in this machine's cache, of files that a bucket no longer has
	InUse      int                `json:"in_use"`  // such copies that a program reads; the next command drops them
	Places     []erasePlace       `json:"places"`
	Models     []eraseModel       `json:"models"`
	Left       []eraseLeft        `json:"left"` // empty: nothing was found any more
	Advice     []string           `json:"advice"`
}

// eraseTargetFound is what was found of one target.
type eraseTargetFound struct {
	Kind   string `json:"kind"`
	Source string `json:"source"`
	Hash   string `json:"hash"`
	Found  bool   `json:"found"`
	Posts  int64  `json:"posts"`
	Rows   int64  `json:"rows"` // versions of the posts
}

// eraseExpired counts what went with the old snapshots of one table.
type eraseExpired struct {
	Table     string `json:"table"`
	Snapshots int    `json:"snapshots"`
	Files     int    `json:"files"`
	Bytes     int64  `json:"bytes"`
}

// erasePlace is a place that tables are published to.
type erasePlace struct {
	Name  string `json:"name"`
	State string `json:"state"` // "done", or why not
	Rows  int64  `json:"rows"`  // sent
}

// eraseModel is a version of a model that learnt from what was erased.
type eraseModel struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	InUse   bool   `json:"in_use"`
	Rows    int64  `json:"rows"` // labelled texts, or posts with hashtags
	Basis   string `json:"basis"`
}

// eraseLeft is where something is still found.
type eraseLeft struct {
	Where string `json:"where"`
	What  string `json:"what"`
	Count int64  `json:"count"`
	Why   string `json:"why"`
}

// addTable adds to what the report says of a table.
func (r *eraseReport) addTable(res lake.EraseResult) {
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
func (r *eraseReport) takeOver(old *eraseReport) {
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

func (r *eraseReport) addModel(m eraseModel) {
	i := slices.IndexFunc(r.Models, func(o eraseModel) bool { return o.Model == m.Model && o.Version == m.Version })
	if i < 0 {
		r.Models = append(r.Models, m)
		return
	}
	r.Models[i].Rows, r.Models[i].InUse = max(r.Models[i].Rows, m.Rows), m.InUse
}

// advise says what is left to a person.
func (r *eraseReport) advise() {
	r.Advice = []string{}
	names := map[string]bool{}
	for _, m := range r.Models {
		if !names[m.Model] {
			names[m.Model] = true
			r.Advice = append(r.Advice, fmt.Sprintf("train anew: feedlake train %s; old versions stay in models/%s until their folders are removed", m.Model, m.Model))
		}
	}
	if r.InUse > 0 {
		r.Advice = append(r.Advice, fmt.Sprintf("a program reads %s in the cache that the bucket no longer has; end it, then run any command: it drops them", plural(int64(r.InUse), "copied file")))
	}
	if r.Copies > 0 {
		r.Advice = append(r.Advice, fmt.Sprintf("%s of others repeat a text that was erased, and stay; erase them by their ids if they must go", plural(r.Copies, "row")))
	}
}

const erasuresFolder = lake.ErasuresFolder

// keep writes the report beside the lake's tables, for its owner's eyes only.
func (r *eraseReport) keep(ctx context.Context, l *lake.Lake) error {
	dir := filepath.Join(l.Dir(), erasuresFolder)
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
	return l.Push(ctx, erasuresFolder+"/"+r.RunID+".json")
}

// unfinished lists the reports of runs of a request that did not come to their
// end and were not taken over, oldest first.
func unfinished(dir, request string) ([]*eraseReport, error) {
	names, err := filepath.Glob(filepath.Join(dir, erasuresFolder, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	var out []*eraseReport
	taken := map[string]bool{}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Clean(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read reports: %w", err)
		}
		var r eraseReport
		if json.Unmarshal(b, &r) != nil || r.Request != request {
			continue
		}
		for _, id := range r.Resumes {
			taken[id] = true
		}
		if r.State == eraseRunning || r.State == erasePartial {
			out = append(out, &r)
		}
	}
	out = slices.DeleteFunc(out, func(r *eraseReport) bool { return taken[r.RunID] })
	slices.SortFunc(out, func(a, b *eraseReport) int { return a.StartedAt.Compare(b.StartedAt) })
	return out, nil
}

// print shows the report to a person, who has just typed the ids.
func (r *eraseReport) print(o *options, targets []eraseTarget) error {
	if o.json {
		return printJSON(o.env.stdout, r)
	}
	w := o.env.stdout
	if r.RunID == "" {
		printf(w, "dry run of request %s: nothing was changed\n", r.Request)
	} else {
		printf(w, "erasure %s: %s, request %s\n", r.RunID, r.State, r.Request)
	}
	var rows [][]string
	for i, t := range r.Targets {
		found := "not found"
		if t.Found {
			found = plural(t.Posts, "post")
		}
		rows = append(rows, []string{targets[i].String(), found, count(t.Rows)})
	}
	printTable(w, []string{"target", "found", "rows"}, rows)
	rows = nil
	for _, t := range r.Tables {
		if t.Partitions > 0 {
			rows = append(rows, []string{t.Table, count(t.Removed), count(t.Cleared), count(int64(t.Partitions))})
		}
	}
	if len(rows) > 0 {
		printTable(w, []string{"table", "rows removed", "cleared", "partitions rewritten"}, rows)
	}
	snapshots, files := 0, 0
	for _, x := range r.Expired {
		snapshots, files = snapshots+x.Snapshots, files+x.Files
	}
	printf(w, "%s expired, %s deleted, %s added\n", plural(int64(snapshots), "snapshot"), plural(int64(files+r.Orphans), "file"), plural(int64(r.Tombstones), "tombstone"))
	for _, p := range r.Places {
		printf(w, "published to %s: %s\n", p.Name, p.State)
	}
	for _, m := range r.Models {
		printf(w, "trained on what was erased: %s version %d (%s)%s\n", m.Model, m.Version, plural(m.Rows, "row"), map[bool]string{true: ", in use"}[m.InUse])
	}
	for _, l := range r.Left {
		printf(w, "still found: %s: %s (%s): %s\n", l.Where, l.What, count(l.Count), l.Why)
	}
	printLine(w, strings.Join(r.Advice, "\n"))
	return nil
}
