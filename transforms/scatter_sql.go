package transforms

import (
	"strings"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// newest orders the versions of one post, the one that holds first. features.posts
// has the same order (TestOneOrderOfVersions): what was seen last, of what was seen
// at one moment a deletion, then what was read last. Versions whose record does not
// tell when it was seen come after all that do.
const newest = `observed_at desc nulls last, case when deleted then 0 else 1 end, run_id desc nulls last, seq desc nulls last, ` +
	`likes desc nulls last, reposts desc nulls last, replies desc nulls last, views desc nulls last, text desc nulls last, uri desc nulls last, created_at desc`

// content lists the columns that a row takes over from the version that won.
func content() []string {
	var names []string
	for _, c := range lake.Scattered().Columns {
		switch c.Name {
		case "source", "id", "day", "shown", "copy", "versions":
		default:
			names = append(names, c.Name)
		}
	}
	return names
}

// The tables of the schema scatter, each made from those before it:
//
//	sources   source, grp: sources of one network are one group
//	posts     a view over all live files of raw.posts
//	added     a view over the files that came since the last time
//	rows      a view over features.scattered
//	known     a view over its partitions that changed in raw.posts
//	touched   grp, id: the posts that may have changed their place
//	spread    grp, id: of them, those in more than one partition now
//	versions  all their versions, without those of an earlier reading
//	fresh     their new rows of features.scattered
//	stale     the partitions of features.scattered where touched posts stand or stood
//	next      the rows that these partitions shall have
const (
	touchedSQL = `create or replace table scatter.touched as
select distinct s.grp, p.id from scatter.added p join scatter.sources s on s.source = p.source
union
select distinct s.grp, p.id from scatter.known p join scatter.sources s on s.source = p.source`

	spreadSQL = `create or replace table scatter.spread as
select grp, id from (
  select s.grp, p.id, p.source, cast(p.created_at as date) as on_day
  from scatter.posts p join scatter.sources s on s.source = p.source
  where {touched}
) x
group by grp, id
having min(source) <> max(source) or min(on_day) <> max(on_day)`

	placesSQL = `select distinct p.source || chr(10) || cast(cast(p.created_at as date) as varchar)
from scatter.posts p join scatter.sources s on s.source = p.source
semi join scatter.spread t on t.grp = s.grp and t.id = p.id`

	versionsSQL = `create or replace table scatter.versions as
select * from (
  select s.grp, p.source, p.id, cast(p.created_at as date) as on_day, coalesce(p.deleted, false) as deleted, p.run_id, p.seq, {columns},
         coalesce(p.reading, 0) = max(coalesce(p.reading, 0)) over (partition by p.source, p.id) as current
  from scatter.places p join scatter.sources s on s.source = p.source
  semi join scatter.spread t on t.grp = s.grp and t.id = p.id
) x`

	freshSQL = `create or replace table scatter.fresh as
with won as (
  select * from (
    select *, row_number() over (partition by grp, id order by {newest}, source) as place from scatter.versions where current
  ) x where place = 1
), shows as (
  select grp, id, source, source <> min(source) over (partition by grp, id) as copy
  from (select distinct grp, id, source from scatter.versions where current and not deleted) x
), counted as (
  select grp, id, count(*) as versions from scatter.versions group by grp, id
), shown as (
  select s.source, w.id, w.on_day as day, s.copy, n.versions, {won}
  from won w join shows s on s.grp = w.grp and s.id = w.id join counted n on n.grp = w.grp and n.id = w.id
  where not w.deleted
)
select source, id, day, true as shown, copy, versions, {columns} from shown
union all by name
select distinct v.source, v.id, v.on_day as day, false as shown
from scatter.versions v anti join shown s on s.source = v.source and s.id = v.id and s.day = v.on_day`

	staleSQL = `create or replace table scatter.stale as
select distinct source, day from scatter.fresh
union
select distinct p.source, p.day from scatter.rows p join scatter.sources s on s.source = p.source where {touched}`

	nextSQL = `create or replace table scatter.next as
select {all} from scatter.fresh
union all
select {all} from scatter.rows p join scatter.sources s using (source)
semi join scatter.stale d on d.source = p.source and d.day = p.day
where not ({touched})
order by source, day, id`

	// A partition whose rows came out equal is not written again.
	movedSQL = `with old as (
  select {all} from scatter.rows p semi join scatter.stale d on d.source = p.source and d.day = p.day
)
select source || chr(10) || cast(day as varchar) from (
  (select * from old except all select {all} from scatter.next) union all (select {all} from scatter.next except all select * from old)
) x group by source, day order by source, day`
)

// spelled fills in what a statement leaves open. all: every post counts as touched.
func spelled(statement string, all bool) string {
	names := content()
	of := func(alias string) string {
		out := make([]string, len(names))
		for i, n := range names {
			out[i] = alias + query.Ident(n)
		}
		return strings.Join(out, ", ")
	}
	every := make([]string, 0, len(names))
	for _, c := range lake.Scattered().Columns {
		every = append(every, query.Ident(c.Name))
	}
	touched := "(s.grp, p.id) in (select (grp, id) from scatter.touched)"
	if all {
		touched = "true"
	}
	return strings.NewReplacer("{newest}", newest, "{columns}", of(""), "{won}", of("w."), "{all}", strings.Join(every, ", "), "{touched}", touched).Replace(statement)
}
