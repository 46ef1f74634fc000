package query

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/feedlake/feedlake/lake/objects"
)

// BucketSetup spells the statements after which DuckDB reads a bucket itself:
// extension is the path of httpfs, or "httpfs" where it is installed. They hold
// the secret; nobody may print them.
func BucketSetup(extension string, c *objects.S3Config) []string {
	load := "LOAD " + Quote(extension)
	if !strings.ContainsAny(extension, "/.") {
		load = "LOAD " + extension
	}
	return []string{load, secret(c, Quote(c.Key), Quote(c.Secret), c.Token)}
}

// BucketSetupFor spells the same for a DuckDB elsewhere, which takes the
// credentials from its environment: there is no secret in it.
func BucketSetupFor(c *objects.S3Config) []string {
	return []string{"INSTALL httpfs", "LOAD httpfs", secret(c, "getenv('FEEDLAKE_S3_KEY')", "getenv('FEEDLAKE_S3_SECRET')", "")}
}

// secret spells DuckDB's secret for a bucket; key and secret are expressions.
func secret(c *objects.S3Config, key, secret, token string) string {
	host, ssl := c.Endpoint, false
	if u, err := url.Parse(c.Endpoint); err == nil {
		host, ssl = u.Host, u.Scheme == "https"
	}
	s := fmt.Sprintf("CREATE OR REPLACE SECRET feedlake (TYPE s3, PROVIDER config, KEY_ID %s, SECRET %s, REGION %s, ENDPOINT %s, URL_STYLE 'path', USE_SSL %t, SCOPE %s",
		key, secret, Quote(c.Region), Quote(host), ssl, Quote("s3://"+c.Bucket))
	if token != "" {
		s += ", SESSION_TOKEN " + Quote(token)
	}
	return s + ")"
}
