package transforms

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// State is how a model's turn ended.
type State string

// States of a model in a Report.
const (
	UpToDate State = "up_to_date" // no input changed, or no row came out another: no partition was replaced
	Built    State = "built"      // every computed partition is published
	Held     State = "held"       // a check holds partitions back; their old rows stay, the others are published
	Failed   State = "failed"     // nothing was published
	Waiting  State = "waiting"    // an input table does not exist yet
)

// Report says what a run did, model by model in run order.
type Report struct {
	RunID  string        `json:"run_id"`
	Models []ModelReport `json:"models"`
}

// ModelReport is one model's part of a Report.
type ModelReport struct {
	Model      string           `json:"model"`
	State      State            `json:"state"`
	Reason     string           `json:"reason"`               // why it was computed, or what it waits for
	Partitions []lake.Partition `json:"partitions,omitempty"` // replaced, those that were emptied included, or grown
	Grown      int              `json:"grown,omitempty"`      // of Partitions, those that got new rows beside the old ones
	Equal      int              `json:"equal,omitempty"`      // partitions that came out as they were, which are not replaced
	Rows       int64            `json:"rows"`                 // published
	Files      int              `json:"files"`                // published
	InputFiles int              `json:"input_files"`          // given to the engine; one read twice counts twice
	InputBytes int64            `json:"input_bytes"`          // size of those files
	InputRows  int64            `json:"input_rows"`           // rows of those files
	Snapshot   int64            `json:"snapshot"`             // the table's newest; 0: none
	Took       time.Duration    `json:"took_ns"`
	Failures   []CheckFailure   `json:"failures,omitempty"`
	Warnings   []string         `json:"warnings,omitempty"`
	Error      string           `json:"error,omitempty"`
	Err        error            `json:"-"` // of a failed model
}

// CheckFailure is one check that one partition did not pass.
type CheckFailure struct {
	Check     string         `json:"check"` // as written in the head
	Partition lake.Partition `json:"partition"`
	Count     int64          `json:"count"`          // rows at fault; of rows(…) the rows that there are
	Rows      []string       `json:"rows,omitempty"` // keys of up to 5 of them
}

// String spells the failure for people.
func (f CheckFailure) String() string {
	where := string(f.Partition)
	if where == "" {
		where = "the table"
	}
	s := fmt.Sprintf("%s: check %s: %d rows", where, f.Check, f.Count)
	if len(f.Rows) > 0 {
		s += ", such as " + strings.Join(f.Rows, "; ")
	}
	return s
}

// err is the error that a model's turn leaves to the run.
func (m *ModelReport) err() error {
	switch m.State {
	case Held:
		held := map[lake.Partition]bool{}
		for _, f := range m.Failures {
			held[f.Partition] = true
		}
		return feedlake.Hint(fmt.Errorf("model %s: %d partitions held back: %s: %w", m.Model, len(held), m.Failures[0], feedlake.ErrRejected),
			"correct the rows or the check; the next run tries these partitions again")
	case Failed:
		return fmt.Errorf("model %s: %w", m.Model, m.Err)
	case UpToDate, Built, Waiting:
	}
	return nil
}

// Err joins the errors of the models; nil when none failed and no partition is
// held back. Held partitions wrap feedlake.ErrRejected.
func (r *Report) Err() error {
	var errs []error
	for i := range r.Models {
		errs = append(errs, r.Models[i].err())
	}
	return errors.Join(errs...)
}

// Built counts the models that published something.
func (r *Report) Built() int {
	n := 0
	for _, m := range r.Models {
		if m.State == Built || (m.State == Held && len(m.Partitions) > 0) {
			n++
		}
	}
	return n
}

// String spells the report for people: a line per model, and below it what was
// held back and why.
func (r *Report) String() string {
	var b strings.Builder
	for _, m := range r.Models {
		fmt.Fprintf(&b, "%-26s %-10s", m.Model, m.State)
		switch m.State {
		case Built, Held:
			fmt.Fprintf(&b, " %d rows in %d partitions, read %d files (%d bytes), %s: %s",
				m.Rows, len(m.Partitions), m.InputFiles, m.InputBytes, m.Took.Round(time.Millisecond), m.Reason)
		case Waiting:
			fmt.Fprintf(&b, " %s", m.Reason)
		case Failed:
			fmt.Fprintf(&b, " %s", m.Error)
		case UpToDate:
		}
		b.WriteByte('\n')
		for _, f := range m.Failures {
			fmt.Fprintf(&b, "    held back  %s\n", f)
		}
		for _, w := range m.Warnings {
			fmt.Fprintf(&b, "    warning    %s\n", w)
		}
	}
	return b.String()
}
