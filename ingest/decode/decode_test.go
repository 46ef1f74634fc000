package decode_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/decode"
	"github.com/feedlake/feedlake/ingest/decode/mapping"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func rules(t testing.TB, c decode.Config) *decode.Rules {
	t.Helper()
	c.Source = "src"
	r, err := decode.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mapped(t testing.TB) *decode.Rules {
	t.Helper()
	return rules(t, decode.Config{Network: "x", Map: map[string]mapping.Field{
		"id": {Path: "id"}, "created_at": {Path: "at", Time: mapping.Formats{"unix"}}, "text": {Path: "t"}, "likes": {Path: "n"},
	}})
}

// records are some that can be read, and one of each kind that cannot.
func records(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(`{"id":"%d","at":%d,"t":"text %d \"q\", more","n":%d}`, i, 1577934245+i, i, i))
	}
	return append(out, `{"id":"","at":1577934245}`, `{"id":"7","at":"never"}`, `{"id":"8","at":1577934245,"n":"many"}`)
}

// one decodes records one by one, as a queue tells them.
func one(d *decode.Decoder, records []string) *decode.Page {
	p := &decode.Page{Now: now}
	for _, r := range records {
		d.JSON(p, r, "topic", func() string { return "topic/0@1" })
	}
	return p
}

// whole cuts a stream and decodes its blocks by so many goroutines.
func whole(t *testing.T, r *decode.Rules, f decode.Format, text string, workers int) *decode.Page {
	t.Helper()
	f.MaxRecord = 4096
	c, err := decode.Open(t.Context(), r, f, decode.Input{
		Name: "topic", Src: strings.NewReader(text), Block: 100, Log: slog.New(slog.DiscardHandler), Packed: func() string { return "none" },
		Again: func(_ context.Context, look func(io.Reader) error) error { return look(strings.NewReader(text)) },
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []decode.Block
	for err == nil {
		var b decode.Block
		err = c.Cut(t.Context(), &b)
		blocks = append(blocks, b)
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	pages := make([]decode.Page, len(blocks))
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			d := r.Decoder()
			for i := w; i < len(blocks); i += workers {
				pages[i].Now = now
				blocks[i].Decode(d, &pages[i])
			}
		})
	}
	group.Wait()
	all := &decode.Page{Now: now}
	for _, p := range pages {
		all.Posts, all.Rejects = append(all.Posts, p.Posts...), append(all.Rejects, p.Rejects...)
	}
	return all
}

// TestOneRecordAsInAFile gives the same posts for a record alone, as from a queue,
// and for one of a file in each format, by any number of goroutines.
func TestOneRecordAsInAFile(t *testing.T) {
	t.Parallel()
	r, all := mapped(t), records(40)
	want := one(r.Decoder(), all)
	if len(want.Posts) != 41 || len(want.Rejects) != 3 {
		t.Fatalf("%d posts, %d rejects", len(want.Posts), len(want.Rejects))
	}
	var documents bytes.Buffer
	table := "id,at,t,n\n"
	for _, rec := range all {
		var doc bson.D
		if err := bson.UnmarshalExtJSON([]byte(rec), false, &doc); err != nil {
			t.Fatal(err)
		}
		b, err := bson.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		documents.Write(b)
		var row struct {
			ID, T string
			At, N any
		}
		if err := json.Unmarshal([]byte(rec), &row); err != nil {
			t.Fatal(err)
		}
		cell := func(v any) string {
			switch v := v.(type) {
			case nil:
				return ""
			case float64:
				return fmt.Sprintf("%d", int64(v))
			}
			return fmt.Sprint(v)
		}
		table += fmt.Sprintf("%s,%s,\"%s\",%s\n", row.ID, cell(row.At), strings.ReplaceAll(row.T, `"`, `""`), cell(row.N))
	}
	list := "[" + strings.Join(all, ",\n") + "]"
	for _, c := range []struct {
		f    decode.Format
		text string
	}{
		{decode.Format{Name: decode.NDJSON}, strings.Join(all, "\n") + "\n"},
		{decode.Format{Name: decode.NDJSON}, strings.Join(all, "\r\n\r\n")},
		{decode.Format{Name: decode.JSON}, list},
		{decode.Format{Name: decode.JSON, Records: "data.items"}, `{"data":{"items":` + list + `}}`},
		{decode.Format{Name: decode.BSON}, documents.String()},
		{decode.Format{Name: decode.CSV, Comma: ','}, table},
	} {
		var first *decode.Page
		for _, workers := range []int{1, 2, 7} {
			got := whole(t, r, c.f, c.text, workers)
			if first == nil {
				first = got
			}
			if d := cmp.Diff(first, got); d != "" {
				t.Errorf("%s, %d workers: %s", c.f.Name, workers, d)
			}
			plain := slices.Clone(got.Posts)
			for i := range plain {
				plain[i].Payload = want.Posts[i].Payload // as each format spells it
			}
			if d := cmp.Diff(want.Posts, plain); d != "" || len(got.Rejects) != len(want.Rejects) {
				t.Errorf("%s: %d rejects, %s", c.f.Name, len(got.Rejects), d)
			}
		}
	}
}

// TestPlaces says where rejects stand, with what a shape adds to it, and asks for no
// place else.
func TestPlaces(t *testing.T) {
	t.Parallel()
	asked := 0
	at := func() string { asked++; return "topic/3@42" }
	p := &decode.Page{Now: now}
	d := mapped(t).Decoder()
	d.JSON(p, `{"id":"1","at":1577934245}`, "topic", at)
	if asked != 0 || p.Posts[0].Query != "topic" || p.Posts[0].Network != "x" || p.Posts[0].Source != "src" {
		t.Errorf("asked %d times; %+v", asked, p.Posts[0])
	}
	d.JSON(p, `{"id":`, "topic", at)
	d.BSON(p, []byte{9, 0, 0, 0, 1}, "topic", at)
	d.JSON(p, `1577934245123`, "topic", at)
	chat := rules(t, decode.Config{Shape: "telegram"}).Decoder()
	chat.JSON(p, `{"name":"a","type":"public_channel","id":1,"messages":[{"id":1,"type":"message"}]}`, "topic", at)
	want := []string{"topic/3@42", "topic/3@42", "topic/3@42", "topic/3@42, message 1"}
	var got []string
	for _, r := range p.Rejects {
		got = append(got, r.Position)
	}
	if d := cmp.Diff(want, got); d != "" || asked != len(want) {
		t.Errorf("asked %d times: %s", asked, d)
	}
}

// TestCompile refuses what cannot be right, with the key.
func TestCompile(t *testing.T) {
	t.Parallel()
	id := map[string]mapping.Field{"id": {Path: "id"}, "created_at": {Path: "at"}}
	for says, c := range map[string]decode.Config{
		"network:":             {Map: id, Network: "myspace"},
		"shape: \"xx\"":        {Shape: "xx"},
		"shape and map":        {Shape: "x", Map: id},
		"shape and network":    {Shape: "x", Network: "x"},
		"map.id: missing":      {},
		"map.tex: no such":     {Map: map[string]mapping.Field{"id": {Path: "id"}, "created_at": {Path: "at"}, "tex": {Path: "t"}}},
		"unescape_html: \"id2": {Map: id, UnescapeHTML: []string{"id2"}},
	} {
		if _, err := decode.Compile(c); !errors.Is(err, feedlake.ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
