package command

import (
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest/simulate/serve"
)

// TestLookAgain reads posts once more when they are a day old, by a search and by
// their ids, and lands those whose counts have changed; pseudonyms stay what they
// are. A run right after it has nothing to do, also without look_again.
func TestLookAgain(t *testing.T) {
	for _, n := range networks() {
		if n.platform != "hackernews" && n.platform != "x" {
			continue
		}
		t.Run(n.platform, func(t *testing.T) {
			c := newCLI(t, "")
			c.env["SECRET"] = hush
			_, url, requests := simulated(t, n.platform, serve.Options{Seed: 5, Posts: 120, Days: 1, Now: c.clock, Faults: []serve.Fault{serve.Grow}})
			plain := n.config(url, `"${SECRET}"`, n.with) + `pseudonyms: {key: "${PSEUDONYMS}"}` + "\n"
			c.env["PSEUDONYMS"] = "0123456789abcdef0123456789abcdef"
			c.write("feedlake.yaml", strings.Replace(plain, "name: net,", "name: net, look_again: [1d, 7d],", 1))
			c.run(0, "ingest")
			posts := c.value("select count(*) from raw.posts")
			c.now = c.now.Add(30 * time.Hour)
			c.run(0, "ingest")
			again := c.value("select count(*) from (select id from raw.posts group by id having count(*) = 2 and count(distinct likes) + count(distinct replies) + count(distinct reposts) > 3)")
			if more := c.value("select count(*) from raw.posts where observed_at > (select min(observed_at) + interval 1 day from raw.posts)"); more == "0" || again == "0" {
				t.Errorf("%s posts, %s came again, %s of them with other counts", posts, more, again)
			}
			if most := c.value("select max(n) from (select count(*) as n from raw.posts group by id)"); most != "2" {
				t.Errorf("a post landed %s times", most)
			}
			all := c.value("select count(*) from raw.posts")
			requests.Store(0)
			c.run(0, "ingest")
			c.write("feedlake.yaml", plain)
			c.run(0, "ingest")
			if now := c.value("select count(*) from raw.posts"); now != all || requests.Load() > 4 {
				t.Errorf("%s rows became %s with %d requests", all, now, requests.Load())
			}
		})
	}
}
