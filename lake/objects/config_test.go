package objects

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/feedlake/feedlake"
)

func TestConfigShowsNoSecret(t *testing.T) {
	c := S3Config{Endpoint: "http://user:hush-url@host:9000", Bucket: "data", Prefix: "lake", Key: "somebody", Secret: "hush-hush", Token: "hush-token"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("open", slog.Any("s3", c), slog.Any("pointer", &c))
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = OpenS3(t.Context(), c)
	all := fmt.Sprintf("%v %+v %#v %s %v %+v ", c, c, c, c, &c, struct{ C S3Config }{c}) + log.String() + fmt.Sprint(err)
	if strings.Contains(all, "hush") || strings.Contains(string(text), "hush-hush") || strings.Contains(string(text), "hush-token") {
		t.Errorf("a secret shows: %s %s", all, text)
	}
	if !strings.Contains(all, "s3://data/lake") || !strings.Contains(all, "somebody") {
		t.Errorf("what is no secret does not show: %s", all)
	}
	hinted(t, err, feedlake.ErrConfig, "the server alone")
}

func TestURL(t *testing.T) {
	for _, prefix := range []string{"", "lakes/one", "/lakes/one/"} {
		c, _, err := S3Config{Endpoint: "http://host", Bucket: "data", Prefix: prefix, Key: "k", Secret: "s"}.checked()
		if err != nil {
			t.Fatal(err)
		}
		s := &S3{config: c}
		for _, key := range []string{"a", "a b/c+%20.parquet"} {
			url := s.URL(key)
			if got, ok := s.Key(url); !ok || got != key {
				t.Errorf("%q becomes %q and %q", key, url, got)
			}
			if got, ok := s.Key("s3a" + strings.TrimPrefix(url, "s3")); !ok || got != key {
				t.Errorf("s3a: %q becomes %q", key, got)
			}
		}
		for _, other := range []string{"s3://data", "s3://data/", "s3://datas/lakes/one/a", "file:///data/a", "/data/lakes/one/a", s.URL("")} {
			if key, ok := s.Key(other); ok {
				t.Errorf("%q is taken for %q", other, key)
			}
		}
	}
	if s := (&S3{config: S3Config{Bucket: "data", Prefix: "lakes/one"}}); s.URL("a") != "s3://data/lakes/one/a" {
		t.Error(s.URL("a"))
	}
	for _, bad := range []string{"a/../b", "a//b", "."} {
		if _, _, err := (S3Config{Endpoint: "http://host", Bucket: "data", Prefix: bad, Key: "k", Secret: "s"}).checked(); err == nil {
			t.Errorf("prefix %q is taken", bad)
		}
	}
}
