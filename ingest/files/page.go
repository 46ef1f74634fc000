package files

import (
	"sync"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/decode"
)

// page collects the blocks of one Fetch.
type page struct {
	blocks         []decode.Block
	bytes, records int
	limits         limits
}

func (p *page) full() bool { return p.bytes >= p.limits.bytes || p.records >= p.limits.records }

func (p *page) add(b decode.Block) {
	p.blocks = append(p.blocks, b)
	p.bytes += b.Size()
	p.records += b.Records()
}

// decode returns what decodes the page by one of the decoders.
func (p *page) decode(decoders *sync.Pool, now time.Time) func() ([]feedlake.Post, []feedlake.Reject) {
	if len(p.blocks) == 0 {
		return nil
	}
	return func() ([]feedlake.Post, []feedlake.Reject) {
		d, ok := decoders.Get().(*decode.Decoder)
		if !ok {
			panic("files: the pool holds decoders alone")
		}
		defer decoders.Put(d)
		got := decode.Page{Now: now, Posts: make([]feedlake.Post, 0, min(p.records, p.limits.records))}
		for i := range p.blocks {
			p.blocks[i].Decode(d, &got)
		}
		return got.Posts, got.Rejects
	}
}
