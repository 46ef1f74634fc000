package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// Shard is a part of the partitions of a table: the Index-th of Of, by the hash of
// their names. The zero Shard is all of them.
type Shard struct{ Index, Of int }

// Holds reports whether a partition is in the shard.
func (s Shard) Holds(p lake.Partition) bool {
	if s.Of == 0 {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(p))
	return int(h.Sum32()%uint32(s.Of)) == s.Index //nolint:gosec // the number of shards is small
}

// suffix tells the properties of a shard from those of the whole.
func (s Shard) suffix() string {
	if s.Of == 0 {
		return ""
	}
	return fmt.Sprintf(".shard-%d-of-%d", s.Index, s.Of)
}

// scoredShards changes with every commit of a shard, so that a scoring of the whole
// that began before lands nothing twice.
const scoredShards = scoredTicket + ".shards"

// tickets reads what must still hold when a scoring commits: nobody else has
// landed rows of its partitions.
func (s *scoring) tickets(ctx context.Context) error {
	s.expect = map[string]string{}
	keys := []string{scoredTicket, scoredTicket + s.Shard.suffix()}
	if s.Shard.Of == 0 {
		keys = []string{scoredTicket, scoredShards}
	}
	for _, key := range keys {
		value, err := s.Lake.Property(ctx, scoredTable, key)
		if err != nil {
			return err
		}
		s.expect[key] = value
	}
	return nil
}

// renew are the tickets that a commit changes.
func (s *scoring) renew(ticket string) map[string]string {
	if s.Shard.Of == 0 {
		return map[string]string{scoredTicket: ticket}
	}
	return map[string]string{scoredTicket + s.Shard.suffix(): ticket, scoredShards: ticket}
}

// finish says in the table that every post of the snapshot has a row: in the
// partitions of the shard, and in all once the last shard says so. The whole
// forgets the shards.
func (s *scoring) finish(ctx context.Context) error {
	for {
		set, others, err := s.finished(ctx)
		if err != nil {
			return err
		}
		maps.Copy(s.expect, others)
		err = s.commit(ctx, set)
		for key := range others {
			delete(s.expect, key)
		}
		if !errors.Is(err, feedlake.ErrConflict) || s.Shard.Of == 0 {
			return err
		}
		for key, value := range s.expect { // somebody took this one's place, or another shard has ended meanwhile
			now, perr := s.Lake.Property(ctx, scoredTable, key)
			if perr != nil || now != value {
				return errors.Join(err, perr)
			}
		}
	}
}

// finished is the state to set, and what it was derived from.
func (s *scoring) finished(ctx context.Context) (set, others map[string]string, err error) {
	own, err := json.Marshal(scored{s.Version, s.res.Snapshot, scoredShape})
	if err != nil {
		return nil, nil, err
	}
	all, err := s.Lake.Properties(ctx, scoredTable, s.state()+".shard-")
	if err != nil {
		return nil, nil, err
	}
	set, others = map[string]string{}, map[string]string{}
	if s.Shard.Of == 0 {
		for key := range all {
			set[s.state()+".shard-"+key] = ""
		}
		set[s.state()] = string(own)
		return set, others, nil
	}
	set[s.state()+s.Shard.suffix()] = string(own)
	oldest := scored{s.Version, s.res.Snapshot, scoredShape}
	for i := range s.Shard.Of {
		if i == s.Shard.Index {
			continue
		}
		key := s.state() + Shard{i, s.Shard.Of}.suffix()
		value, err := s.Lake.Property(ctx, scoredTable, key)
		if err != nil {
			return nil, nil, err
		}
		others[key] = value
		var other scored
		if value == "" || json.Unmarshal([]byte(value), &other) != nil || other.Snapshot != oldest.Snapshot || other.Shape != scoredShape {
			oldest.Snapshot = 0 // it is missing, or knows other posts: the whole is not said to be complete
		}
	}
	if oldest.Snapshot == 0 {
		return set, others, nil
	}
	for key := range others {
		set[key] = ""
	}
	set[s.state()+s.Shard.suffix()] = ""
	set[s.state()] = string(own)
	return set, others, nil
}
