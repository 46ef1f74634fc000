package transforms

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/keys"
	"github.com/feedlake/feedlake/lake/query"
)

// arrivals tells what came to raw.posts between two snapshots, where nothing left:
// in which partitions posts arrived that raw.posts held before. The other partitions
// gained new posts alone, and these can be computed without the old ones.
type arrivals struct {
	base, until int64
	known       map[lake.Partition]bool // gained a version of a post that was there, in whatever partition, or that arrived in two
	places      map[lake.Partition]bool // known, and where the posts were
}

const (
	// maxArrivals bounds the rows whose keys are looked up: of more, a look at
	// everything is as cheap.
	maxArrivals = 2_000_000
	// keysAtOnce bounds the keys that are sorted in memory, 16 bytes each.
	keysAtOnce = 1_000_000
)

// keysFolder is where the lake's folder keeps the keys of raw.posts.
func (r *runner) keysFolder() string {
	return filepath.Join(r.Lake.Dir(), "keys", lake.RawPosts().Name)
}

// arrivals looks up the posts that came to raw.posts since base. It answers nil
// where that is not known: rows left, or there is no base. The keys that it looks
// in are those of base, so that it can be asked again after a crash anywhere; they
// are a cache, and a fault of theirs costs time and no more.
func (r *runner) arrivals(ctx context.Context, raw *source, base int64, network map[string]string) *arrivals {
	a := &arrivals{base: base, until: raw.snapshot, known: map[lake.Partition]bool{}, places: map[lake.Partition]bool{}}
	var rows int64
	set := keys.Open(r.keysFolder())
	for _, d := range raw.changed {
		if len(d.Removed) > 0 { // posts may have been taken down: their hashes go too
			r.dropKeys(ctx, set, nil)
			return nil
		}
		for _, f := range d.Added {
			rows += f.Rows
		}
	}
	if base == 0 || rows > maxArrivals {
		return nil
	}
	if rows == 0 {
		return a
	}
	if err := r.bringUp(ctx, set, raw, base); err != nil {
		r.dropKeys(ctx, set, err)
		return nil
	}
	if err := r.lookUp(ctx, set, raw, network, a); err != nil {
		r.dropKeys(ctx, set, err)
		return nil
	}
	return a
}

// dropKeys makes the next run take the keys anew.
func (r *runner) dropKeys(ctx context.Context, set *keys.Set, why error) {
	if err := errors.Join(why, set.Reset()); err != nil && ctx.Err() == nil {
		r.Log.WarnContext(ctx, "the keys of raw.posts are not usable: new posts cost their whole day this time", "err", err)
	}
}

// bringUp makes the set hold the keys of a snapshot.
func (r *runner) bringUp(ctx context.Context, set *keys.Set, raw *source, snapshot int64) error {
	if set.Snapshot() == snapshot {
		return nil
	}
	var files []lake.File
	added, err := r.changedSince(ctx, raw.table, set.Snapshot(), snapshot)
	if err != nil || slices.ContainsFunc(added, func(d lake.Difference) bool { return len(d.Removed) > 0 }) {
		if err := set.Reset(); err != nil {
			return err
		}
		if files, err = r.filesAt(ctx, raw.table, snapshot); err != nil {
			return err
		}
	}
	for _, d := range added {
		files = append(files, d.Added...)
	}
	if err := r.eachKey(ctx, set, files, set.Add); err != nil {
		return err
	}
	return set.Save(snapshot)
}

// lookUp finds the arrivals in the set, and among each other.
func (r *runner) lookUp(ctx context.Context, set *keys.Set, raw *source, network map[string]string, a *arrivals) error {
	var files []lake.File
	for _, d := range raw.changed {
		files = append(files, d.Added...)
	}
	var came []keys.Entry
	if err := r.eachKey(ctx, set, files, func(list []keys.Entry) error {
		came = append(came, list...)
		return nil
	}); err != nil {
		return err
	}
	slices.SortFunc(came, keys.Compare)
	came = slices.Compact(came)
	hashes := make([]uint64, len(came))
	for i, e := range came {
		hashes[i] = e.Hash
	}
	held, err := set.Find(hashes)
	if err != nil {
		return err
	}
	for _, e := range came {
		p := set.Partition(e.Part)
		for _, o := range placesOf(set, came, e.Hash) {
			if o != p && groupOf(o, network) == groupOf(p, network) {
				a.meet(p, o)
			}
		}
		for _, o := range placesOf(set, held, e.Hash) {
			if groupOf(o, network) == groupOf(p, network) {
				a.meet(p, o)
			}
		}
	}
	return nil
}

// meet notes that a post came to a partition and is in another one, or the same.
func (a *arrivals) meet(p, other lake.Partition) {
	a.known[p], a.places[p], a.places[other] = true, true, true
}

// placesOf lists the partitions of a hash in sorted entries.
func placesOf(set *keys.Set, list []keys.Entry, hash uint64) (out []lake.Partition) {
	i, _ := slices.BinarySearchFunc(list, keys.Entry{Hash: hash}, keys.Compare)
	for ; i < len(list) && list[i].Hash == hash; i++ {
		out = append(out, set.Partition(list[i].Part))
	}
	return out
}

// groupOf names whose ids a partition's posts carry: those of its source's network,
// or its source's own.
func groupOf(p lake.Partition, network map[string]string) string {
	name, _ := p.Value("source")
	if n := network[name]; n != "" {
		return n
	}
	return "source:" + name
}

// partsAtOnce bounds the partitions that one query reads keys of.
const partsAtOnce = 64

// eachKey reads the keys of some files of raw.posts, in portions.
func (r *runner) eachKey(ctx context.Context, set *keys.Set, files []lake.File, each func([]keys.Entry) error) error {
	byPart := map[lake.Partition][]lake.File{}
	var parts []lake.Partition
	for _, f := range files {
		if byPart[f.Partition] == nil {
			parts = append(parts, f.Partition)
		}
		byPart[f.Partition] = append(byPart[f.Partition], f)
	}
	var list []keys.Entry
	for some := range slices.Chunk(parts, partsAtOnce) {
		if err := r.someKeys(ctx, set, some, byPart, &list, each); err != nil {
			return err
		}
	}
	return each(list)
}

func (r *runner) someKeys(ctx context.Context, set *keys.Set, parts []lake.Partition, byPart map[lake.Partition][]lake.File, list *[]keys.Entry, each func([]keys.Entry) error) (err error) {
	arms := make([]string, len(parts))
	var rows int64
	for i, p := range parts {
		local, release, err := r.Lake.Local(ctx, byPart[p])
		if err != nil {
			return err
		}
		defer release()
		for _, f := range local {
			rows += f.Rows
		}
		arms[i] = fmt.Sprintf("SELECT coalesce(id, '') AS id, CAST(%d AS INTEGER) AS part FROM (%s)", set.Part(p),
			query.Select([]lake.Column{{Name: "id", Type: "VARCHAR"}}, local))
	}
	_, done, err := r.verify.open(ctx, rows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return r.verify.db.Arrow(ctx, func(b arrow.RecordBatch) error {
		ids, ok := b.Column(0).(*array.String)
		part, too := b.Column(1).(*array.Int32)
		if !ok || !too {
			return fmt.Errorf("ids are %s and %s, want text and a number", b.Column(0).DataType(), b.Column(1).DataType())
		}
		for i := range ids.Len() {
			*list = append(*list, keys.Entry{Hash: keys.Hash(ids.Value(i)), Part: uint32(part.Value(i))}) //nolint:gosec // it was one
		}
		if len(*list) < keysAtOnce {
			return nil
		}
		err := each(*list)
		*list = (*list)[:0]
		return err
	}, strings.Join(arms, " UNION ALL "))
}

// covers reports whether the arrivals are all that came to raw.posts between two
// snapshots; compaction moves the first without a change.
func (r *runner) covers(ctx context.Context, a *arrivals, before, after int64) bool {
	if a == nil || after != a.until {
		return false
	}
	if before == a.base {
		return true
	}
	between, err := r.changedSince(ctx, lake.RawPosts().Name, before, a.base)
	return err == nil && before != 0 && len(between) == 0
}
