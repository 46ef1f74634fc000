package config

import (
	"net/url"

	"github.com/feedlake/feedlake/transforms/duckdb"
)

// Kinds of engines.
const (
	DuckDB       = "duckdb"
	SparkConnect = "spark"
	Auto         = "auto"
)

// aboveMemory is how many times the memory limit a run may read before auto
// takes Spark. DuckDB works query by query and spills, so memory is no wall for
// it; one machine's time is. docs/operations.md tells the measurements.
const aboveMemory = 64

// ValidateEngine reports the first value of the engine's part that cannot be used.
func (c *Config) ValidateEngine(bad func(hint, format string, args ...any) error) error {
	e := c.Engine
	switch e.Kind {
	case DuckDB, Auto:
	case SparkConnect:
		if e.Remote == "" {
			return bad("remote: ${FEEDLAKE_SPARK}, such as sc://127.0.0.1:15002", "engine.kind spark needs engine.remote")
		}
	default:
		return bad("duckdb, spark or auto", "engine.kind %q", e.Kind)
	}
	if u, err := url.Parse(e.Remote); e.Remote != "" && (err != nil || u.Scheme != "sc" || u.Host == "") {
		return bad("such as sc://127.0.0.1:15002", "engine.remote is no address of Spark Connect")
	}
	if _, err := e.AboveBytes(); err != nil {
		return bad("such as 50GB", "engine.above %q", e.Above)
	}
	return nil
}

// AboveBytes is the number of bytes beyond which auto takes Spark.
func (e Engine) AboveBytes() (int64, error) {
	if e.Above != "" {
		return ParseSize(e.Above)
	}
	memory := e.Memory
	if memory == "" {
		memory = duckdb.DefaultMemory
	}
	n, err := ParseSize(memory)
	if err != nil { // DuckDB knows more spellings, such as 80%
		n, err = ParseSize(duckdb.DefaultMemory)
	}
	return aboveMemory * n, err
}
