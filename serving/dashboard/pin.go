package dashboard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// refreshEvery is the least time between two looks at the lake for newer
// snapshots.
const refreshEvery = time.Second

// Tables that the dashboard reads.
const (
	volumeTable     = "marts.volume"
	sentimentTable  = "marts.daily_sentiment"
	engagementTable = "marts.engagement"
	hashtagsTable   = "marts.trending_hashtags"
	runsTable       = "marts.pipeline_runs"
	trendsTable     = "ml.trends"
	confusionTable  = "ml.confusion"
)

func pinnedTables() []string {
	return []string{volumeTable, sentimentTable, engagementTable, hashtagsTable, runsTable, trendsTable, confusionTable}
}

// pin holds the views at one snapshot of each table. Requests read under the
// read lock, so that no view moves while one is answered.
type pin struct {
	check   sync.Mutex // one look at the lake at a time
	checked time.Time

	mu    sync.RWMutex
	state pinState
}

// pinState is the set of snapshots that the views show.
type pinState struct {
	tables  map[string]lake.Snapshot
	views   map[string]view // what the views read; of unchanged tables those of before
	columns map[string][]lake.Column
	version string    // hash of the set
	asOf    time.Time // commit of the newest snapshot
}

// read calls f with the set of snapshots that is shown, which stays while f runs.
func (s *server) read(f func(pinState) error) error {
	s.pin.mu.RLock()
	defer s.pin.mu.RUnlock()
	return f(s.pin.state)
}

// refresh moves the views on when the lake has newer snapshots. A lake that
// cannot be read leaves the views where they are, if there are any.
//
// Who comes while somebody else looks goes on with what is shown.
func (s *server) refresh(ctx context.Context) error {
	if !s.pin.check.TryLock() {
		if s.shown().version != "" {
			return nil
		}
		s.pin.check.Lock()
	}
	defer s.pin.check.Unlock()
	now := s.now()
	if !s.pin.checked.IsZero() && now.Sub(s.pin.checked) < refreshEvery && !now.Before(s.pin.checked) {
		return nil
	}
	old := s.pin.state // written below only, under check
	next, err := s.current(ctx)
	if err == nil && (next.version != old.version || !old.there()) {
		err = s.move(ctx, old, next)
	}
	if err == nil {
		s.pin.checked = now
		return nil
	}
	if s.pin.state.version == "" || ctx.Err() != nil {
		return fmt.Errorf("read lake: %w", err)
	}
	s.log.WarnContext(ctx, "dashboard keeps its snapshots", "err", err)
	s.pin.checked = now
	return nil
}

// current asks the lake for the newest snapshots.
func (s *server) current(ctx context.Context) (pinState, error) {
	next := pinState{tables: map[string]lake.Snapshot{}, columns: map[string][]lake.Column{}}
	hash := sha256.New()
	for _, table := range pinnedTables() {
		snap, err := s.o.Lake.Current(ctx, table)
		if errors.Is(err, feedlake.ErrNotFound) {
			continue
		}
		if err != nil {
			return next, err
		}
		if next.columns[table], err = s.o.Lake.Columns(ctx, table); err != nil {
			return next, err
		}
		next.tables[table] = snap
		hash.Write([]byte(table + "@" + strconv.FormatInt(snap.ID, 10) + "\n"))
		if snap.At.After(next.asOf) {
			next.asOf = snap.At
		}
	}
	next.version = hex.EncodeToString(hash.Sum(nil)[:8])
	return next, nil
}

// shown is the set of snapshots of now.
func (s *server) shown() pinState {
	s.pin.mu.RLock()
	defer s.pin.mu.RUnlock()
	return s.pin.state
}

// there reports whether all files of months are: a takedown removes them.
func (p *pinState) there() bool {
	for _, v := range p.views {
		if !v.there() {
			return false
		}
	}
	return true
}

// move makes the views of the tables that changed. Their files are made before
// anybody waits. When it breaks off, the next refresh makes all of them.
func (s *server) move(ctx context.Context, old, next pinState) error {
	next.views = map[string]view{}
	fresh := map[string]bool{}
	for table, snap := range next.tables {
		v, known := old.views[table]
		if !known || old.tables[table].ID != snap.ID || !v.there() {
			fresh[table] = true
			var err error
			if v, err = s.view(ctx, table, snap.ID); err != nil {
				return err
			}
		}
		next.views[table] = v
	}
	s.pin.mu.Lock()
	defer s.pin.mu.Unlock()
	s.pin.state = pinState{}
	for table := range fresh {
		v := next.views[table]
		if err := s.o.DB.ViewOf(ctx, readable{s.o.Lake, v.own}, table, v.cols, v.files); err != nil {
			return err
		}
		s.sweep(table, &v)
	}
	s.pin.state = next
	return nil
}
