package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
)

// network is a simulated platform and a source that reads all of it.
type network struct {
	platform string
	keys     string // of the credential, as YAML; %s is its secret
	with     string // beside base_url, as YAML
	past     string // with of a backfill; "": the platform has no search by time
}

// hush is the secret of every credential.
const hush = "hush-hush-0123456789"

func networks() []network {
	const since = ", since: 2026-02-01T00:00:00Z"
	return []network{
		{"bluesky", "identifier: me.example, app_password: %s", `query: "*"` + since, `query: "*"`},
		{"hackernews", "", "mode: search" + since, "mode: search"},
		{"instagram", "access_token: %s", `user_id: "17841400000000000", mode: top, hashtags: [simulated], top_pages: 1000`, ""},
		{"mastodon", "access_token: %s", "server: social.example" + since, "server: social.example"},
		{"reddit", "client_id: me, client_secret: %s", `user_agent: "linux:feedlake:1.0 (by /u/me)", subreddits: [all]` + since, `user_agent: "linux:feedlake:1.0 (by /u/me)", subreddits: [all]`}, // posts only: comments are another mode
		{"x", "bearer_token: %s", "mode: all, query: \"-is:nullcast\"" + since, "mode: all, query: \"-is:nullcast\""},
	}
}

// posts are so many that what is asked for once, such as a session, does not
// matter, and so few that platforms with a slow pace are read quickly.
func (n network) posts() int64 {
	if n.platform == "bluesky" {
		return 6000
	}
	return 900
}

func (n network) config(url, secret, with string) string {
	c := "lake: {dir: lake}\nlog: {level: debug}\nrejects: {max_share: 0}\n"
	credential := ""
	if n.keys != "" {
		c += "credentials: {" + n.platform + ": {keys: {" + fmt.Sprintf(n.keys, secret) + "}}}\n"
		credential = "credential: " + n.platform + ", "
	}
	return c + "sources: [{name: net, kind: " + n.platform + ", " + credential + "with: {base_url: " + url + ", " + with + "}}]\n"
}

// TestPlatforms reads every simulated platform by the command line: the check
// finds its credential good, every post comes once, a preview of a backfill is
// right, and the secret is nowhere.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	for _, n := range networks() {
		t.Run(n.platform, func(t *testing.T) {
			t.Parallel()
			c := newCLI(t, "")
			c.env["SECRET"], c.env["WRONG"] = hush, "wrong"+hush
			server, url, requests := simulated(t, n.platform, serve.Options{Seed: 5, Posts: n.posts(), Days: 6, Now: c.clock})
			c.write("feedlake.yaml", n.config(url, `"${SECRET}"`, n.with))
			var said strings.Builder
			run := func(code int, args ...string) string {
				t.Helper()
				out, errs := c.run(code, args...)
				said.WriteString(out + errs)
				return out
			}
			if out := run(0, "check", "--json"); strings.Contains(out, `"ok": false`) || !strings.Contains(out, "source net: ") {
				t.Errorf("check:\n%s", out)
			}
			run(0, "ingest")
			c.wantPosts(slices.DeleteFunc(server.Live(), func(id string) bool {
				return strings.HasPrefix(id, "t1_") || n.platform == "x" && server.Kind(id) == feedlake.KindRepost // X finds none
			}))
			if n.past != "" {
				c.write("feedlake.yaml", n.config(url, `"${SECRET}"`, n.past))
				var p backfillPreview
				args := []string{"backfill", "--source", "net", "--from", "2026-02-25", "--to", "2026-03-01"}
				if err := json.Unmarshal([]byte(run(0, append(args, "--dry-run", "--json")...)), &p); err != nil {
					t.Fatal(err)
				}
				requests.Store(0)
				run(0, args...)
				if got := requests.Load(); p.Requests == nil || math.Abs(float64(got-*p.Requests)) > 0.05*float64(got) {
					t.Errorf("%+v was foreseen, %d requests made", p, got)
				}
			}
			if n.keys != "" {
				c.write("feedlake.yaml", n.config(url, `"${WRONG}"`, n.with))
				if out := run(2, "check"); !strings.Contains(out, "FAILED") || !strings.Contains(out, "hint: ") {
					t.Errorf("check with a wrong key:\n%s", out)
				}
				run(2, "ingest", "--json")
				run(0, "status")
			}
			if strings.Contains(said.String(), hush) {
				t.Errorf("the secret was printed:\n%s", said.String())
			}
			c.wantNowhere(hush)
		})
	}
}

// wantPosts wants each of these posts once, and no other.
func (c *cli) wantPosts(ids []string) {
	c.t.Helper()
	got := map[string]bool{}
	for id := range strings.SplitSeq(c.value("select string_agg(id, ' ') from raw.posts"), " ") {
		if got[id] {
			c.t.Errorf("post %s came twice", id)
		}
		got[id] = true
	}
	missing := 0
	for _, id := range ids {
		if !got[id] {
			missing++
		}
	}
	if missing > 0 || len(got) != len(ids) {
		c.t.Errorf("%d posts landed, %d of %d are missing", len(got), missing, len(ids))
	}
}

// wantNowhere searches every file below the folder.
func (c *cli) wantNowhere(secret string) {
	c.t.Helper()
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), secret) {
			c.t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		c.t.Error(err)
	}
}

// TestWholeDemoSources runs the whole path over six simulated networks, and once more:
// the second time nothing is new.
func TestWholeDemoSources(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "")
	demo := func() (r runReport) {
		t.Helper()
		var out, errs bytes.Buffer
		e := env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, now: time.Now, getenv: os.LookupEnv}
		if code := run(t.Context(), e, []string{"demo", "--sources", "--posts", "1800", "--json", "--log-level", "error", "--lake", filepath.Join(c.dir, "lake")}); code != 0 {
			t.Fatalf("exit code %d\n%s\n%s", code, out.String(), errs.String())
		}
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := demo()
	if first.Posts < 1500 || first.State != "done" {
		t.Errorf("%d posts, %s", first.Posts, first.State)
	}
	for _, p := range serve.Platforms() {
		if !strings.Contains(first.Steps[0].Detail, p+": ") {
			t.Errorf("nothing came from %s: %s", p, first.Steps[0].Detail)
		}
	}
	if again := demo(); again.Posts != 0 || again.Changed {
		t.Errorf("the second demo: %+v", again)
	}
}
