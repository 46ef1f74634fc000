package lake

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"github.com/feedlake/feedlake"
)

// Column is one column of a table. Every column may be NULL.
type Column struct {
	Name string
	Type string // DuckDB's name: VARCHAR, BIGINT, INTEGER, DOUBLE, BOOLEAN, DATE, TIMESTAMPTZ, VARCHAR[]
	// Added says that the column came after the table was created: older
	// files lack it and read as NULL.
	Added bool
}

// Spec describes a table: its columns, its partition columns ("source",
// "day(created_at)") and the columns that identify a row.
type Spec struct {
	Name      string
	Columns   []Column
	Partition []string
	Key       []string // stands once in a snapshot, unless the rows are landed
	// Landed rows come from outside and as often as they are delivered: a key may
	// stand many times, and what reads them counts it once. Nothing here can
	// compute them again.
	Landed bool
}

// landedTable reports whether a table's rows are Landed. That is a matter of the
// program, not of the table's properties, which keep what was thought when the
// table was made.
func landedTable(name string) bool {
	for _, s := range Fixed() {
		if s.Name == name {
			return s.Landed
		}
	}
	return false
}

// tableProperties keep commits cheap for years: merged manifests and a short
// metadata log (1,000 commits: 9 ms a commit instead of 45). Retries are the
// lake's own, because only it can check a commit's expectations again.
func tableProperties() iceberg.Properties {
	return iceberg.Properties{
		"format-version":                             "2",
		"commit.manifest-merge.enabled":              "true",
		"write.metadata.delete-after-commit.enabled": "true",
		"write.metadata.previous-versions-max":       "20",
		"commit.retry.num-retries":                   "0",
	}
}

// propertyKey is the property of a table that names its Key.
const propertyKey = "feedlake.key"

// Ensure creates the table that s describes, or adds the columns that an
// existing one lacks and gives it s's key. A column whose type differs is an
// error wrapping feedlake.ErrConflict.
func (l *Lake) Ensure(ctx context.Context, s Spec) error {
	id, err := identifier(s.Name)
	if err != nil {
		return err
	}
	t, err := l.load(ctx, s.Name, l.catalog(nil))
	if err == nil {
		return l.evolve(ctx, s, t)
	}
	if !errors.Is(err, feedlake.ErrNotFound) {
		return err
	}
	schema, err := icebergSchema(s)
	if err != nil {
		return err
	}
	spec, err := icebergPartition(s, schema)
	if err != nil {
		return err
	}
	err = l.cat.CreateNamespace(ctx, catalog.NamespaceFromIdent(id), nil)
	if err != nil && !errors.Is(err, catalog.ErrNamespaceAlreadyExists) {
		return fmt.Errorf("create table %s: %w", s.Name, err)
	}
	props := tableProperties()
	props[propertyKey] = strings.Join(s.Key, ",")
	err = l.ic("create-table", s.Name, func() error {
		_, err := l.cat.CreateTable(l.withBucket(ctx), id, schema, catalog.WithPartitionSpec(&spec), catalog.WithProperties(props))
		return err
	})
	if err == nil {
		return nil
	}
	if _, lerr := l.Columns(ctx, s.Name); lerr == nil {
		return nil // another writer was first, or the answer was lost
	}
	return fmt.Errorf("create table %s: %w", s.Name, err)
}

// Columns lists a table's columns in order.
func (l *Lake) Columns(ctx context.Context, name string) ([]Column, error) {
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return nil, err
	}
	return columnsOf(name, t)
}

func columnsOf(name string, t *table.Table) ([]Column, error) {
	first := map[int]bool{}
	for _, s := range t.Metadata().Schemas() {
		if s.ID == 0 {
			for _, f := range s.Fields() {
				first[f.ID] = true
			}
		}
	}
	var cols []Column
	for _, f := range t.Schema().Fields() {
		typ, err := duckType(f.Type)
		if err != nil {
			return nil, fmt.Errorf("table %s: column %s: %w", name, f.Name, err)
		}
		cols = append(cols, Column{Name: f.Name, Type: typ, Added: len(first) > 0 && !first[f.ID]})
	}
	return cols, nil
}

// evolve adds the columns of s that the table lacks. Field ids are assigned by
// Iceberg, so older files read the new columns as NULL. A key that a newer
// version has changed becomes the table's.
func (l *Lake) evolve(ctx context.Context, s Spec, t *table.Table) error {
	have, err := columnsOf(s.Name, t)
	if err != nil {
		return err
	}
	types := map[string]string{}
	for _, c := range have {
		types[c.Name] = c.Type
	}
	var add []Column
	for _, c := range s.Columns {
		switch t, ok := types[c.Name]; {
		case !ok:
			add = append(add, c)
		case t != c.Type:
			return feedlake.Hint(fmt.Errorf("table %s: column %s is %s, want %s: %w", s.Name, c.Name, t, c.Type, feedlake.ErrConflict),
				"give the column a new name, or cast it to %s", t)
		}
	}
	key := strings.Join(s.Key, ",")
	rekey := key != "" && key != t.Properties()[propertyKey]
	if len(add) == 0 && !rekey {
		return nil
	}
	tx := t.NewTransaction()
	if rekey {
		if err := tx.SetProperties(iceberg.Properties{propertyKey: key}); err != nil {
			return fmt.Errorf("change key of %s: %w", s.Name, err)
		}
	}
	if len(add) > 0 {
		if err := addColumns(tx, s.Name, add); err != nil {
			return err
		}
	}
	if _, err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("change %s: %w", s.Name, err)
	}
	return nil
}

func addColumns(tx *table.Transaction, name string, add []Column) error {
	up := tx.UpdateSchema(true, false)
	for _, c := range add {
		typ, err := icebergType(c.Type, 0)
		if err != nil {
			return fmt.Errorf("table %s: column %s: %w", name, c.Name, err)
		}
		up = up.AddColumn([]string{c.Name}, typ, "", false, nil)
	}
	if err := up.Commit(); err != nil {
		return fmt.Errorf("add columns to %s: %w", name, err)
	}
	if err := tx.RemoveProperties([]string{table.DefaultNameMappingKey}); err != nil { // made anew from the new schema with the next files
		return fmt.Errorf("add columns to %s: %w", name, err)
	}
	return nil
}

func icebergSchema(s Spec) (*iceberg.Schema, error) {
	fields := make([]iceberg.NestedField, len(s.Columns))
	element := len(s.Columns)
	for i, c := range s.Columns {
		element++
		typ, err := icebergType(c.Type, element)
		if err != nil {
			return nil, fmt.Errorf("table %s: column %s: %w", s.Name, c.Name, err)
		}
		fields[i] = iceberg.NestedField{ID: i + 1, Name: c.Name, Type: typ}
	}
	return iceberg.NewSchema(0, fields...), nil
}

func icebergPartition(s Spec, schema *iceberg.Schema) (iceberg.PartitionSpec, error) {
	fields := make([]iceberg.PartitionField, 0, len(s.Partition))
	for i, p := range s.Partition {
		column, name := partitionField(p)
		var tr iceberg.Transform = iceberg.IdentityTransform{}
		if column != name {
			tr = iceberg.DayTransform{}
		}
		f, ok := schema.FindFieldByName(column)
		if !ok {
			return iceberg.PartitionSpec{}, fmt.Errorf("table %s: partition column %s: %w", s.Name, column, feedlake.ErrNotFound)
		}
		fields = append(fields, iceberg.PartitionField{SourceIDs: []int{f.ID}, FieldID: 1000 + i, Transform: tr, Name: name})
	}
	return iceberg.NewPartitionSpec(fields...), nil
}

func icebergType(duck string, element int) (iceberg.Type, error) {
	switch duck {
	case "VARCHAR":
		return iceberg.PrimitiveTypes.String, nil
	case "BIGINT":
		return iceberg.PrimitiveTypes.Int64, nil
	case "INTEGER":
		return iceberg.PrimitiveTypes.Int32, nil
	case "DOUBLE":
		return iceberg.PrimitiveTypes.Float64, nil
	case "BOOLEAN":
		return iceberg.PrimitiveTypes.Bool, nil
	case "DATE":
		return iceberg.PrimitiveTypes.Date, nil
	case "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE":
		return iceberg.PrimitiveTypes.TimestampTz, nil
	case "VARCHAR[]":
		return &iceberg.ListType{ElementID: element, Element: iceberg.PrimitiveTypes.String}, nil
	}
	return nil, feedlake.Hint(fmt.Errorf("type %s: %w", strconv.Quote(duck), feedlake.ErrRejected),
		"cast it to VARCHAR, BIGINT, INTEGER, DOUBLE, BOOLEAN, DATE, TIMESTAMPTZ or VARCHAR[]")
}

func duckType(t iceberg.Type) (string, error) {
	if l, ok := t.(*iceberg.ListType); ok && l.Element.Equals(iceberg.PrimitiveTypes.String) {
		return "VARCHAR[]", nil
	}
	for _, name := range []string{"VARCHAR", "BIGINT", "INTEGER", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMPTZ"} {
		if it, err := icebergType(name, 0); err == nil && it.Equals(t) {
			return name, nil
		}
	}
	return "", fmt.Errorf("iceberg type %s: %w", t, feedlake.ErrRejected)
}
