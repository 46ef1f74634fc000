package spark

import (
	"fmt"
	"strings"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms/spark/internal/connect"
)

// quote spells a string literal of Spark, in which the backslash escapes.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// ident spells an identifier.
func ident(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

func idents(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = ident(n)
	}
	return strings.Join(out, ", ")
}

// sparkTypes are the column types of lake tables, in DuckDB's name and Spark's.
func sparkTypes() [][2]string {
	return [][2]string{
		{"VARCHAR", "STRING"},
		{"BIGINT", "BIGINT"},
		{"INTEGER", "INT"},
		{"DOUBLE", "DOUBLE"},
		{"BOOLEAN", "BOOLEAN"},
		{"DATE", "DATE"},
		{"TIMESTAMPTZ", "TIMESTAMP"},
		{"VARCHAR[]", "ARRAY<STRING>"},
	}
}

// sparkType spells a lake type for Spark; other types stay as they are.
func sparkType(lakeType string) string {
	for _, t := range sparkTypes() {
		if t[0] == lakeType {
			return t[1]
		}
	}
	return lakeType
}

// lakeType names a type of Spark as lake tables do; ok tells whether they have it.
func lakeType(t *connect.DataType) (name string, ok bool) {
	name = typeName(t)
	for _, pair := range sparkTypes() {
		if pair[1] == name {
			return pair[0], true
		}
	}
	return name, false
}

// typeName spells a type as SQL does, as far as that helps a reader.
func typeName(t *connect.DataType) string {
	switch k := t.GetKind().(type) {
	case *connect.DataType_Long:
		return "BIGINT"
	case *connect.DataType_Integer:
		return "INT"
	case *connect.DataType_Short:
		return "SMALLINT"
	case *connect.DataType_Byte:
		return "TINYINT"
	case *connect.DataType_Null:
		return "VOID"
	case *connect.DataType_Array_:
		return "ARRAY<" + typeName(k.Array.GetElementType()) + ">"
	case *connect.DataType_Decimal_:
		return fmt.Sprintf("DECIMAL(%d,%d)", k.Decimal.GetPrecision(), k.Decimal.GetScale())
	case nil:
		return "of an unknown kind"
	}
	m := t.ProtoReflect()
	return strings.ToUpper(string(m.WhichOneof(m.Descriptor().Oneofs().Get(0)).Name()))
}

// ddl spells columns as a schema.
func ddl(cols []lake.Column) string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = ident(c.Name) + " " + sparkType(c.Type)
	}
	return strings.Join(out, ", ")
}
