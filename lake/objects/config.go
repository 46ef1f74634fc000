package objects

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/feedlake/feedlake"
)

// S3Config says where a bucket is and who asks. Printed or logged it shows
// neither Secret nor Token.
type S3Config struct {
	Endpoint string // http://host:port or https://host
	Region   string // "" = us-east-1
	Bucket   string
	Prefix   string // keys begin with it and a slash; "" none
	Key      string // "": what the machine has, see Credentials
	Secret   string `json:"-"`
	Token    string `json:"-"` // of temporary credentials, or ""

	Transport http.RoundTripper `json:"-"` // nil: the default; tests put faults here
	Silence   time.Duration     // after which a server that says nothing is given up; 0: a minute
}

// String names the bucket and the key, and no secret.
func (c S3Config) String() string {
	return fmt.Sprintf("s3://%s at %s, key %s", path.Join(c.Bucket, c.Prefix), redacted(c.Endpoint), c.Key)
}

// GoString is String, so that %#v shows no secret either.
func (c S3Config) GoString() string { return c.String() }

// LogValue is for slog; it holds no secret.
func (c S3Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("endpoint", redacted(c.Endpoint)), slog.String("region", c.Region),
		slog.String("bucket", c.Bucket), slog.String("prefix", c.Prefix), slog.String("key", c.Key))
}

// redacted removes a password that somebody wrote into an address.
func redacted(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "(no address)"
	}
	return u.Redacted()
}

// checked returns the address of the endpoint, and c with its defaults.
func (c S3Config) checked() (S3Config, *url.URL, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" {
		return c, nil, feedlake.Hint(fmt.Errorf("s3 endpoint: want http://host:port or https://host: %w", feedlake.ErrConfig),
			"give the address of the server alone, such as https://s3.eu-central-1.amazonaws.com or http://127.0.0.1:9000; the bucket is a setting of its own")
	}
	if err := s3utils.CheckValidBucketName(c.Bucket); err != nil {
		return c, nil, fmt.Errorf("s3 bucket %q: %w: %w", c.Bucket, err, feedlake.ErrConfig)
	}
	if (c.Key == "") != (c.Secret == "") {
		return c, nil, feedlake.Hint(fmt.Errorf("s3 credentials: no access key or no secret: %w", feedlake.ErrConfig),
			"give both, from the environment or a file, or none: then the machine's own count (environment, profile, role)")
	}
	c.Region = cmp.Or(c.Region, "us-east-1")
	c.Prefix = strings.Trim(c.Prefix, "/")
	if c.Prefix != "" && path.Clean("/"+c.Prefix) != "/"+c.Prefix {
		return c, nil, fmt.Errorf("s3 prefix %q: holds empty or dotted parts: %w", c.Prefix, feedlake.ErrConfig)
	}
	return c, u, nil
}
