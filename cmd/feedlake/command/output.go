package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/feedlake/feedlake"
)

// printLine writes one line; an error of the terminal has nobody to be told.
func printLine(w io.Writer, s string) { _, _ = io.WriteString(w, s+"\n") }

func printf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// printError writes an error and every hint that it carries.
func printError(w io.Writer, err error) {
	printLine(w, "feedlake: "+err.Error())
	for _, h := range hints(err) {
		printLine(w, "hint: "+h)
	}
}

// hints collects the hints of an error tree, each once.
func hints(err error) []string {
	var out []string
	seen := map[string]bool{}
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		if h, ok := err.(*feedlake.HintError); ok && !seen[h.Hint] { //nolint:errorlint // the walk visits each level itself
			seen[h.Hint] = true
			out = append(out, h.Hint)
		}
		switch u := err.(type) { //nolint:errorlint // the walk visits each level itself
		case interface{ Unwrap() error }:
			walk(u.Unwrap())
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				walk(e)
			}
		}
	}
	walk(err)
	return out
}

// printJSON writes one JSON document and a newline.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// printTable writes rows under a header, for people.
func printTable(w io.Writer, header []string, rows [][]string) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = 0
	head := make(table.Row, len(header))
	for i, h := range header {
		head[i] = h
	}
	t.AppendHeader(head)
	for _, r := range rows {
		row := make(table.Row, len(r))
		for i, v := range r {
			row[i] = v
		}
		t.AppendRow(row)
	}
	t.Render()
}

// usage wraps an error of the command line.
func usage(format string, args ...any) error {
	return errors.Join(errUsage, fmt.Errorf(format, args...))
}
