package wire_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/ingest/wire"
)

func TestWithLinks(t *testing.T) {
	for _, c := range []struct {
		named, text string
		want        []string
	}{
		{"", "https://a.example/", nil},
		{"https://a.example/", "no link", []string{"https://a.example/"}},
		{"https://a.example/", "https://a.example/ (see http://b.example/x?y=1#z), \"HTTPS://c.example\".", []string{"https://a.example/", "http://b.example/x?y=1#z", "HTTPS://c.example"}},
		{"https://a.example/", "[b](https://b.example/) https://b.example/", []string{"https://a.example/", "https://b.example/"}},
	} {
		if diff := cmp.Diff(c.want, wire.WithLinks(c.named, c.text)); diff != "" {
			t.Errorf("%q with %q (-want +got):\n%s", c.named, c.text, diff)
		}
	}
}
