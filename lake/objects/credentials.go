package objects

import (
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/feedlake/feedlake"
)

// Credentials are those of a bucket: the static ones where key is given,
// otherwise what the machine has, in this order: the variables AWS_ACCESS_KEY_ID
// and MINIO_ROOT_USER with theirs, the profile file of AWS, a web identity
// (AWS_WEB_IDENTITY_TOKEN_FILE), the role of the container or of the machine.
// They are renewed before they expire. Where nothing is found, requests are
// anonymous if that is allowed, and an error otherwise.
func Credentials(key, secret, token string, anonymous bool) *credentials.Credentials {
	if key != "" {
		return credentials.NewStaticV4(key, secret, token)
	}
	list := []credentials.Provider{&credentials.EnvAWS{}, &credentials.EnvMinio{}, &credentials.FileAWSCredentials{}}
	if limit := roleTime(); limit > 0 {
		list = append(list, &credentials.IAM{Client: &http.Client{Timeout: limit}})
	}
	return credentials.New(&chain{list: list, anonymous: anonymous})
}

// roleTime bounds how long a role is asked for; 0: it is not. The service of a
// cloud's machine answers at once, or is not there.
func roleTime() time.Duration {
	for _, name := range []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		if os.Getenv(name) != "" {
			return 10 * time.Second
		}
	}
	if os.Getenv("AWS_EC2_METADATA_DISABLED") == "true" {
		return 0
	}
	return 2 * time.Second
}

// chain asks one provider after the other, and then keeps to the one that had an
// answer: minio-go's own chain turns anonymous when that one fails for a moment.
type chain struct {
	list      []credentials.Provider
	found     credentials.Provider
	nobody    bool // had any: it is not asked for again
	anonymous bool
}

// RetrieveWithCredContext finds or renews the credentials.
func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	if c.found != nil {
		return c.found.RetrieveWithCredContext(cc)
	}
	var errs []error
	for _, p := range c.list {
		v, err := p.RetrieveWithCredContext(cc)
		if err == nil && v.AccessKeyID != "" && v.SecretAccessKey != "" {
			c.found = p
			return v, nil
		}
		errs = append(errs, err)
	}
	if !c.anonymous {
		return credentials.Value{}, feedlake.Hint(errors.Join(append([]error{feedlake.ErrConfig, errNoCredentials}, errs...)...),
			"give key and secret, from the environment or a file, or let the machine have AWS_ACCESS_KEY_ID, a profile or a role")
	}
	c.nobody = true
	return credentials.Value{SignerType: credentials.SignatureAnonymous}, nil
}

var errNoCredentials = errors.New("s3 credentials: none are given, and the machine has none")

// Retrieve is RetrieveWithCredContext without a context.
func (c *chain) Retrieve() (credentials.Value, error) { return c.RetrieveWithCredContext(nil) }

// IsExpired reports whether Retrieve is due.
func (c *chain) IsExpired() bool {
	if c.found != nil {
		return c.found.IsExpired()
	}
	return !c.nobody
}
