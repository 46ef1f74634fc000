package files_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// utf16Text is a text in UTF-16 with its mark.
func utf16Text(order binary.AppendByteOrder, s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune("\uFEFF" + s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// TestDialects reads CSV as spreadsheets and databases write it, in small pages
// and from any place.
func TestDialects(t *testing.T) {
	type short struct{ ID, Text string }
	for _, c := range []struct {
		name, file, content, config string
		want                        []short
		bad                         []string
	}{
		{"UTF-16", "a.tsv", utf16Text(binary.LittleEndian, "id\tat\tt\r\n5\t1577934245\tnaïve #süß\r\n6\t1577934246\t\"say \"\"no\"\"\"\r\n"), "", []short{{"5", "naïve #süß"}, {"6", `say "no"`}}, nil},
		{"UTF-16, the other way", "a.csv", utf16Text(binary.BigEndian, "id,at,t\n5,1577934245,ü\n"), "", []short{{"5", "ü"}}, nil},
		{"UTF-16, declared", "a.csv", utf16Text(binary.BigEndian, "id,at,t\n5,1577934245,ü\n")[2:], "encoding: utf-16be\n", []short{{"5", "ü"}}, nil},
		{"UTF-16 of one letter", "a.csv", "\xff", "", nil, []string{"truncated or"}},
		{"carriage returns alone", "a.csv", "id,at,t\r5,1577934245,a\r6,1577934246,\"b, c\"\r", "", []short{{"5", "a"}, {"6", "b, c"}}, nil},
		{"one record and carriage returns", "a.csv", "id,at,t\r5,1577934245,a", "", []short{{"5", "a"}}, nil},
		{"the delimiter is said", "a.csv", "sep=;\r\nid;at;t\r\n5;1577934245;a,b\r\n", "", []short{{"5", "a,b"}}, nil},
		{"the delimiter is said behind a mark", "a.csv", "\uFEFFSEP=|\nid|at|t\n5|1577934245|a,b\n", "", []short{{"5", "a,b"}}, nil},
		{
			"backslashes", "a.csv", "id,at,t\n5,1577934245,\"he said \\\"no\\\", twice\"\n6,1577934246,\"C:\\\\\"\n7,1577934247,\"both \"\"ways\"\" \\\"here\\\"\"\n", "",
			[]short{{"5", `he said "no", twice`}, {"6", `C:\`}, {"7", `both "ways" "here"`}},
			nil,
		},
		{"backslashes that mean themselves", "a.csv", "id,at,t\n5,1577934245,\"C:\\\"\n6,1577934246,\"D:\\\"\n", "", []short{{"5", `C:\`}, {"6", `D:\`}}, nil},
		{"backslashes by declaration", "a.csv", "id,at,t\n5,1577934245,\"a \\\\ b\"\n", "escape: backslash\n", []short{{"5", `a \ b`}}, nil},
		{"quotes by declaration", "a.csv", "id,at,t\n5,1577934245,\"a \\\" b\"\n6,1577934246,c\n", "escape: quote\n", []short{{"6", "c"}}, []string{"text behind the closing quote"}},
		{"a count that cannot be read", "a.csv", "id,at,t,n\n5,1577934245,a,1.234\n", "", []short{{"5", "a"}}, []string{"likes: want a whole number, got \"1.234\""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFolder(t)
			f.write(c.file, c.content)
			for _, small := range []bool{false, true} {
				src := openSource(t, f.dir, "path: '*'\n"+c.config+plain)
				if small {
					src = files.Small(src)
				}
				posts, bad, _ := sourcetest.Drain(t, src, "")
				var got []short
				for _, p := range posts {
					got = append(got, short{p.ID, p.Text})
				}
				reasons := sourcetest.Reasons(bad)
				if d := cmp.Diff(c.want, got); d != "" || (len(c.bad) == 0) != (len(reasons) == 0) {
					t.Errorf("small %v: %s; rejects %q", small, d, reasons)
				}
				if len(c.bad) > 0 && c.bad[0] != "truncated or" && (len(reasons) != 1 || !strings.Contains(reasons[0], c.bad[0])) {
					t.Errorf("small %v: rejects %q", small, reasons)
				}
			}
			sourcetest.Run(t, func(t *testing.T) ingest.Source {
				return named{files.Small(openSource(t, f.dir, "path: '*'\n"+c.config+plain))}
			})
		})
	}
}

// TestNotes lands a post without a value that cannot be read, and says so in a
// reject that names the field and the post.
func TestNotes(t *testing.T) {
	f := newFolder(t)
	f.write("a.csv", "id,at,t,n\n5,1577934245,a,many\n1.2E+17,1577934246,b,1\n")
	got, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: '*'\n"+plain), "")
	want := []string{
		`a.csv:2 (byte 10): likes: want a whole number, got "many"; the post 5 landed without it`,
		`a.csv:3 (byte 30): id: the id 1.2E+17 was written as a number, and has lost digits: export ids as text`,
	}
	if d := cmp.Diff(want, sourcetest.Reasons(bad)); d != "" || len(got) != 1 || got[0].Likes != nil || !strings.Contains(bad[0].Payload, "many") {
		t.Errorf("%s, posts %v", d, got)
	}
}
