// Package transforms makes lake tables from lake tables by SQL: one SELECT per
// model, written once in the dialect that DuckDB and Spark share, run by an
// Engine over pinned snapshots. Only the partitions whose inputs changed are
// computed, checked, and replaced whole, in one snapshot per model.
package transforms

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/feedlake/feedlake/lake"
)

// Model is one SQL file: a SELECT that makes one table, and its head.
type Model struct {
	Name      string            // the table it makes, such as "features.posts"
	About     string            // one line for people
	SQL       string            // the SELECT, head left out
	File      string            // path of the file, for messages
	Line      int               // line of File on which SQL begins
	Hash      string            // 12 hex digits of what the rows depend on: SELECT, macros that it calls, look-back, partition and key
	Inputs    []Input           // in the order of the head
	Partition []string          // column names; empty: one partition
	Key       []string          // columns that identify a row
	Grows     Growth            // what new input rows cost
	Additive  []string          // columns whose values may be summed over rows
	Checks    []Check           // run on each partition before it is published
	Columns   map[string]string // meaning of each documented column
	Order     []string          // the documented columns in the order of the head
}

// Growth says what new rows in an input partition cost a model.
type Growth string

// Growths of models. What a head says is held against the SELECT (see Load), and a
// run takes the cheap way only where it can prove that the table comes out as if
// its partition had been computed whole.
const (
	ByPartition Growth = "partition" // a row may depend on any input row of its partition, which is computed whole
	ByRows      Growth = "rows"      // a row depends on the input rows of one key: new keys are appended
	ByHours     Growth = "hours"     // a row depends on the input rows of its hour: the hours of new rows are computed
)

// Input is a table that a model reads.
type Input struct {
	Table string
	Back  int // days of look-back: the rows of day D are read by the output days D to D+Back
	// Lookup marks a table whose rows never change and are there before another
	// input names them, such as what is known of a model version: new rows of it
	// alone compute nothing anew.
	Lookup bool
	// Living marks a table of versions of posts (id, created_at, deleted) of which the
	// model shows those that are not deleted: deletions alone, of posts that their
	// partition does not hold, compute nothing anew.
	Living bool
}

// ID names the model as rows remember it: "features.posts@<hash>".
func (m *Model) ID() string { return m.Name + "@" + m.Hash }

// spec describes the table that the model makes, given its result's columns.
func (m *Model) spec(cols []lake.Column) lake.Spec {
	return lake.Spec{Name: m.Name, Columns: cols, Partition: m.Partition, Key: m.Key}
}

// hash digests what the rows depend on. Comments and the rest of the head do
// not count: a better sentence must not rebuild a table.
func (m *Model) hash(shim macros) string {
	var text strings.Builder
	for _, in := range m.Inputs {
		fmt.Fprintf(&text, "input %s %d\n", in.Table, in.Back)
		if in.Lookup {
			fmt.Fprintln(&text, "lookup")
		}
	}
	fmt.Fprintf(&text, "partition %s\nkey %s\n", strings.Join(m.Partition, ","), strings.Join(m.Key, ","))
	for line := range strings.SplitSeq(m.SQL, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") {
			fmt.Fprintln(&text, line)
		}
	}
	for _, name := range shim.under(m.SQL) {
		fmt.Fprintf(&text, "macro %s%s", name, shim[name])
	}
	sum := sha256.Sum256([]byte(text.String()))
	return hex.EncodeToString(sum[:])[:12]
}
