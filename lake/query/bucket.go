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
	host, ssl := c.Endpoint, false
	if u, err := url.Parse(c.Endpoint); err == nil {
		host, ssl = u.Host, u.Scheme == "https"
	}
	secret := fmt.Sprintf("CREATE SECRET feedlake (TYPE s3, PROVIDER config, KEY_ID %s, SECRET %s, REGION %s, ENDPOINT %s, URL_STYLE 'path', USE_SSL %t, SCOPE %s",
		Quote(c.Key), Quote(c.Secret), Quote(c.Region), Quote(host), ssl, Quote("s3://"+c.Bucket))
	if c.Token != "" {
		secret += ", SESSION_TOKEN " + Quote(c.Token)
	}
	return []string{load, secret + ")"}
}
