package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/erasure"
	"github.com/feedlake/feedlake/serving/postgres/pgtest"
)

const plantedText = `Zanzibar is a "unique" place to plant a text: ünder/über #zanzitag`

// planted is what must not be found anywhere once planted-post and planted-author
// are erased.
var planted = []string{
	"Zanzibar is a", "zanzitag", "zanzibar is a", // the text, its hashtag, its normal form
	"planted-post", "planted-again", "planted-repost", "planted-a1", "planted-a2", // ids
	"planted-author", "quokkahandle", // the author
}

// eraseArgs is the request of the tests.
var eraseArgs = []string{"erase", "--post", "lines/planted-post", "--author", "lines/planted-author"}

// eraseLake makes a small whole lake with planted posts, in a folder.
func eraseLake(t *testing.T, dsn string) string {
	t.Helper()
	return eraseLakeAt(t, "{dir: lake}", dsn)
}

// eraseLakeAt makes it at the place that the config says.
func eraseLakeAt(t *testing.T, place, dsn string) string {
	t.Helper()
	dir := t.TempDir()
	var lines, labels strings.Builder
	post := func(id, at, text, user, more string) {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, `{"id": %q, "at": %q, "text": %s, "user": %q%s}`+"\n", id, at, quoted, user, more)
	}
	for i := range 60 {
		post(fmt.Sprintf("p%d", i), fmt.Sprintf("2026-01-%02dT%02d:00:00Z", 3+i%5, i%24), fmt.Sprintf("an ordinary text number %d #plain", i), fmt.Sprintf("u%d", i%7), `, "handle": "wombat"`)
	}
	post("planted-post", "2026-01-05T10:00:00Z", plantedText, "u9", `, "handle": "possum"`)
	post("planted-repost", "2026-01-06T10:00:00Z", "RT "+plantedText, "u3", `, "handle": "koala", "rt": "planted-post", "kind": "repost"`)
	post("planted-again", "2026-01-07T10:00:00Z", "seen again", "u4", `, "handle": "dingo", "rt": "planted-repost", "kind": "repost"`)
	post("planted-a1", "2026-01-05T11:00:00Z", "a first text of the quokkahandle", "planted-author", `, "handle": "quokkahandle"`)
	post("planted-a2", "2026-01-09T11:00:00Z", "alone on its day", "planted-author", `, "handle": "quokkahandle"`)
	quoted, err := json.Marshal(plantedText)
	if err != nil {
		t.Fatal(err)
	}
	post("quoting", "2026-01-06T11:00:00Z", "look at this", "u5", `, "quote": "planted-post", "kind": "quote", "quoted": `+string(quoted))
	post("answering", "2026-01-06T12:00:00Z", "well said", "u6", `, "reply": "planted-a1", "kind": "reply"`)
	post("planted-post", "when", plantedText, "u9", "")
	post("other-reject", "when", "not of the planted", "u1", "")
	labels.WriteString("id\tlabel\ttext\n")
	words := [][]string{{"awful", "sad", "bad"}, {"table", "door", "street"}, {"great", "happy", "fine"}}
	for i := range 240 {
		fmt.Fprintf(&labels, "l%d\t%d\t%s %s %c%c\n", i, i%3, words[i%3][i/3%3], words[i%3][i/9%3], 'a'+rune(i%26), 'a'+rune(i/26))
	}
	fmt.Fprintf(&labels, "planted-label\t2\t%s\n", plantedText)
	config := "lake: " + place + `
log: {level: error}
rejects: {max_share: 1}
sources:
  - name: lines
    kind: files
    with:
      path: lines*.ndjson
      map: {id: id, created_at: at, text: text, author_id: user, author_name: handle, repost_of: rt, quote_of: quote, reply_to: reply, kind: kind}
labels: [{file: labels.tsv, dataset: small, id: id}]
models: {sentiment: {gate: {macro_recall: 0, drop: 1}}}
publish:
  - {kind: export, dir: export}
`
	if dsn != "" {
		config += "  - {kind: postgres, dsn: \"" + dsn + "\"}\n"
	}
	for name, text := range map[string]string{"feedlake.yaml": config, "lines.ndjson": lines.String(), "labels.tsv": labels.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	feedlakeIn(t, dir, 0, "run")
	more := strings.ReplaceAll(lines.String(), "ordinary", "plain") // every post once more, so that there is history
	if err := os.WriteFile(filepath.Join(dir, "lines2.ndjson"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	feedlakeIn(t, dir, 0, "run")
	return dir
}

// eraseOptions are the flags of a command in dir.
func eraseOptions(dir string, stdout, stderr io.Writer) *options {
	return &options{config: filepath.Join(dir, "feedlake.yaml"), json: true, env: env{
		stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, now: time.Now,
		getenv: os.LookupEnv,
	}}
}

// feedlakeIn runs a command line in this process and returns what it printed.
func feedlakeIn(t *testing.T, dir string, want int, args ...string) (stdout string) {
	t.Helper()
	var out, errs bytes.Buffer
	o := eraseOptions(dir, &out, &errs)
	if code := run(t.Context(), o.env, append(args, "--config", o.config, "--json")); code != want {
		t.Fatalf("feedlake %s: exit code %d, want %d\n%s\n%s", strings.Join(args, " "), code, want, out.String(), errs.String())
	}
	return out.String()
}

// others is everything of the posts that stay, by which a loss would show.
func others(t *testing.T, dir string) string {
	t.Helper()
	return feedlakeIn(t, dir, 0, "sql", `
		select source, id, author_id, author_name, created_at, observed_at, text, kind, hashtags, run_id, case when id not in ('quoting', 'answering') then payload end as payload
		from raw.posts where id not like 'planted%' order by all`)
}

// TestWholeErase takes a post and an author down and looks for them in every byte of
// the lake, of the export and of a real PostgreSQL.
func TestWholeErase(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	pg.CreateDatabase("erase")
	dir := eraseLake(t, pg.DSN("erase"))
	before, _ := findPlanted(t, dir, pg, "erase")
	for _, want := range []string{
		"lake/warehouse/raw/posts/data", "lake/warehouse/raw/rejects", "lake/warehouse/ml/labels", "lake/warehouse/ml/sentiment_scores", "lake/warehouse/ml/trends",
		"lake/warehouse/features/posts", "lake/warehouse/features/entities", "lake/warehouse/features/authors", "lake/warehouse/features/hashtag_hourly",
		"lake/warehouse/features/text_stats", "lake/warehouse/marts/trending_hashtags", "export/marts.duckdb", "postgres marts.trending_hashtags", ".avro (entries)",
	} {
		if !slices.ContainsFunc(before, func(f string) bool { return strings.Contains(f, want) }) {
			t.Errorf("before: nothing planted is found in %s: the search is blind there", want)
		}
	}
	kept := others(t, dir)
	var rep erasure.Report
	if err := json.Unmarshal([]byte(feedlakeIn(t, dir, 0, eraseArgs...)), &rep); err != nil {
		t.Fatal(err)
	}
	after, looked := findPlanted(t, dir, pg, "erase")
	for _, f := range after {
		t.Errorf("after: %s", f)
	}
	if looked < 100 {
		t.Errorf("looked at %d things only", looked)
	}
	t.Logf("%d planted things found before, %d after, in %d places", len(before), len(after), looked)
	if diff := cmp.Diff(kept, others(t, dir)); diff != "" {
		t.Errorf("other posts changed (-before +after):\n%s", diff)
	}
	if rep.State != erasure.Done || rep.Rows != 10 || len(rep.Left) != 0 || len(rep.Places) != 2 || len(rep.Expired) < 10 {
		t.Errorf("report: %+v", rep)
	}
	models := map[string]int64{}
	for _, m := range rep.Models {
		models[fmt.Sprintf("%s %d", m.Model, m.Version)] = m.Rows
	}
	if diff := cmp.Diff(map[string]int64{"sentiment 1": 1, "trends 1": 2}, models); diff != "" {
		t.Errorf("models trained on erased posts (-want +got):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(dir, "lake", "erasures", rep.RunID+".json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("report file: %v, %v", info, err)
	}
	var next runReport
	if err := json.Unmarshal([]byte(feedlakeIn(t, dir, 0, "run")), &next); err != nil {
		t.Fatal(err)
	}
	for _, s := range next.Steps {
		if (s.Step == wiring.StepFeatures && s.Detail != "6 tables up to date") || (s.Step == wiring.StepIngest && s.RowsOut != 0) {
			t.Errorf("the next run: %s: %s", s.Step, s.Detail)
		}
	}
}

// errStop is the end that a test brings.
var errStop = errors.New("stopped by the test")

// eraseStopped runs the request until a step is done.
func eraseStopped(t *testing.T, dir, step string) {
	t.Helper()
	var out, errs bytes.Buffer
	o := eraseOptions(dir, &out, &errs)
	err := o.withApp(t.Context(), func(ctx context.Context, a *app) error {
		targets, err := eraseTargets([]string{"lines/planted-post"}, []string{"lines/planted-author"}, nil)
		if err != nil {
			return err
		}
		return a.erase(ctx, targets, false, func(s string) error {
			if s == step {
				return errStop
			}
			return nil
		})
	})
	if !errors.Is(err, errStop) {
		t.Fatalf("stop after %q: %v", step, err)
	}
}

// TestWholeEraseGoesOn stops an erasure after each step and wants the same command
// to come to the end: first from every step to the next, then from the ones in
// the middle straight to the end.
func TestWholeEraseGoesOn(t *testing.T) {
	t.Parallel()
	dir := eraseLake(t, "")
	saved := filepath.Join(t.TempDir(), "saved")
	copyTree(t, dir, saved)
	steps := []string{
		"find", "tombstones", "rows raw.rejects", "rows ml.sentiment_scores", "rows raw.posts", "features", "trends", "marts",
		"publish", "expire marts.volume", "expire", "clean", "verify",
	}
	finish := func(name string) {
		var rep erasure.Report
		if err := json.Unmarshal([]byte(feedlakeIn(t, dir, 0, eraseArgs...)), &rep); err != nil {
			t.Fatal(err)
		}
		if found, _ := findPlanted(t, dir, nil, ""); len(found) > 0 {
			t.Errorf("%s: still there: %v", name, found)
		}
		if rep.State != erasure.Done || rep.Rows != 10 || len(rep.Models) != 2 || len(rep.Resumes) == 0 || !rep.Targets[0].Found {
			t.Errorf("%s: the report lost what the stopped run found: %+v", name, rep)
		}
	}
	for _, s := range steps {
		eraseStopped(t, dir, s)
	}
	finish("after every step")
	for _, s := range []string{"rows ml.labels", "features", "expire ml.labels"} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		copyTree(t, saved, dir)
		eraseStopped(t, dir, s)
		finish("after " + s)
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestWholeEraseHeldBack has a check hold back a partition that still has the post:
// the erasure says so and is partial, until the cause is gone.
func TestWholeEraseHeldBack(t *testing.T) {
	t.Parallel()
	dir := eraseLake(t, "")
	landOdd(t, dir)
	feedlakeIn(t, dir, exitRejected, "run")
	const told = "select id, error from (select 1 as id, error from ops.steps union all select 2, error from marts.pipeline_runs) where error like '%odd%'"
	if got := feedlakeIn(t, dir, 0, "sql", told); strings.Count(got, "no such kind")+strings.Count(got, "odd") < 2 {
		t.Errorf("the history does not name the post: the test is blind: %s", got)
	}
	var rep erasure.Report
	if err := json.Unmarshal([]byte(feedlakeIn(t, dir, exitPartial, eraseArgs...)), &rep); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(rep.Left, func(l erasure.Left) bool { return l.Where == "features.posts" && l.What == "posts" })
	if rep.State != erasure.Partial || i < 0 || rep.Left[i].Count != 2 || !strings.Contains(rep.Left[i].Why, "source=lines/day=2026-01-05") {
		t.Errorf("report: %+v", rep)
	}
	if slices.ContainsFunc(rep.Left, func(l erasure.Left) bool {
		return strings.HasPrefix(l.Where, "raw.") || strings.HasPrefix(l.Where, "ml.labels")
	}) {
		t.Errorf("left in raw tables: %+v", rep.Left)
	}
	feedlakeIn(t, dir, 0, "erase", "--post", "lines/odd") // which also finishes what was left
	if got := feedlakeIn(t, dir, 0, "sql", told); strings.TrimSpace(got) != "[]" {
		t.Errorf("the history still names the post: %s", got)
	}
	if err := json.Unmarshal([]byte(feedlakeIn(t, dir, 0, eraseArgs...)), &rep); err != nil {
		t.Fatal(err)
	}
	if found, _ := findPlanted(t, dir, nil, ""); len(found) > 0 || rep.State != erasure.Done || rep.Rows != 10 {
		t.Errorf("still there: %v\n%+v", found, rep)
	}
}

// landOdd lands a post on the day of planted ones that a check of features.posts
// refuses; ingest would not let it in.
func landOdd(t *testing.T, dir string) {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: filepath.Join(dir, "lake"), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	path, err := lake.WriteRows(t.Context(), l, "raw.posts", lake.MakePartition("source", "lines", "day", "2026-01-05"),
		[]feedlake.Post{{Source: "lines", ID: "odd", Kind: "no such kind", CreatedAt: at, ObservedAt: at, Text: "odd"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), lake.Commit{Table: "raw.posts", Add: []string{path}}); err != nil {
		t.Fatal(err)
	}
}
