// Package shapetest compares the shape of JSON that a simulator answers with the
// shape of what the platform itself was seen to answer.
package shapetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Shape is the JSON types that occur at each path, such as ".kids[]".
type Shape map[string]map[string]bool

// Of returns the shape of documents together. An array's elements share a path;
// the document itself is at the path "".
func Of(documents ...[]byte) (Shape, error) {
	s := Shape{}
	for i, d := range documents {
		var v any
		if err := json.Unmarshal(d, &v); err != nil {
			return nil, fmt.Errorf("read document %d: %w", i+1, err)
		}
		s.add("", v)
	}
	return s, nil
}

func (s Shape) add(path string, v any) {
	name := ""
	switch v := v.(type) {
	case nil:
		name = "null"
	case bool:
		name = "bool"
	case float64:
		name = "number"
	case string:
		name = "string"
	case []any:
		name = "array"
		for _, e := range v {
			s.add(path+"[]", e)
		}
	case map[string]any:
		name = "object"
		for k, e := range v {
			s.add(path+"."+k, e)
		}
	}
	if s[path] == nil {
		s[path] = map[string]bool{}
	}
	s[path][name] = true
}

// Differences lists what got has and recorded has not, a path or a type at it;
// and paths that got lacks. Of paths in without, and of what is below them, got
// need have none; a simulator may also lack a type that was recorded.
func Differences(recorded, got Shape, without ...string) []string {
	var all []string
	for _, path := range slices.Sorted(maps.Keys(got)) {
		if recorded[path] == nil {
			all = append(all, fmt.Sprintf("%q was never recorded", path))
			continue
		}
		for _, kind := range slices.Sorted(maps.Keys(got[path])) {
			if !recorded[path][kind] {
				all = append(all, fmt.Sprintf("%q is %s, recorded was %s", path, kind, strings.Join(slices.Sorted(maps.Keys(recorded[path])), " or ")))
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(recorded)) {
		if got[path] == nil && !slices.ContainsFunc(without, func(w string) bool { return below(path, w) }) {
			all = append(all, fmt.Sprintf("%q is missing", path))
		}
	}
	return all
}

func below(path, top string) bool {
	rest, ok := strings.CutPrefix(path, top)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Same fails the test for each of the Differences between documents.
func Same(t testing.TB, recorded, got [][]byte, without ...string) {
	t.Helper()
	want, err := Of(recorded...)
	if err != nil {
		t.Fatalf("recorded: %v", err)
	}
	have, err := Of(got...)
	if err != nil {
		t.Fatalf("simulated: %v", err)
	}
	for _, d := range Differences(want, have, without...) {
		t.Error(d)
	}
}
