package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// killConfig is a small whole path: two sources, labels, both models, an export.
const killConfig = `
lake: {dir: lake}
sources:
  - {name: sim, kind: simulate, with: {seed: 3, posts: 6000, days: 6, broken: 0.01}}
  - name: file
    kind: files
    with: {path: posts.ndjson, map: {id: id, created_at: at, text: text}}
labels:
  - {file: labels.tsv, dataset: small}
models:
  sentiment: {gate: {macro_recall: 0}}
publish:
  - {name: export, kind: export, dir: publish}
`

// killTables is everything that a run makes, without what names the run: each
// query yields one line.
var killTables = map[string]string{
	"raw.posts":          "select count(*), bit_xor(hash(source, id, created_at, text, deleted, payload)) from raw.posts",
	"raw.rejects":        "select count(*), bit_xor(hash(source, position, reason, payload)) from raw.rejects",
	"features.posts":     "select count(*), bit_xor(hash(source, id, day, text, versions)) from features.posts",
	"features.entities":  "select count(*), bit_xor(hash(source, id, kind, entity, occurrences)) from features.entities",
	"hashtag_hourly":     "select count(*), bit_xor(hash(source, hashtag, hour, posts, posts_24h, posts_7d, posts_28d)) from features.hashtag_hourly",
	"features.authors":   "select count(*), bit_xor(hash(source, author_id, hour, posts)) from features.authors",
	"ml.labels":          "select count(*), bit_xor(hash(text, label)) from ml.labels",
	"ml.scores":          "select count(*), bit_xor(hash(source, id, text_md5, label, p_negative, p_positive)) from ml.sentiment_scores",
	"ml.trends":          "select count(*), bit_xor(hash(source, hashtag, hour, observed, expected, trending)) from ml.trends",
	"marts.sentiment":    "select count(*), bit_xor(hash(day, source, lang, posts, scored, negative, neutral, positive)) from marts.daily_sentiment",
	"marts.volume":       "select count(*), bit_xor(hash(hour, source, lang, posts, authors)) from marts.volume",
	"marts.engagement":   "select count(*), bit_xor(hash(day, source, lang, copy, rated_posts, engagement, followers, median_rate)) from marts.engagement",
	"marts.trending":     "select count(*), bit_xor(hash(day, source, hashtag, rank, posts, trending)) from marts.trending_hashtags",
	"one version each":   "select count(*), count(distinct (source, id)) from features.posts",
	"no doubled version": "select count(*), count(distinct (source, position)) from raw.rejects",
	"one score each":     "select count(*), count(distinct (source, id, text_md5, model_version)) from ml.sentiment_scores",
}

// program starts this test binary as feedlake.
func program(t testing.TB, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

func killDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var posts, labels bytes.Buffer
	for i := range 2000 {
		fmt.Fprintf(&posts, `{"id": "f%d", "at": "2026-01-%02dT10:00:00Z", "text": "a good post number %d #file"}`+"\n", i, 1+i%5, i)
	}
	labels.WriteString("label\ttext\n")
	for i := range 300 {
		fmt.Fprintf(&labels, "positive\ta good lovely thing %d\nnegative\tan awful broken thing %d\nneutral\tthe thing opens at %d\n", i, i, i)
	}
	for name, text := range map[string][]byte{"feedlake.yaml": []byte(killConfig), "posts.ndjson": posts.Bytes(), "labels.tsv": labels.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func runWhole(t *testing.T, dir string) {
	t.Helper()
	if out, err := program(t, dir, "run").CombinedOutput(); err != nil {
		t.Fatalf("run: %v\n%s", err, out)
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	var all string
	for name, q := range killTables {
		if all != "" {
			all += " union all "
		}
		all += fmt.Sprintf("select '%s' as name, cast(x as varchar) as v from (%s) x", name, q)
	}
	var said bytes.Buffer
	cmd := program(t, dir, "sql", "--json", all)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sql: %v %s", err, said.String())
	}
	var rows []struct{ Name, V string }
	if err := json.Unmarshal(out, &rows); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, r := range rows {
		got[r.Name] = r.V
	}
	return got
}
