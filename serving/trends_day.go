package serving

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// smallestP bounds p-values away from 0, so that a score stays finite.
const smallestP = 1e-300

// mark fills scores, q-values and what trends. The q-values are those of
// Benjamini and Hochberg (1995) over all rows together: the smallest
// false-discovery rate at which a row would be called a trend.
func mark(rows []TrendRow, authors int64) {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rows[a].PValue, rows[b].PValue) })
	least := 1.0
	for rank := len(order); rank >= 1; rank-- {
		r := &rows[order[rank-1]]
		r.PValue = min(max(r.PValue, smallestP), 1)
		least = min(least, r.PValue*float64(len(rows))/float64(rank))
		r.QValue = least
		r.Score = math.Abs(-math.Log10(r.PValue))
		enough := r.Observed >= TrendingPosts && (r.authors == 0 || r.authors >= authors)
		r.Trending = r.QValue <= TrendingQ && enough
	}
}

// leadHours is how far the past of an hour reaches.
const leadHours = 28 * 24

// dayTag is one hashtag of one partition, with its rows.
type dayTag struct {
	rows        []*TrendRow
	trending    bool
	score       float64
	posts       int64
	firstKnown  int64   // hour in which the source began, as far as the past reaches
	hoursAt     []int64 // those of the day without posts
	expectedDay float64
}

// leaders lists the hashtags of a partition that lead its day, in the order of
// marts.trending_hashtags.
func leaders(rows []TrendRow) []*dayTag {
	byTag := map[string]*dayTag{}
	var all []*dayTag
	began := int64(math.MaxInt64)
	for i := range rows {
		r := &rows[i]
		d := byTag[r.Hashtag]
		if d == nil {
			d = &dayTag{}
			byTag[r.Hashtag] = d
			all = append(all, d)
		}
		d.rows = append(d.rows, r)
		d.trending = d.trending || r.Trending
		d.score = max(d.score, r.Score)
		d.posts += r.Observed
		began = min(began, hourOf(r)-r.known)
	}
	slices.SortFunc(all, func(a, b *dayTag) int {
		if a.trending != b.trending {
			if a.trending {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.posts, a.posts), strings.Compare(a.rows[0].Hashtag, b.rows[0].Hashtag))
	})
	all = all[:min(len(all), LeadingTags)]
	for _, d := range all {
		d.firstKnown = began
	}
	return all
}

func hourOf(r *TrendRow) int64 { return r.Hour.Unix() / 3600 }

// wholeDays fills ExpectedDay of the leading hashtags: what was expected in the
// hours with posts, and in those without, from the hour in which the source
// began. An hour of silence counts as much as any other, or a hashtag that is
// seldom seen would always seem to surpass what was expected.
func (t *trending) wholeDays(ctx context.Context, parts []lake.Partition, rows [][]TrendRow) error {
	var tags []*dayTag
	names := map[string]bool{}
	for i := range rows {
		for _, d := range leaders(rows[i]) {
			d.silence()
			names[d.rows[0].Hashtag] = true
			tags = append(tags, d)
		}
	}
	if len(tags) == 0 {
		return nil
	}
	past, active, err := t.past(ctx, parts, names)
	if err != nil {
		return err
	}
	slices.SortStableFunc(tags, func(a, b *dayTag) int { return cmp.Compare(a.rows[0].ModelVersion, b.rows[0].ModelVersion) })
	for from := 0; from < len(tags); {
		version := tags[from].rows[0].ModelVersion
		var hours []Hour
		to := from
		for ; to < len(tags) && tags[to].rows[0].ModelVersion == version && len(hours) < expectHours; to++ {
			hours = append(hours, tags[to].describe(t.models[int(version)], past, active)...)
		}
		got, err := ask(ctx, t.models[int(version)], hours)
		if err != nil {
			return err
		}
		for _, d := range tags[from:to] {
			for _, g := range got[:len(d.hoursAt)] {
				d.expectedDay += g.Mean
			}
			got = got[len(d.hoursAt):]
			for _, r := range d.rows {
				r.ExpectedDay = &d.expectedDay
			}
		}
		from = to
	}
	return nil
}

// describe gives the silent hours of the day.
func (d *dayTag) describe(m CountModel, past map[string][]HourPosts, active []int64) []Hour {
	from := d.rows[0].dayStart() - leadHours
	series := past[d.rows[0].Hashtag]
	lo, _ := slices.BinarySearchFunc(series, from, func(h HourPosts, at int64) int { return cmp.Compare(h.Hour, at) })
	first, _ := slices.BinarySearch(active, from)
	return m.Describe(series[lo:], active[first:], d.hoursAt)
}

func (r *TrendRow) dayStart() int64 { return int64(r.Day) * 24 }

// silence lists the hours of the day without the hashtag, and begins the sum
// with those that have it.
func (d *dayTag) silence() {
	seen := map[int64]bool{}
	for _, r := range d.rows {
		seen[hourOf(r)] = true
		d.expectedDay += r.Expected
	}
	for h := d.rows[0].dayStart(); h < d.rows[0].dayStart()+24; h++ {
		if h >= d.firstKnown && !seen[h] {
			d.hoursAt = append(d.hoursAt, h)
		}
	}
}

// past reads the hours with posts of some hashtags, and the hours in which their
// source had any, over the days of the parts and the 28 before.
func (t *trending) past(ctx context.Context, parts []lake.Partition, names map[string]bool) (map[string][]HourPosts, []int64, error) {
	source, first := place(parts[0])
	_, last := place(parts[len(parts)-1])
	since := shift(first, -28)
	files := filesOf(t.files, func(f lake.File) bool {
		s, day := place(f.Partition)
		return s == source && day >= since && day <= last
	})
	if err := t.DB.ViewOf(ctx, t.Lake, "scoring.past", t.cols, files); err != nil {
		return nil, nil, err
	}
	var list []string
	for n := range names {
		list = append(list, query.Quote(n))
	}
	slices.Sort(list)
	past := map[string][]HourPosts{}
	err := t.scan(ctx, "select hashtag, epoch_us(hour) // 3600000000, posts from scoring.past where hashtag in ("+strings.Join(list, ", ")+") order by 1, 2",
		func(tag string, hour, posts int64) { past[tag] = append(past[tag], HourPosts{hour, posts}) })
	if err != nil {
		return nil, nil, err
	}
	// A row tells two hours in which its source was active: its own, and the first.
	var active []int64
	err = t.scan(ctx, `select '', h, 0 from (select epoch_us(hour) // 3600000000 as h, hours_known from scoring.past group by all) x
		union select '', h - hours_known, 0 from (select epoch_us(hour) // 3600000000 as h, hours_known from scoring.past group by all) y order by 2`,
		func(_ string, hour, _ int64) { active = append(active, hour) })
	return past, active, err
}

func (t *trending) scan(ctx context.Context, sql string, each func(string, int64, int64)) (err error) {
	rows, err := t.DB.SQL().QueryContext(ctx, sql)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var tag string
		var a, b int64
		if err := rows.Scan(&tag, &a, &b); err != nil {
			return err
		}
		each(tag, a, b)
	}
	return rows.Err()
}

// chunkDays and chunkRows bound the days of one source that are made together:
// their look-back is read once for all of them.
const (
	chunkDays = 28
	chunkRows = 200_000
)

// chunks parts partitions into runs of days of one source.
func (t *trending) chunks(todo []lake.Partition) (out [][]lake.Partition) {
	rows := map[lake.Partition]int64{}
	for _, f := range t.files {
		rows[f.Partition] += f.Rows
	}
	slices.SortFunc(todo, func(a, b lake.Partition) int {
		sa, da := place(a)
		sb, db := place(b)
		if c := strings.Compare(sa, sb); c != 0 {
			return c
		}
		return strings.Compare(da, db)
	})
	sum, from := int64(0), ""
	for i, p := range todo {
		source, day := place(p)
		before, _ := place(todo[max(i-1, 0)])
		if i == 0 || source != before || sum+rows[p] > chunkRows || day > shift(from, chunkDays-1) {
			out, sum, from = append(out, nil), 0, day
		}
		out[len(out)-1] = append(out[len(out)-1], p)
		sum += rows[p]
	}
	return out
}

// place is the source and the day of a partition.
func place(p lake.Partition) (source, day string) {
	source, _ = p.Value("source")
	day, _ = p.Value("day")
	return source, day
}

// shift moves a day; what is no day stays.
func shift(day string, days int) string {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return at.AddDate(0, 0, days).Format(time.DateOnly)
}
