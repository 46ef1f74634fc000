package files

import "github.com/feedlake/feedlake/ingest"

// Small makes pages and blocks so short that a small file has many.
func Small(s ingest.Source) ingest.Source {
	if f, ok := s.(*source); ok {
		f.limits = limits{bytes: 400, records: 3, block: 100}
	}
	return s
}
