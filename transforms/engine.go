package transforms

import (
	"context"
	"io"
	"time"

	"github.com/feedlake/feedlake/lake"
)

// Query is one computation: a model over exact files.
type Query struct {
	Model   Model
	Inputs  map[string][]lake.File   // the files to read of each input; none: an empty table
	Columns map[string][]lake.Column // the columns of each input
	// Snapshots are those that Inputs were planned from. An engine that has the
	// lake's catalog may read an input from there: the partitions of the files,
	// of that snapshot, which are the same rows. 0 or none: read the files.
	Snapshots map[string]int64
	// Partitions are the output partitions that are wanted; rows of others are
	// not returned. nil: all.
	Partitions []lake.Partition
	// Hours are the hours that are wanted: rows whose column hour has another value
	// are not returned. nil: all.
	Hours []time.Time
	// Extra columns come after the model's own, the same in every row.
	Extra []Constant
	// Keep names columns that the output table has already: those that the
	// model no longer makes come last, as NULL.
	Keep []lake.Column
	// Staging returns a fresh path for a file of a partition.
	Staging func(lake.Partition) (string, error)
}

// Constant is a VARCHAR column with one value.
type Constant struct{ Name, Value string }

// Output is what an engine computed: complete, durable Parquet files that
// belong to no table yet, each within one partition, and the columns of every
// one of them. Partitions without rows have no file.
type Output struct {
	Files   []lake.File
	Columns []lake.Column
	Rows    int64
}

// Engine computes queries. It is safe for concurrent use. Run reads the files of Query.Inputs and nothing
// else, writes under paths of Query.Staging only, commits nothing, and leaves
// no file behind when it fails. An error of the SQL names the model's file and,
// where known, the line, and wraps feedlake.ErrConfig; a row with a NULL in a
// partition column, or a column of a type that lake tables do not have, wraps
// feedlake.ErrRejected. enginetest holds the contract as tests.
type Engine interface {
	Run(ctx context.Context, q Query) (Output, error)
	io.Closer
}
