package dashboard

import (
	"net/url"
	"testing"

	"github.com/feedlake/feedlake/lake/query"
)

// FuzzFilter wants every filter that is accepted to be one condition that
// compares with exactly the values given.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		"", "source=reddit&lang=en&from=2016-10-01&to=2016-10-07", "source=%27", "source=%27%20OR%201=1--", "lang=\\%27;--", "from=2016-02-30", "from=0000-01-01", "to=9999-12-31",
		"source=%F0%9F%98%80", "source=a&source=b", "limit=7", "source=%2F%2A", "source=E%27%5Cn",
	} {
		f.Add(seed)
	}
	db, err := query.Open(f.Context(), query.Options{Threads: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := url.ParseQuery(raw)
		if err != nil {
			return // never reaches the filter
		}
		flt, err := parseFilter(q, "limit")
		if err != nil {
			return
		}
		sql := "SELECT count(*) FROM (SELECT ? AS source, ? AS lang, coalesce(try_cast(? AS DATE), DATE '2016-10-06') AS day)"
		day := flt.From
		if day == "" {
			day = flt.To
		}
		for _, c := range []struct {
			source string
			want   int
		}{{flt.Source, 1}, {flt.Source + "x", 0}} {
			if flt.Source == "" && c.want == 0 {
				continue // every source matches
			}
			var n int
			if err := db.SQL().QueryRowContext(t.Context(), sql+flt.where(true), c.source, flt.Lang, day).Scan(&n); err != nil || n != c.want {
				t.Errorf("%q matches %d rows of source %q, %v; want %d:%s", raw, n, c.source, err, c.want, flt.where(true))
			}
		}
	})
}
