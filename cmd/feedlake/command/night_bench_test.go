package command

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nightConfig is a whole path over one growing folder.
const nightConfig = `
lake: {dir: lake}
sources:
  - name: file
    kind: files
    with: {path: "new/*.ndjson", map: {id: id, created_at: at, text: text, author_id: author, lang: lang}}
labels:
  - {file: labels.tsv, dataset: small}
models:
  sentiment: {gate: {macro_recall: 0}}
publish:
  - {name: export, kind: export, dir: publish}
`

// postsADay is the size of a night.
const postsADay = 2500

// nightLake builds a lake of so many days by one run of the program.
func nightLake(b *testing.B, days int) string {
	b.Helper()
	dir := b.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "new"), 0o755); err != nil {
		b.Fatal(err)
	}
	labels := "label\ttext\n"
	for i := range 300 {
		labels += fmt.Sprintf("positive\ta good lovely thing %d\nnegative\tan awful broken thing %d\nneutral\tthe thing opens at %d\n", i, i, i)
	}
	for name, text := range map[string]string{"feedlake.yaml": nightConfig, "labels.tsv": labels} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	first := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -days)
	for k := range days {
		writeDay(b, dir, first.AddDate(0, 0, k))
	}
	nightRun(b, dir)
	return dir
}

// writeDay puts a day's posts into the folder that the source reads.
func writeDay(b *testing.B, dir string, day time.Time) {
	b.Helper()
	date := day.Format(time.DateOnly)
	f, err := os.Create(filepath.Join(dir, "new", date+".ndjson"))
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range postsADay {
		_, _ = fmt.Fprintf(w, `{"id":"%s-%d","at":"%sT%02d:%02d:00Z","text":"a %s post %d #tag%d @u%d","author":"u%d","lang":"en"}`+"\n",
			date, i, date, i%24, i%60, []string{"good", "bad"}[i%2], i, i*7%40, i%9, i*13%300)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// nightRun runs the program and returns its processor time.
func nightRun(b *testing.B, dir string) time.Duration {
	b.Helper()
	cmd := program(b, dir, "run", "-q")
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("run: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "nothing new: no post") {
		b.Fatalf("the night brought nothing:\n%s", out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// BenchmarkNight adds the same day to a lake of 8 days and to one of 400: the
// ratio of the processor time of the two runs is what age costs.
func BenchmarkNight(b *testing.B) {
	young, old := nightLake(b, 8), nightLake(b, 400)
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var cost [2]time.Duration
	for b.Loop() {
		for i, dir := range []string{young, old} {
			writeDay(b, dir, day)
			cost[i] += nightRun(b, dir)
		}
		day = day.AddDate(0, 0, 1)
	}
	b.ReportMetric(cost[0].Seconds()/float64(b.N), "cpu-s/young")
	b.ReportMetric(cost[1].Seconds()/float64(b.N), "cpu-s/old")
	b.ReportMetric(float64(cost[1])/float64(cost[0]), "old/young")
}
