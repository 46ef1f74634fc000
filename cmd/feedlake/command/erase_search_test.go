package command

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/serving/postgres/pgtest"
)

// everyByte calls see with all that lies below the lake and its export: the raw
// bytes of every file, and what compression hides: the values of every Parquet
// file and every DuckDB table, and the entries of every manifest.
func everyByte(t *testing.T, dir string, see func(where string, b []byte)) {
	t.Helper()
	db, err := query.Open(t.Context(), query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	dump := func(where, text string) {
		rows, err := db.Texts(t.Context(), text)
		if err != nil {
			t.Fatalf("read %s: %v", where, err)
		}
		see(where, []byte(strings.Join(rows, "\n")))
	}
	for _, root := range []string{"lake", "export"} {
		err := filepath.WalkDir(filepath.Join(dir, root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(dir, path)
			see(rel, b)
			switch filepath.Ext(path) {
			case ".parquet":
				dump(rel+" (rows)", "SELECT t::VARCHAR FROM read_parquet("+query.Quote(path)+", hive_partitioning = false) t")
			case ".avro":
				see(rel+" (entries)", inflated(t, path, b))
			case ".duckdb":
				if _, err := db.SQL().ExecContext(t.Context(), "ATTACH "+query.Quote(path)+" AS look (READ_ONLY)"); err != nil {
					return err
				}
				tables, err := db.Texts(t.Context(), `SELECT schema_name || '"."' || table_name FROM duckdb_tables() WHERE database_name = 'look'`)
				if err != nil {
					return err
				}
				for _, n := range tables {
					dump(rel+" "+n, `SELECT t::VARCHAR FROM look."`+n+`" t`)
				}
				if _, err := db.SQL().ExecContext(t.Context(), "DETACH look"); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// inflated unpacks the blocks of an Avro object container file.
func inflated(t *testing.T, path string, b []byte) []byte {
	t.Helper()
	if !bytes.HasPrefix(b, []byte("Obj\x01")) {
		t.Fatalf("%s is no Avro file", path)
	}
	r := bytes.NewReader(b[4:])
	long := func() int64 {
		n, err := binary.ReadVarint(r)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return n
	}
	take := func(n int64) []byte {
		out := make([]byte, n)
		if _, err := io.ReadFull(r, out); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return out
	}
	codec := "null"
	for n := long(); n != 0; n = long() {
		if n < 0 {
			n = -n
			long()
		}
		for range n {
			if key, value := string(take(long())), string(take(long())); key == "avro.codec" {
				codec = value
			}
		}
	}
	take(16)
	var out []byte
	for r.Len() > 0 {
		long()
		block := take(long())
		take(16)
		switch codec {
		case "null":
			out = append(out, block...)
		case "deflate":
			plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(block)))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			out = append(out, plain...)
		default:
			t.Fatalf("%s: codec %s", path, codec)
		}
	}
	return out
}

// findPlanted lists where planted things are, and in how many places it looked.
func findPlanted(t *testing.T, dir string, pg *pgtest.Server, database string) (found []string, looked int) {
	t.Helper()
	see := func(where string, b []byte) {
		looked++
		for _, p := range planted {
			if bytes.Contains(b, []byte(p)) {
				found = append(found, where+": "+p)
			}
		}
	}
	everyByte(t, dir, see)
	if pg == nil {
		return found, looked
	}
	conn, err := pgx.Connect(t.Context(), pg.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) < 6 {
		t.Fatalf("only %v are published", tables)
	}
	for _, n := range tables {
		rows, err := conn.Query(t.Context(), "SELECT t::text FROM "+n+" t")
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		see("postgres "+n, []byte(strings.Join(lines, "\n")))
	}
	return found, looked
}
