package transforms

import (
	"errors"
	"strings"
	"testing"

	"github.com/feedlake/feedlake"
)

// TestShape holds SELECTs whose rows depend on rows of one key against those that
// look further, for the key source, id.
func TestShape(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sql, want string }{
		{"select source, id, lower(text) as t from features.posts where lang is distinct from 'en' and id in ('a', 'b')", ""},
		{"select source, id, kind, count(*) as n, count(distinct word) as w from features.posts group by source, id, kind having count(*) > 1", ""},
		{"with a as (select * from features.posts) select a.source, a.id, row_number() over (partition by a.id, a.source, lang order by t) as n from a", ""},
		{"select a.id from x a join (select distinct source, id from y where count > 1) b on a.source = b.source and b.id = a.id where true", ""},
		{"select id from x left join y using (id, source)", ""},
		{"select p.id from x p left join ml.confusion c on c.version = p.version", ""},
		{"select id from x union all select max(a) from x group by id, source", ""},
		{"select first_of, id from x -- count(*) limit 3\nwhere t = 'group by'", ""},
		{"select id, count(*) from x group by id", "a GROUP BY without source"},
		{"select id, count(*) from x group by all", "a GROUP BY without source"},
		{"select max(t) from x", "an aggregate without GROUP BY"},
		{"select id from x union all select max(a) from x", "an aggregate without GROUP BY"},
		{"with a as (select max(t) as m from x) select id from x", "an aggregate without GROUP BY"},
		{"select count(*) over (partition by source, day) from x", "a PARTITION BY without id"},
		{"select count(*) over () from x", "a window over all rows"},
		{"select count(*) over w from x window w as (partition by id)", "a window over all rows"},
		{"select distinct lang, id from x", "a DISTINCT without source"},
		{"select id from x union select id from x", "a UNION that drops rows which are alike"},
		{"select id from x limit 3", "LIMIT"},
		{"select id from x where exists (select 1 from y)", "a subquery in an expression"},
		{"select id from x where (source, id) in (select source, id from y)", "a subquery in an expression"},
		{"select a.id from x a join x b on a.id = b.id", "a join without equal source"},
		{"select a.id from x a join x b on a.source = b.source and a.id = a.id", "a join without equal id"},
		{"select a.id from x a join x b on a.source = b.source and a.id = b.id or true", "a join with OR"},
		{"select a.id from x a, x b where a.source = b.source and a.id = b.id", "a join of all rows"},
		{"select a.id from x a cross join y b", "CROSS"},
		{"select a.id from x a full join y b on a.source = b.source and a.id = b.id", "FULL"},
	} {
		var got []string
		for _, f := range shapeFaults(c.sql, []string{"source", "id"}, []string{"ml.confusion"}) {
			got = append(got, f.what)
		}
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) == 0 || got[0] != c.want) {
			t.Errorf("%s:\ngot %q, want %q", c.sql, got, c.want)
		}
	}
}

// TestGrowthIsRefused: a head that says what the model does not do is an error
// with its place.
func TestGrowthIsRefused(t *testing.T) {
	t.Parallel()
	head := func(inputs, rest string) string {
		return "-- model: features.m\n-- inputs: " + inputs + "\n-- partition: source, day\n-- key: source, id\n" + rest + "\n"
	}
	rows := head("raw.posts", "-- grows: rows")
	for _, c := range []struct{ name, text, want string }{
		{"unknown", head("raw.posts", "-- grows: days") + "select 1", `m.sql:5: growth "days" is not known`},
		{"an aggregate", rows + "select source,\n  max(id) as id\nfrom raw.posts", "m.sql:8: the head says 'grows: rows': the SELECT has an aggregate"},
		{"a window", rows + "select count(*) over (partition by text) as copies from raw.posts", "m.sql:7: the head says 'grows: rows': the SELECT has a PARTITION BY without source"},
		{"two inputs", head("raw.posts, ml.labels", "-- grows: rows") + "select 1", "it reads raw.posts and ml.labels"},
		{"a look-back", head("raw.posts back=3d", "-- grows: rows") + "select 1", "input raw.posts has a look-back"},
		{"rows that land again", head("raw.rejects", "-- grows: rows") + "select 1", "rows of raw.rejects may land again"},
		{"lookups alone", head("ml.confusion lookup", "-- grows: rows") + "select 1", "it has lookups alone"},
		{"another key", strings.Replace(rows, "key: source, id", "key: id", 1) + "select 1", "source is not in (id), which is to be unique"},
		{"another unique check", rows + "-- check: unique(id)\n\nselect 1", "source is not in (id), which is to be unique"},
		{"no partitions", strings.Replace(rows, "-- partition: source, day\n", "", 1) + "select 1", "the table has no partitions"},
		{"hours without day", strings.Replace(head("raw.posts", "-- grows: hours"), "source, day", "source", 1) + "select 1", "not partitioned by day"},
		{"hours without hour", head("raw.posts", "-- grows: hours") + "select 1", "hour is not in (source, id), which is to be unique"},
		{"a day's total", strings.Replace(head("features.posts", "-- grows: hours"), "id", "hour", 1) + "select count(*) over (partition by day) from raw.posts", "a PARTITION BY without hour"},
	} {
		_, err := Load(files("m.sql", strings.Replace(c.text, "\nselect", "\n\nselect", 1)), "features.posts")
		if !errors.Is(err, feedlake.ErrConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}
