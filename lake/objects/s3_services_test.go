//go:build services

package objects

import (
	"os"
	"testing"
)

// service is a real server that make services-up started.
func service(t testing.TB, variable string) server {
	t.Helper()
	s := server{url: os.Getenv(variable), key: os.Getenv("FEEDLAKE_TEST_S3_KEY"), secret: os.Getenv("FEEDLAKE_TEST_S3_SECRET"), strict: true}
	if s.url == "" || s.key == "" || s.secret == "" {
		t.Fatalf("%s, FEEDLAKE_TEST_S3_KEY or FEEDLAKE_TEST_S3_SECRET is not set: make services-up", variable)
	}
	return s
}

func TestServiceMinIO(t *testing.T) {
	t.Parallel()
	suite(t, service(t, "FEEDLAKE_TEST_S3"))
}

func TestServiceVersitygw(t *testing.T) {
	t.Parallel()
	suite(t, service(t, "FEEDLAKE_TEST_S3_OTHER"))
}

func BenchmarkServiceFetch(b *testing.B) {
	benchFetch(b, service(b, "FEEDLAKE_TEST_S3").open(b))
}
