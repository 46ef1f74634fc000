package spark

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms/spark/internal/connect"
)

// views makes the temporary views of the inputs.
func (r *run) views(ctx context.Context) error {
	for _, in := range r.q.Model.Inputs {
		rel, err := r.input(ctx, in.Table)
		if err != nil {
			return fmt.Errorf("read %s: %w", in.Table, err)
		}
		err = r.exec(ctx, &connect.Command{CommandType: &connect.Command_CreateDataframeView{
			CreateDataframeView: &connect.CreateDataFrameViewCommand{Input: rel, Name: r.names.views[in.Table], Replace: true},
		}})
		if err != nil {
			return fmt.Errorf("read %s: %w", in.Table, err)
		}
	}
	return nil
}

// dropViews takes the inputs away again; those of a lost session are gone.
func (r *run) dropViews(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	for _, in := range r.q.Model.Inputs {
		if err := r.statement(ctx, "DROP VIEW IF EXISTS "+r.names.views[in.Table]); err != nil {
			r.log.DebugContext(ctx, "spark view not dropped", "view", r.names.views[in.Table], "err", err)
			return
		}
	}
}

// input is the relation that yields an input table's rows: the Iceberg table
// at the pinned snapshot where Spark has the catalog, the files otherwise.
func (r *run) input(ctx context.Context, table string) (*connect.Relation, error) {
	cols, files := r.q.Columns[table], r.q.Inputs[table]
	switch {
	case len(files) == 0:
		return text("SELECT " + columnList(cols, func(lake.Column) bool { return true }) + " WHERE false"), nil
	case r.catalog == nil || r.q.Snapshots[table] == 0 || slices.ContainsFunc(files, escaped):
		return r.files(cols, files), nil
	}
	return r.table(ctx, table, cols, files)
}

// escaped reports whether a file's folder has an escaped value in its name.
// Table metadata names files by URL, in which the escape is escaped again;
// Iceberg for Java takes the URL's path literally and does not find the file.
func escaped(f lake.File) bool { return strings.Contains(string(f.Partition), "%") }

// columnList spells the columns in order; absent ones are NULL.
func columnList(cols []lake.Column, absent func(lake.Column) bool) string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = ident(c.Name)
		if absent(c) {
			out[i] = "CAST(NULL AS " + sparkType(c.Type) + ") AS " + ident(c.Name)
		}
	}
	return strings.Join(out, ", ")
}

// files reads exactly these files. Columns that a file lacks read as NULL.
func (r *run) files(cols []lake.Column, files []lake.File) *connect.Relation {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = r.storage.Location(f.Path)
	}
	return &connect.Relation{RelType: &connect.Relation_Read{Read: &connect.Read{DataSource: &connect.Read_DataSource{
		Format: new("parquet"), Schema: new(ddl(cols)), Paths: paths,
		// A folder's name, such as source=x, is no column, and an asterisk no pattern.
		Options: map[string]string{"recursiveFileLookup": "true", "__globPaths__": "false"},
	}}}}
}

// table reads the partitions of the files from the Iceberg table. A snapshot
// has the columns of its time; later ones are NULL.
func (r *run) table(ctx context.Context, table string, cols []lake.Column, files []lake.File) (*connect.Relation, error) {
	space, name, _ := strings.Cut(table, ".")
	from := fmt.Sprintf("%s.%s.%s VERSION AS OF %d", ident(r.catalog.Name), ident(space), ident(name), r.q.Snapshots[table])
	absent := func(lake.Column) bool { return false }
	if slices.ContainsFunc(cols, func(c lake.Column) bool { return c.Added }) {
		have, err := r.schema(ctx, text("SELECT * FROM "+from))
		if err != nil {
			return nil, err
		}
		absent = func(c lake.Column) bool {
			return !slices.ContainsFunc(have, func(f *connect.DataType_StructField) bool { return f.GetName() == c.Name })
		}
	}
	sql := "SELECT " + columnList(cols, absent) + " FROM " + from
	parts := make([]lake.Partition, 0, len(files))
	for _, f := range files {
		parts = append(parts, f.Partition)
	}
	slices.Sort(parts)
	if parts = slices.Compact(parts); parts[0] != "" {
		sql += " WHERE " + within(inputKeys(table, cols, parts[0]), parts)
	}
	return text(sql), nil
}
