package config

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
)

func TestAges(t *testing.T) {
	for text, want := range map[string]time.Duration{"1d": 24 * time.Hour, "36h": 36 * time.Hour, "": 0, "d": 0, "1": 0, "-7d": 0, "10m": 0} {
		ages, err := Source{LookAgain: []string{text}}.Ages()
		if (err == nil) != (want > 0) || err == nil && ages[0] != want {
			t.Errorf("%q: %v, %v", text, ages, err)
		}
	}
}

// TestTerms wants the platforms' terms where a policy leaves a use open, also for
// their archives, and the policy before them.
func TestTerms(t *testing.T) {
	t.Parallel()
	c, err := Parse("feedlake.yaml", t.TempDir(), []byte(`sources:
  - {name: x, kind: x, with: {query: a}}
  - {name: dump, kind: files, with: {path: "*.jsonl", shape: x}}
  - {name: own, kind: x, policy: {train: allow, redistribute: allow}, with: {query: a}}
  - {name: news, kind: hackernews}
  - {name: shut, kind: hackernews, policy: {train: deny}}
  - {name: gram, kind: instagram}
`), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	names := func(list []feedlake.Prohibition) (out []string) {
		for _, p := range list {
			rule, _, _ := strings.Cut(p.Rule, ":")
			out = append(out, p.Source+" by "+rule)
		}
		return out
	}
	if d := cmp.Diff([]string{"x by X developer guidelines", "dump by X developer guidelines", "shut by policy.train is deny in feedlake.yaml"}, names(c.Untrainable())); d != "" {
		t.Errorf("training: %s", d)
	}
	if d := cmp.Diff([]string{"x by X developer agreement", "dump by X developer agreement", "gram by Meta platform terms"}, names(c.Withheld())); d != "" {
		t.Errorf("publishing: %s", d)
	}
	for _, bad := range []string{"train: perhaps", "redistribute: no", "retain_days: -1"} {
		if _, err := Parse("feedlake.yaml", "", []byte("sources: [{name: x, kind: x, policy: {"+bad+"}}]"), os.LookupEnv); !errors.Is(err, feedlake.ErrConfig) {
			t.Errorf("policy %s: %v", bad, err)
		}
	}
}
