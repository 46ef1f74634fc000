package serve_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest/wire/wiretest"
)

// lexicons are schemas of atproto (atproto.com/specs/lexicon), by name.
type lexicons map[string]map[string]any

// readLexicons reads the recorded ones.
func readLexicons(t *testing.T) lexicons {
	t.Helper()
	all := lexicons{}
	for name, raw := range wiretest.Glob(t, filepath.Join("bluesky", "lexicons"), "*.json") {
		var l struct{ Defs map[string]any }
		if err := json.Unmarshal([]byte(raw), &l); err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(name, ".json")] = l.Defs
	}
	return all
}

// check holds v against a schema of the lexicon named in, and returns what is
// wrong: the subset of lexicons that feeds are made of. What is not recorded is
// not checked.
func (l lexicons) check(in string, schema map[string]any, v any, path string) []string {
	wrong := func(format string, args ...any) []string { return []string{path + ": " + fmt.Sprintf(format, args...)} }
	switch schema["type"] {
	case "ref":
		ref, _ := schema["ref"].(string)
		return l.named(in, ref, v, path)
	case "union":
		o, ok := v.(map[string]any)
		kind, _ := o["$type"].(string)
		refs, _ := schema["refs"].([]any)
		switch {
		case !ok || kind == "":
			return wrong("a union without $type")
		case !slices.ContainsFunc(refs, func(r any) bool { s, _ := r.(string); return absolute(in, s) == kind }):
			return wrong("%s is none of %v", kind, refs)
		}
		return l.named(in, kind, v, path)
	case "object", "record":
		return l.object(in, schema, v, path)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return wrong("%T, want a list", v)
		}
		items, _ := schema["items"].(map[string]any)
		var out []string
		for i, e := range list {
			out = append(out, l.check(in, items, e, fmt.Sprintf("%s[%d]", path, i))...)
		}
		return out
	case "integer":
		if n, ok := v.(float64); !ok || n != float64(int64(n)) {
			return wrong("%v, want a whole number", v)
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return wrong("%T, want a truth", v)
		}
	case "string":
		s, ok := v.(string)
		format, _ := schema["format"].(string)
		if !ok || !formed(format, s) {
			return wrong("%v, want a string of format %q", v, format)
		}
	}
	return nil
}

func (l lexicons) object(in string, schema map[string]any, v any, path string) []string {
	if record, ok := schema["record"].(map[string]any); ok {
		schema = record
	}
	o, ok := v.(map[string]any)
	if !ok {
		return []string{fmt.Sprintf("%s: %T, want an object", path, v)}
	}
	var out []string
	required, _ := schema["required"].([]any)
	for _, r := range required {
		if name, _ := r.(string); o[name] == nil {
			out = append(out, path+": lacks "+name)
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, e := range o {
		p, ok := properties[name].(map[string]any)
		switch {
		case name == "$type":
		case !ok:
			out = append(out, path+": "+name+" is not in the schema")
		case p["type"] == "unknown": // a record says itself what it is
			inner, _ := e.(map[string]any)
			kind, _ := inner["$type"].(string)
			out = append(out, l.named(in, kind, e, path+"."+name)...)
		default:
			out = append(out, l.check(in, p, e, path+"."+name)...)
		}
	}
	return out
}

// absolute is a reference with the lexicon that it is relative to.
func absolute(in, ref string) string {
	if strings.HasPrefix(ref, "#") {
		return in + ref
	}
	return ref
}

func (l lexicons) named(in, ref string, v any, path string) []string {
	name, def, ok := strings.Cut(absolute(in, ref), "#")
	if !ok {
		def = "main"
	}
	schema, ok := l[name][def].(map[string]any)
	if !ok {
		return nil // not recorded
	}
	return l.check(name, schema, v, path)
}

func formed(format, s string) bool {
	switch format {
	case "at-uri":
		return strings.HasPrefix(s, "at://did:") && strings.Count(s, "/") == 4
	case "did":
		return strings.HasPrefix(s, "did:plc:") && len(s) == 32
	case "cid":
		return strings.HasPrefix(s, "bafyrei") && len(s) == 59
	case "handle":
		return strings.Count(s, ".") >= 1 && !strings.ContainsAny(s, "_ @")
	case "datetime":
		_, err := time.Parse(time.RFC3339Nano, s)
		return err == nil
	}
	return s != "" || format == ""
}
