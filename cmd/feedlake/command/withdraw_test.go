package command

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
)

// TestWholeAccountLeaves runs twice over a stream that tells of a deleted account
// between the runs: its posts leave the tables that are built, also where
// accounts have pseudonyms, and nobody else's do. A third run finds nothing.
func TestWholeAccountLeaves(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{"plain": "", "pseudonyms": "pseudonyms: {key: \"${KEY}\"}\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCLI(t, "")
			c.env["KEY"] = "sixteen bytes at least"
			s, url, _ := simulated(t, "bluesky", serve.Options{Seed: 5, Posts: 600, Days: 1, Now: c.clock, Faults: []serve.Fault{serve.Vanish}})
			c.write("feedlake.yaml", more+"lake: {dir: lake}\nlog: {level: error}\nsources:\n"+
				"  - {name: sky, kind: bluesky, with: {mode: jetstream, version: 1, base_url: "+url+", since: 2026-02-28T00:00:00Z}}\n")
			c.run(0, "run")
			before := len(s.Live())
			if got := c.value("select count(*) from features.posts"); got != fmt.Sprint(before) {
				t.Fatalf("%s posts, want %d", got, before)
			}
			for range 6 { // the account leaves meanwhile
				res, err := http.Get(url)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
			}
			c.now = c.now.Add(time.Hour)
			c.run(0, "run")
			gone := c.value("select author_id from raw.posts where kind = 'account' and deleted")
			if got := c.value("select count(*) from raw.posts where author_id = '" + gone + "' and not deleted"); gone == "" || got == "0" {
				t.Fatalf("account %q left, %s posts of it had come", gone, got)
			}
			if got := c.value("select count(*) from features.posts where author_id = '" + gone + "'"); got != "0" {
				t.Errorf("%s posts of the account stay", got)
			}
			if got := c.value("select count(*) from features.posts"); got != fmt.Sprint(len(s.Live())) || len(s.Live()) >= before {
				t.Errorf("%s posts, want %d of %d", got, len(s.Live()), before)
			}
			rows := c.value("select count(*) from raw.posts")
			c.run(0, "run")
			if got := c.value("select count(*) from raw.posts"); got != rows {
				t.Errorf("%s rows landed, then %s", rows, got)
			}
		})
	}
}

// TestWholeCompliance asks X which of the posts that the lake holds are gone, and which
// of their authors: both leave the tables that are built, and nothing else does.
func TestWholeCompliance(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{"posts", "users"} {
		t.Run(subject, func(t *testing.T) {
			t.Parallel()
			c := newCLI(t, "")
			c.env["TOKEN"] = "a token"
			s, url, _ := simulated(t, "x", serve.Options{Seed: 5, Posts: 400, Days: 3, Now: c.clock, Faults: []serve.Fault{serve.Vanish}})
			c.write("feedlake.yaml", "lake: {dir: lake}\nlog: {level: error}\ncredentials: {main: {keys: {bearer_token: \"${TOKEN}\"}}}\nsources:\n"+
				"  - {name: gone, kind: x, credential: main, with: {mode: compliance, of: cats, subject: "+subject+", base_url: "+url+"}}\n"+
				"  - {name: cats, kind: x, credential: main, with: {mode: all, query: \"-is:nullcast\", base_url: "+url+", since: 2026-02-27T12:00:00Z}}\n")
			c.run(0, "run") // nothing is held at first
			c.now = c.now.Add(25 * time.Hour)
			held := c.value("select count(*) from features.posts")
			c.run(0, "run")
			left := c.value("select count(*) from features.posts")
			found := slices.DeleteFunc(s.Live(), func(id string) bool { return s.Kind(id) == feedlake.KindRepost }) // X finds no others
			live := strings.Join(found, "', '")
			if got := c.value("select count(*) from features.posts where id in ('" + live + "')"); got != fmt.Sprint(len(found)) || left == held {
				t.Errorf("%s posts were held and %s are; of those that live %s of %d", held, left, got, len(found))
			}
			// each request takes another post away, also those after the job
			if n := c.value("select count(*) from features.posts where id not in ('" + live + "')"); subject == "posts" && len(n) > 1 {
				t.Errorf("%s posts stay that are gone", n)
			}
			if got := c.value("select count(distinct author_id) from raw.posts where kind = 'account'"); (got != "0") != (subject == "users") {
				t.Errorf("%s accounts are gone", got)
			}
			if got := c.value("select count(*) from features.posts where author_id in (select author_id from raw.posts where kind = 'account')"); got != "0" {
				t.Errorf("%s posts of accounts that are gone stay", got)
			}
		})
	}
}
