// Package sql holds the models: one Spark-dialect SELECT per file, with a head
// that package transforms reads. DuckDB and Spark run the same text.
package sql

import "embed"

// Models are the model files, features/*.sql and marts/*.sql, for
// transforms.Load.
//
//go:embed features/*.sql marts/*.sql
var Models embed.FS
