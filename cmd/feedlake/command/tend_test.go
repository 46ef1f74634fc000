package command

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake"
)

// TestWholeCareByItself reads a file that grows night by night. After enough nights
// its day is one file again: no command was given, and no table was rebuilt.
func TestWholeCareByItself(t *testing.T) {
	t.Parallel()
	for name, auto := range map[string]bool{"by itself": true, "by hand": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCLI(t, "")
			c.write("feedlake.yaml", fmt.Sprintf("lake: {dir: lake}\nlog: {level: error}\ncare: {auto: %t}\nsources:\n"+
				"  - {name: a, kind: files, with: {path: \"in-*.ndjson\", map: {id: id, created_at: at, text: text}}}\n", auto))
			for i := range lake.DefaultTendFiles {
				c.write(fmt.Sprintf("in-%d.ndjson", i), fmt.Sprintf(`{"id": "%d", "at": "2026-01-05T10:00:00Z", "text": "night %d"}`+"\n", i, i))
				c.run(0, "ingest")
				c.now = c.now.Add(time.Hour)
			}
			want := 1
			if !auto {
				want = lake.DefaultTendFiles
			}
			out, _ := c.run(0, "lake", "ls", "--json")
			var tables []tableInfo
			if err := json.Unmarshal([]byte(out), &tables); err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(tables, func(info tableInfo) bool { return info.Table == "raw.posts" })
			if got := tables[i].Files; got != want {
				t.Errorf("%d files, want %d", got, want)
			}
			c.run(0, "transform")
			if got := c.value("select count(*) from features.posts"); got != fmt.Sprint(lake.DefaultTendFiles) {
				t.Errorf("%s posts", got)
			}
		})
	}
}
