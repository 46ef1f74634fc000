package training_test

import (
	"testing"

	"github.com/feedlake/feedlake/lake"
)

// TestErasedLabelStaysOut imports a changed set once more after one of its texts
// was taken down.
func TestErasedLabelStaysOut(t *testing.T) {
	l, _ := openLake(t)
	ctx := t.Context()
	if err := l.Ensure(ctx, lake.Erased()); err != nil {
		t.Fatal(err)
	}
	const id = "2d711642b726b044" // of the text x, which has no id of its own
	if _, err := l.AddErasures(ctx, []lake.Erasure{{Kind: lake.ErasedLabel, Source: "set", Hash: lake.ErasedHash("set", id), At: noon, RunID: "r"}}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		dataset, text string
		added, erased int
	}{
		{"set", "label\ttext\npositive\tx\nneutral\ty\n", 1, 1},
		{"other", "label\ttext\npositive\tx\n", 1, 0},
		{"set", "label\ttext\npositive\tx\n", 0, 1},
	} {
		res, err := importText(ctx, l, step.dataset, step.text)
		if err != nil || res.Added != step.added || res.Erased != step.erased {
			t.Errorf("%s: %+v, %v", step.dataset, res, err)
		}
	}
}
