package files

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/decode"
)

// A mapping is judged by records from the beginnings of some of the files: the
// first, the last and others between them.
const (
	sampledFiles   = 8
	sampledRecords = 2000 // of all these files
	leastOfFile    = 250  // records of one
)

// judge compares the mapping with the records; see decode.Sample.
func (s *source) judge(ctx context.Context, all []object, sure bool) (warning string, err error) {
	got := s.rules.Sample()
	if got == nil || len(all) == 0 {
		return "", nil
	}
	if err := s.look(ctx, all, got); err != nil {
		return "", err
	}
	return got.Judge(sure)
}

// look takes the sample.
func (s *source) look(ctx context.Context, all []object, got *decode.Sample) error {
	usual := s.limits
	defer func() { s.limits = usual }()
	s.limits.block = min(s.limits.block, 64<<10) // a file is not read further than it must
	chosen := s.some(all)
	most := max(leastOfFile, sampledRecords/max(len(chosen), 1))
	for _, o := range chosen {
		err := s.beginning(ctx, o, most, got)
		if err != nil && !(&unreadable{}).alone(ctx, o.name, err) { // reading it will tell
			return err
		}
	}
	return nil
}

// some chooses files that lie evenly among all. Parquet, members of tar archives and
// objects of a bucket are read whole to be looked at: of those, one.
func (s *source) some(all []object) []object {
	all = slices.DeleteFunc(slices.Clone(all), func(o object) bool { return o.end })
	if len(all) == 0 {
		return nil
	}
	most, first := sampledFiles, all[0]
	_, remote := s.archives.store.(*bucket)
	if remote || s.cfg.kindOf(first.name).format == decode.Parquet || first.member != nil && archiveOf(first.member.archive.name) == archiveTar {
		most = 1
	}
	if len(all) <= most {
		return all
	}
	out := make([]object, 0, most)
	for i := range most {
		out = append(out, all[i*(len(all)-1)/max(most-1, 1)])
	}
	return out
}

// beginning gives the first records of a file, sound or not, and the ids of the
// sound ones to a sample.
func (s *source) beginning(ctx context.Context, o object, most int, got *decode.Sample) (err error) {
	f, err := s.openAt(ctx, o, entry{})
	if err != nil { // reading it tells
		return nil //nolint:nilerr // see above
	}
	defer func() { err = errors.Join(err, f.close()) }()
	columns := s.cfg.kindOf(o.name).format == decode.CSV
	if head := decode.Header(f.cutter); head != "" {
		got.Add(head, columns)
		return nil
	}
	decoder := s.rules.Decoder()
	for left := most; left > 0; {
		var b decode.Block
		p := &decode.Page{Now: s.env.Now().UTC()}
		bad := f.cutter.Cut(ctx, &b)
		b.Decode(decoder, p)
		for i := range p.Posts[:min(left, len(p.Posts))] {
			got.ID(p.Posts[i].ID)
			got.Add(p.Posts[i].Payload, columns)
		}
		left -= min(left, len(p.Posts))
		for _, r := range p.Rejects[:min(left, len(p.Rejects))] {
			if len(r.Payload) < feedlake.MaxRejectPayload && strings.HasPrefix(r.Payload, "{") && gjson.Valid(r.Payload) {
				got.Add(r.Payload, columns)
			}
		}
		left -= min(left, len(p.Rejects))
		switch {
		case errors.Is(bad, io.EOF):
			return nil
		case bad != nil:
			return bad
		}
	}
	return nil
}
