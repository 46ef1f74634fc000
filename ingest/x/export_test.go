package x

import (
	"time"

	"github.com/feedlake/feedlake/ingest"
)

// Stall sets the silence after which a stream counts as lost.
func Stall(s ingest.Source, d time.Duration) {
	if s, ok := s.(*stream); ok {
		s.stall = d
	}
}

// IDsPerJob sets how many ids a compliance job is about.
func IDsPerJob(s ingest.Source, n int) {
	if s, ok := s.(*compliance); ok {
		s.most = n
	}
}
