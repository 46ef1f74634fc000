package shapetest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/ingest/simulate/serve/shapetest"
)

func TestDifferences(t *testing.T) {
	for name, c := range map[string]struct {
		recorded, got string
		without       []string
		want          []string
	}{
		"same":           {`{"a":1,"b":[{"c":"x"}]}`, `{"b":[{"c":"y"},{"c":""}],"a":2.5}`, nil, nil},
		"unknown key":    {`{"a":1}`, `{"a":1,"b":true}`, nil, []string{`".b" was never recorded`}},
		"missing key":    {`{"a":1,"b":[1]}`, `{"a":1}`, nil, []string{`".b" is missing`, `".b[]" is missing`}},
		"left out":       {`{"a":1,"b":[{"c":1}]}`, `{"a":1}`, []string{".b"}, nil},
		"left out alike": {`{"b":1,"bc":1}`, `{}`, []string{".b"}, []string{`".bc" is missing`}},
		"another type":   {`[{"a":1},{"a":null}]`, `[{"a":"1"}]`, nil, []string{`"[].a" is string, recorded was null or number`}},
		"fewer types":    {`[{"a":1},{"a":null}]`, `[{"a":1}]`, nil, nil},
		"another root":   {`{}`, `7`, nil, []string{`"" is number, recorded was object`}},
	} {
		t.Run(name, func(t *testing.T) {
			recorded, err := shapetest.Of([]byte(c.recorded))
			if err != nil {
				t.Fatal(err)
			}
			got, err := shapetest.Of([]byte(c.got))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, shapetest.Differences(recorded, got, c.without...)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := shapetest.Of([]byte("{")); err == nil {
		t.Error("broken JSON has a shape")
	}
}
