package serving

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// chooseVersion opens a version once; where it cannot be used any more, the one
// in use stands in for it.
func chooseVersion[M any](ctx context.Context, opened map[int]M, version, inUse int, open func(context.Context, int) (M, error)) (int, M, error) {
	if m, ok := opened[version]; ok {
		return version, m, nil
	}
	m, err := open(ctx, version)
	if err != nil && unjudged(err) && version != inUse {
		return chooseVersion(ctx, opened, inUse, inUse, open)
	}
	if err == nil {
		opened[version] = m
	}
	return version, m, err
}

func filesOf(all []lake.File, want func(lake.File) bool) (out []lake.File) {
	for _, f := range all {
		if want(f) {
			out = append(out, f)
		}
	}
	return out
}

// unjudged reports that a version cannot be opened any more.
func unjudged(err error) bool {
	return errors.Is(err, feedlake.ErrNotFound) || errors.Is(err, feedlake.ErrConfig)
}

// changedSince lists the partitions of the input that changed from the snapshot
// that the output's state names to now. No state, or a snapshot that is gone,
// means every partition.
func changedSince(ctx context.Context, l *lake.Lake, input, output, key string, now int64) (list []lake.Partition, was scored, err error) {
	text, err := l.Property(ctx, output, key)
	if err != nil {
		return nil, was, err
	}
	if text != "" && json.Unmarshal([]byte(text), &was) != nil {
		was = scored{}
	}
	list, err = l.Changed(ctx, input, was.Snapshot, now)
	if errors.Is(err, feedlake.ErrNotFound) {
		list, err = l.Changed(ctx, input, 0, now)
	}
	return list, was, err
}
