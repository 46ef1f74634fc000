package transforms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// Properties of an output table. They travel in the commit of the rows that
// they describe, so state and rows cannot part.
const (
	PropertyModel  = "feedlake.model"  // the model's hash
	PropertyInputs = "feedlake.inputs" // JSON object: input table to snapshot
	PropertyHeld   = "feedlake.held"   // JSON array: partitions that a check holds back
)

// state is what an output table says of its making.
type state struct {
	Exists bool             // the table is there
	Built  bool             // rows or their absence were published before
	Model  string           // hash of the model that made it
	Inputs map[string]int64 // snapshots that it was made from
	Held   []lake.Partition // partitions to try again
	Base   int64            // the output's snapshot
	Lost   string           // why the recorded inputs cannot be compared; "" when they can
	raw    string           // PropertyInputs as stored
}

// readState reads a table's state; a missing table has the zero state.
func readState(ctx context.Context, l *lake.Lake, table string) (state, error) {
	cur, err := l.Current(ctx, table)
	if errors.Is(err, feedlake.ErrNotFound) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	st := state{Exists: true, Base: cur.ID}
	var held string
	for key, to := range map[string]*string{PropertyModel: &st.Model, PropertyInputs: &st.raw, PropertyHeld: &held} {
		if *to, err = l.Property(ctx, table, key); err != nil {
			return state{}, err
		}
	}
	if st.raw == "" {
		return st, nil
	}
	st.Built = true
	if err := json.Unmarshal([]byte(st.raw), &st.Inputs); err != nil {
		st.Inputs, st.Lost = nil, "recorded inputs are not readable"
	}
	if held != "" {
		if err := json.Unmarshal([]byte(held), &st.Held); err != nil {
			st.Lost = "recorded partitions are not readable"
		}
	}
	return st, nil
}

// properties spells the state after a build.
func properties(m *Model, inputs []source, held []lake.Partition) (map[string]string, error) {
	at := make(map[string]int64, len(inputs))
	for _, s := range inputs {
		at[s.table] = s.snapshot
	}
	in, err := json.Marshal(at) // keys sorted: equal states are equal strings
	if err != nil {
		return nil, fmt.Errorf("model %s: spell inputs: %w", m.Name, err)
	}
	set := map[string]string{PropertyModel: m.Hash, PropertyInputs: string(in), PropertyHeld: ""}
	if len(held) > 0 {
		held = slices.Sorted(slices.Values(held))
		text, err := json.Marshal(held)
		if err != nil {
			return nil, fmt.Errorf("model %s: spell held partitions: %w", m.Name, err)
		}
		set[PropertyHeld] = string(text)
	}
	return set, nil
}

// provenance spells the inputs as rows and snapshots remember them:
// "raw.posts@17,ml.trends@4".
func provenance(inputs []source) string {
	parts := make([]string, len(inputs))
	for i, s := range inputs {
		parts[i] = fmt.Sprintf("%s@%d", s.table, s.snapshot)
	}
	return strings.Join(parts, ",")
}
