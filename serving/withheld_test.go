package serving_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving"
)

type idRow struct {
	Source string `parquet:"source,optional"`
	ID     string `parquet:"id,optional"`
}

// TestPublishWithholdsPosts does not publish a table of single posts that holds
// some of a source whose posts are not passed on; counts of them are published.
func TestPublishWithholdsPosts(t *testing.T) {
	f := newPublishFixture(t)
	spec := lake.Spec{Name: "features.ids", Key: []string{"source", "id"}, Columns: []lake.Column{{Name: "source", Type: "VARCHAR"}, {Name: "id", Type: "VARCHAR"}}}
	if err := f.lake.Ensure(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	path, err := lake.WriteRows(t.Context(), f.lake, spec.Name, "", []idRow{{"reddit", "1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.lake.Commit(t.Context(), lake.Commit{Table: spec.Name, Add: []string{path}}); err != nil {
		t.Fatal(err)
	}
	f.put(t, "marts.volume", map[int]int64{1: 10})
	f.opts.Tables = []string{"features.ids", "marts.volume"}
	f.opts.Withheld = []feedlake.Prohibition{{Source: "reddit", Rule: "its terms"}}
	sent, states, err := f.publish(t)
	if !errors.Is(err, feedlake.ErrForbidden) || !errors.Is(err, feedlake.ErrPartial) || !strings.Contains(err.Error(), "reddit: its terms") {
		t.Errorf("error %v", err)
	}
	if len(sent) != 1 || sent[0].Rows[0] != publishedDay(1, 10) || states != "features.ids failed 0, volume published 1" {
		t.Errorf("sent %+v, states %s", sent, states)
	}
	f.opts.Withheld[0].Source = "another"
	if sent, states, err = f.publish(t); err != nil || len(sent) != 1 || states != "features.ids "+serving.StatePublished+" 1, volume nothing new 0" {
		t.Errorf("of another source: sent %+v, states %s, %v", sent, states, err)
	}
}
