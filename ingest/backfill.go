package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// propBackfill, of raw.posts, is what of a source's past was read by backfills;
// the source's name follows. The live cursor is another property: a backfill
// never moves it.
const propBackfill = "feedlake.backfill."

// Backlog is what of a source's past was read by backfills, and what is under
// way.
type Backlog struct {
	Done []feedlake.Window          // disjoint, in time order
	Open map[string]feedlake.Cursor // by sliceKey: how far an unfinished slice is
}

// backlogJSON is a Backlog in a property.
type backlogJSON struct {
	Done [][2]time.Time             `json:"done,omitempty"`
	Open map[string]feedlake.Cursor `json:"open,omitempty"`
}

// ReadBacklog reads what backfills of a source have landed.
func ReadBacklog(ctx context.Context, l *lake.Lake, name string) (Backlog, error) {
	v, err := l.Property(ctx, lake.RawPosts().Name, propBackfill+name)
	if err != nil {
		return Backlog{}, fmt.Errorf("read backfills of source %s: %w", name, err)
	}
	return parseBacklog(v)
}

func parseBacklog(s string) (Backlog, error) {
	var j backlogJSON
	if s != "" {
		if err := json.Unmarshal([]byte(s), &j); err != nil {
			return Backlog{}, fmt.Errorf("read property %s: %w", propBackfill, err)
		}
	}
	b := Backlog{Open: j.Open}
	for _, d := range j.Done {
		b.Done = append(b.Done, feedlake.Window{Start: d[0], End: d[1]})
	}
	return b, nil
}

func (b Backlog) String() string {
	j := backlogJSON{Open: b.Open}
	for _, w := range b.Done {
		j.Done = append(j.Done, [2]time.Time{w.Start.UTC(), w.End.UTC()})
	}
	text, err := json.Marshal(j)
	if err != nil { // times beyond the year 9999
		return ""
	}
	return string(text)
}

// sliceKey names a slice in a Backlog.
func sliceKey(w feedlake.Window) string {
	return w.Start.UTC().Format(time.RFC3339) + "/" + w.End.UTC().Format(time.RFC3339)
}

// Missing returns those of slices that were not read to their end.
func (b Backlog) Missing(slices []feedlake.Window) []feedlake.Window {
	var out []feedlake.Window
	for _, s := range slices {
		if !b.covers(s) {
			out = append(out, s)
		}
	}
	return out
}

func (b Backlog) covers(w feedlake.Window) bool {
	return slices.ContainsFunc(b.Done, func(d feedlake.Window) bool { return within(w, d) })
}

// moved returns the backlog after some slices were read, and of one that is
// under way so much is left, from a cursor on; zero: nothing.
func (b Backlog) moved(under, left feedlake.Window, read []feedlake.Window, at feedlake.Cursor) Backlog {
	next := Backlog{Open: map[string]feedlake.Cursor{}}
	maps.Copy(next.Open, b.Open)
	delete(next.Open, sliceKey(under))
	if left != (feedlake.Window{}) {
		next.Open[sliceKey(left)] = at
	}
	all := slices.Concat(b.Done, read)
	slices.SortFunc(all, func(x, y feedlake.Window) int { return cmp.Or(x.Start.Compare(y.Start), x.End.Compare(y.End)) })
	for _, d := range all { // side by side or over each other becomes one
		if n := len(next.Done); n > 0 && !d.Start.After(next.Done[n-1].End) {
			if d.End.After(next.Done[n-1].End) {
				next.Done[n-1].End = d.End
			}
			continue
		}
		next.Done = append(next.Done, d)
	}
	return next
}

// split tells which parts of what is left were read whole, and what is left
// after them. As long as a reading is not at its end, something is left.
func split(parts []feedlake.Window, left, whole feedlake.Window) (read []feedlake.Window, rest feedlake.Window) {
	for _, p := range parts {
		switch {
		case !within(p, left):
		case within(p, whole):
			read = append(read, p)
		case rest == feedlake.Window{}:
			rest = p
		default:
			rest.End = p.End
		}
	}
	if rest == (feedlake.Window{}) {
		return nil, left
	}
	return read, rest
}

// within reports whether all of w is in an outer window.
func within(w, outer feedlake.Window) bool {
	return !w.Start.Before(outer.Start) && !w.End.After(outer.End)
}

// Merge puts windows that lie side by side together: each group is to be asked
// for as one.
func Merge(windows []feedlake.Window) [][]feedlake.Window {
	var groups [][]feedlake.Window
	for i, w := range windows {
		if i > 0 && windows[i-1].End.Equal(w.Start) {
			last := len(groups) - 1
			groups[last] = append(groups[last], w)
			continue
		}
		groups = append(groups, []feedlake.Window{w})
	}
	return groups
}

// Lengths of slices.
const (
	SliceHour  = "hour"
	SliceDay   = "day"
	SliceWeek  = "week"
	SliceMonth = "month"
)

// Slices cuts a window into UTC hours, days, weeks from Monday on, or months; the
// first and the last may be shorter.
func Slices(w feedlake.Window, every string) ([]feedlake.Window, error) {
	var next func(time.Time) time.Time
	day := func(t time.Time, n int) time.Time {
		return time.Date(t.Year(), t.Month(), t.Day()+n, 0, 0, 0, 0, time.UTC)
	}
	switch every {
	case SliceHour:
		next = func(t time.Time) time.Time { return t.Truncate(time.Hour).Add(time.Hour) }
	case SliceDay:
		next = func(t time.Time) time.Time { return day(t, 1) }
	case SliceWeek:
		next = func(t time.Time) time.Time { return day(t, 7-(int(t.Weekday())+6)%7) }
	case SliceMonth:
		next = func(t time.Time) time.Time { return time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC) }
	default:
		return nil, feedlake.Hint(fmt.Errorf("slice %q: %w", every, feedlake.ErrConfig), "hour, day, week or month")
	}
	if w.Start.IsZero() || w.End.IsZero() || !w.Start.Before(w.End) {
		return nil, feedlake.Hint(fmt.Errorf("a backfill from %s to %s: %w", w.Start.Format(time.RFC3339), w.End.Format(time.RFC3339), feedlake.ErrConfig), "it begins before it ends; the end is not part of it")
	}
	var out []feedlake.Window
	for at := w.Start.UTC(); at.Before(w.End); {
		to := next(at)
		if to.After(w.End) {
			to = w.End.UTC()
		}
		out = append(out, feedlake.Window{Start: at, End: to})
		at = to
	}
	return out, nil
}
