package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// moment says which snapshots a query sees: those named, those of an instant,
// and the newest otherwise.
type moment struct {
	instant   time.Time        // zero: now
	snapshots map[string]int64 // by table
}

// parseInstant reads a day, or an instant, in UTC unless it says otherwise.
func parseInstant(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// parseMoment reads "2026-01-05", "2026-01-05T06:00:00Z", or
// "raw.posts@17,marts.volume@4".
func parseMoment(text string) (moment, error) {
	m := moment{snapshots: map[string]int64{}}
	if text == "" {
		return m, nil
	}
	if t, ok := parseInstant(text); ok {
		m.instant = t
		return m, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		table, id, ok := strings.Cut(strings.TrimSpace(part), "@")
		n, err := strconv.ParseInt(id, 10, 64)
		if !ok || err != nil || table == "" {
			return m, feedlake.Hint(usage("moment %q: an instant such as 2026-01-05T06:00:00Z, or TABLE@SNAPSHOT", text),
				"feedlake lake log TABLE lists the snapshots of a table")
		}
		m.snapshots[table] = n
	}
	return m, nil
}

// snapshot is what a table shows at the moment; 0 before it held anything.
func (m moment) snapshot(ctx context.Context, l *lake.Lake, table string) (int64, error) {
	if id, ok := m.snapshots[table]; ok {
		return id, nil
	}
	if m.instant.IsZero() {
		s, err := l.Current(ctx, table)
		return s.ID, err
	}
	s, err := l.At(ctx, table, m.instant)
	if err == nil || !errors.Is(err, feedlake.ErrNotFound) {
		return s.ID, err
	}
	first, lerr := l.Snapshots(ctx, table)
	if lerr != nil {
		return 0, lerr
	}
	if len(first) > 0 && first[0].Parent != 0 { // there were others before, and they are gone
		return 0, err
	}
	return 0, nil
}

// pin shows the tables named at the shell's moment.
func (s *shell) pin(ctx context.Context, names []string) error {
	for _, n := range names {
		if s.pinned[n] || !slices.Contains(s.tables, n) {
			continue
		}
		id, err := s.at.snapshot(ctx, s.a.Lake, n)
		if err != nil {
			return fmt.Errorf("look at %s: %w", n, err)
		}
		if err := s.db.PinTable(ctx, s.a.Lake, n, id); err != nil {
			return err
		}
		s.pinned[n] = true
	}
	return nil
}

// pinFor shows what a statement needs. A folder's tables are all at hand; files
// of a bucket come to this machine first, so only those are fetched that the
// statement names.
func (s *shell) pinFor(ctx context.Context, text string) error {
	if s.a.Lake.S3() == nil {
		return s.pin(ctx, s.tables)
	}
	names, err := s.db.TableNames(ctx, text)
	if err != nil { // the statement itself will say what is wrong
		return nil //nolint:nilerr // see above
	}
	return s.pin(ctx, names)
}
