package config

import (
	"fmt"

	"github.com/dustin/go-humanize"

	"github.com/feedlake/feedlake/transforms/duckdb"
)

// queryMemory is the part of engine.memory that a query beside others needs at
// least, before it spills more than it computes.
const queryMemory = 70_000_000

// Machine is what the process may use.
type Machine struct {
	Cores  int
	Memory int64 // bytes; 0: unknown
}

// validateParallel refuses what is no number of cores.
func (c *Config) validateParallel(bad func(hint, format string, args ...any) error) error {
	if c.Parallel != nil && *c.Parallel < 1 {
		return bad("a number from 1, such as 4; without it every core is used", "parallel %d", *c.Parallel)
	}
	return nil
}

// AtOnce is how much is done side by side: a piece of work for each core, where
// the configuration says nothing. It is bounded, since more pieces than cores only
// take memory; note says so where it is less than was asked for.
func (c *Config) AtOnce(m Machine) (n int, note string) {
	if c.Parallel == nil {
		return max(m.Cores, 1), ""
	}
	n = min(*c.Parallel, max(16, 4*m.Cores))
	if n < *c.Parallel {
		note = fmt.Sprintf("parallel is %d, not %d: more is of no use on %d cores", n, *c.Parallel, m.Cores)
	}
	return n, note
}

// EngineMemory is engine.memory, or where it is not set what so many queries at
// once need, at most half of what the process may use.
func (c *Config) EngineMemory(atOnce int, m Machine) string {
	if c.Engine.Memory != "" {
		return c.Engine.Memory
	}
	least, err := ParseSize(duckdb.DefaultMemory)
	if err != nil {
		return duckdb.DefaultMemory
	}
	n := max(least, int64(atOnce)*queryMemory)
	if m.Memory > 0 {
		n = min(n, m.Memory/2)
	}
	return fmt.Sprintf("%dMB", max(n/humanize.MByte, 64))
}

// Queries is how many queries share engine.memory: as many as go side by side,
// and no more than it has room for.
func (e Engine) Queries(atOnce int) int {
	memory, err := ParseSize(e.Memory)
	if err != nil { // DuckDB knows more spellings, such as 80%
		return atOnce
	}
	return max(1, min(atOnce, int(memory/queryMemory)))
}
