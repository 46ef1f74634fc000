package lake

import (
	"context"
	"fmt"
	"net/http"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/utils"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/feedlake/feedlake/lake/objects"
)

// Iceberg reads and writes its own files of a bucket through AWS's client. It
// has to use the same credentials, which may be renewed meanwhile, and as little
// patience with a silent server.

// withBucket is ctx with what Iceberg's file IO needs of the bucket.
func (l *Lake) withBucket(ctx context.Context) context.Context {
	if l.aws == nil {
		return ctx
	}
	return utils.WithAwsConfig(ctx, l.aws)
}

// filesAt opens Iceberg's file IO for a location.
func (l *Lake) filesAt(location string) table.FSysF {
	plain := iceio.LoadFSFunc(l.props, location)
	return func(ctx context.Context) (iceio.IO, error) { return plain(l.withBucket(ctx)) }
}

// awsConfig is how AWS's client reaches the bucket; nil where there is none.
func awsConfig(s storage, secure bool, c *objects.S3Config) (*aws.Config, error) {
	b, ok := s.(*bucket)
	if !ok {
		return nil, nil //nolint:nilnil // the warehouse is a folder
	}
	transport, err := objects.Transport(secure, c.Silence)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	return &aws.Config{Region: c.Region, Credentials: renewed{b.s3}, HTTPClient: &http.Client{Transport: transport}}, nil
}

// renewed gives AWS's client the credentials of the bucket.
type renewed struct{ s3 *objects.S3 }

// Retrieve is called for every request: what is kept is kept by the bucket.
func (r renewed) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := r.s3.Signed(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	end, err := r.s3.Expires(ctx)
	return aws.Credentials{
		AccessKeyID: c.Key, SecretAccessKey: c.Secret, SessionToken: c.Token, Source: "feedlake",
		CanExpire: !end.IsZero(), Expires: end,
	}, err
}
