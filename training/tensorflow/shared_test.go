package tensorflow_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/feedlake/feedlake/training"
)

// tweets reads a file of labelled tweets from the shared real data, which lies
// outside the repository. Where it is absent the test is skipped, but not in CI.
func tweets(tb testing.TB, name string) []training.Example {
	tb.Helper()
	root := os.Getenv("FEEDLAKE_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(root, "data", "sentiment", "tweets", name)
	f, err := os.Open(path)
	if err != nil {
		if os.Getenv("CI") != "" {
			tb.Fatalf("real data must be there in CI: %v", err)
		}
		tb.Skipf("real data is absent: %v", err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	}()
	format, err := training.FormatOf(path)
	if err != nil {
		tb.Fatal(err)
	}
	var out []training.Example
	err = training.ReadLabels(f, name, format, training.LabelColumns{Label: "label", Text: "text"},
		func(l training.Labelled) error {
			out = append(out, training.Example{Text: l.Text, Label: l.Label})
			return nil
		},
		func(b training.BadLabel) { tb.Errorf("%s:%d: %s", name, b.Line, b.Reason) })
	if err != nil {
		tb.Fatal(err)
	}
	return out
}
