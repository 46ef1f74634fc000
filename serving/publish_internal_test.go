package serving

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
)

func TestGroups(t *testing.T) {
	for _, c := range []struct {
		rows []int64
		want [][]int64
	}{
		{nil, nil},
		{[]int64{5}, [][]int64{{5}}},
		{[]int64{50}, [][]int64{{50}}},
		{[]int64{5, 5, 5}, [][]int64{{5, 5}, {5}}},
		{[]int64{50, 1, 9, 1, 50}, [][]int64{{50}, {1, 9}, {1}, {50}}},
		{[]int64{0, 0, 10, 0, 1}, [][]int64{{0, 0, 10, 0}, {1}}},
	} {
		var files []lake.File
		for _, n := range c.rows {
			files = append(files, lake.File{Rows: n})
		}
		var got [][]int64
		for _, g := range groups(files, 10) {
			var rows []int64
			for _, f := range g {
				rows = append(rows, f.Rows)
			}
			got = append(got, rows)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("groups of %v (-want +got):\n%s", c.rows, d)
		}
	}
}
