package sql_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms"
)

const tablesDoc = "../docs/tables.md"

// TestTablesDoc holds docs/tables.md against the heads of the models and the
// descriptions of feedlake's own tables; with -update it is written anew.
func TestTablesDoc(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Tables

Every table of a lake with its columns. This page is made from the heads in ` + "`sql/`" + ` and from ` + "`lake/describe.go`" + ` (` + "`make golden`" + `): do not edit it.

"Sum" says whether a column's values may be added up over rows. Totals over sources sum the rows where ` + "`copy`" + ` is false: a post that two sources
bring counts once. Tables that SQL builds have three more columns: ` + "`_run_id`, `_model` and `_inputs`" + `, the run, the model with its hash and the snapshots
that made the row.
`)
	for _, m := range load(t).Models() {
		table(&b, m.Name, m.About, m.Key, m.Partition, m.Order, types(t, m), m.Columns, m.Additive)
	}
	about := lake.Describe()
	for _, s := range lake.Fixed() {
		d, ok := about[s.Name]
		if !ok {
			t.Errorf("table %s is not described in lake/describe.go", s.Name)
		}
		var order []string
		typ := map[string]string{}
		for _, c := range s.Columns {
			order, typ[c.Name] = append(order, c.Name), c.Type
			if d.Columns[c.Name] == "" {
				t.Errorf("column %s of %s is not described in lake/describe.go", c.Name, s.Name)
			}
		}
		table(&b, s.Name, d.About, s.Key, s.Partition, order, typ, d.Columns, d.Additive)
	}
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(tablesDoc, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(tablesDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Errorf("%s is not what the heads say: run make golden", tablesDoc)
	}
}

// table writes one table's part.
func table(b *strings.Builder, name, about string, key, partition, order []string, types, meaning map[string]string, additive []string) {
	fmt.Fprintf(b, "\n## %s\n\n%s. Key: %s.", name, strings.ToUpper(about[:min(1, len(about))])+about[min(1, len(about)):], strings.Join(key, ", "))
	if len(partition) > 0 {
		fmt.Fprintf(b, " Partition: %s.", strings.Join(partition, ", "))
	}
	b.WriteString("\n\n| column | type | sum | meaning |\n| --- | --- | --- | --- |\n")
	for _, c := range order {
		sum := ""
		if numeric := types[c] == "BIGINT" || types[c] == "DOUBLE"; numeric && !slices.Contains(key, c) {
			sum = "no"
			if slices.Contains(additive, c) {
				sum = "yes"
			}
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", c, types[c], sum, strings.ReplaceAll(meaning[c], "|", "\\|"))
	}
}

// types reads the types of a model's columns from the answer of a golden case.
func types(t *testing.T, m transforms.Model) map[string]string {
	t.Helper()
	cases, err := filepath.Glob(filepath.Join("testdata", m.Name, "*", "want.csv"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("model %s has no golden case: %v", m.Name, err)
	}
	text, err := os.ReadFile(cases[0])
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	out := map[string]string{}
	for field := range strings.SplitSeq(first, ",") {
		name, typ, _ := strings.Cut(field, ":")
		out[name] = typ
	}
	return out
}

// TestMartsSaySums wants every mart to say which of its columns add up: whoever
// sums another one gets a wrong number.
func TestMartsSaySums(t *testing.T) {
	for _, m := range load(t).Models() {
		if strings.HasPrefix(m.Name, "marts.") && len(m.Additive) == 0 {
			t.Errorf("%s: the head has no '-- additive:' line", m.File)
		}
	}
}
