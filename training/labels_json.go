package training

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

func readLabelJSON(r io.Reader, name string, cols LabelColumns, good func(Labelled) error, bad func(BadLabel)) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLabelLine)
	for line := 1; sc.Scan(); line++ {
		if strings.TrimSpace(sc.Text()) == "" {
			continue
		}
		var rec map[string]json.RawMessage
		if err := json.Unmarshal(sc.Bytes(), &rec); err != nil {
			bad(BadLabel{line, "not a JSON object: " + err.Error()})
			continue
		}
		get := func(c string) string { return plainJSON(rec[c]) }
		if err := useLabel(Labelled{ID: get(cols.ID), Text: get(cols.Text), Lang: get(cols.Lang)}, get(cols.Label), line, good, bad); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("labels %s: %w", name, tooLong(err))
	}
	return nil
}

// plainJSON is a JSON value as a text: what a text says, every other value as it
// is written, since an id of many digits is no float; null and nothing are empty.
func plainJSON(v json.RawMessage) string {
	var s string
	if len(v) > 0 && v[0] == '"' && json.Unmarshal(v, &s) == nil {
		return s
	}
	if string(v) == "null" {
		return ""
	}
	return string(v)
}
