package objects

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/feedlake/feedlake"
)

// clockWatch notes how far the server's clock is ahead of the one that signed
// the request: a server that refuses a request for its time does not say so.
type clockWatch struct {
	base  http.RoundTripper
	ahead atomic.Int64 // nanoseconds
}

// RoundTrip passes the request on.
func (c *clockWatch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	theirs, err1 := http.ParseTime(resp.Header.Get("Date"))
	ours, err2 := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err1 == nil && err2 == nil {
		c.ahead.Store(int64(theirs.Sub(ours)))
	}
	return resp, nil
}

// fault gives an error its kind and, where a person can do something, a hint.
func (s *S3) fault(what string, err error) error {
	if errors.Is(err, errStalled) {
		return feedlake.Hint(&feedlake.RetryError{Err: fmt.Errorf("%s: %w", what, err)}, "the server takes the connection but does not answer: look at its load and its log")
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", what, err)
	}
	if errors.Is(err, errSpoiled) || errors.Is(err, errReplaced) {
		return feedlake.Hint(fmt.Errorf("%s, again and again: %w: %w", what, err, feedlake.ErrRejected), "the object is damaged in the store, something on the way changes bytes, or somebody writes to the lake's objects")
	}
	var r minio.ErrorResponse
	if !errors.As(err, &r) || r.StatusCode == 0 && r.Code == "" {
		return s.netFault(what, err)
	}
	wrapped := fmt.Errorf("%s: %w (%s)", what, err, r.Code)
	if hint := s.configHint(r); hint != "" {
		return feedlake.Hint(fmt.Errorf("%w: %w", wrapped, feedlake.ErrConfig), "%s", hint)
	}
	switch {
	case r.Code == minio.NoSuchKey:
		return fmt.Errorf("%s: %w", what, feedlake.ErrNotFound)
	case r.Code == minio.PreconditionFailed:
		return fmt.Errorf("%w: %w", wrapped, feedlake.ErrConflict)
	case r.StatusCode == http.StatusInsufficientStorage || r.Code == "XMinioStorageFull":
		return feedlake.Hint(&feedlake.RetryError{Err: wrapped}, "the disk of the store is full: make room there, or remove what is not needed")
	case r.StatusCode/100 == 5, r.StatusCode == http.StatusTooManyRequests, r.StatusCode == http.StatusRequestTimeout:
		return feedlake.Hint(&feedlake.RetryError{Err: wrapped}, "the store is overloaded or restarting: try again later, with fewer workers if it comes again")
	}
	return wrapped
}

// configHint says what to change when the server refuses the request as such.
func (s *S3) configHint(r minio.ErrorResponse) string {
	switch r.Code {
	case minio.InvalidAccessKeyID, "XAdminUserNotFound": // versitygw
		return fmt.Sprintf("%s does not know the access key %q: correct the key", redacted(s.config.Endpoint), s.config.Key)
	case minio.SignatureDoesNotMatch:
		return fmt.Sprintf("the secret does not belong to the access key %q: correct the secret; a proxy that changes requests looks the same", s.config.Key)
	case "ExpiredToken", "InvalidToken", "InvalidTokenId", "TokenRefreshRequired":
		return "the session token is not or no longer good: get new temporary credentials"
	case minio.AccessDenied, "AllAccessDisabled", "AccountProblem":
		return fmt.Sprintf("the access key %q may not do this: its policy has to allow s3:ListBucket on bucket %s and s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on its objects", s.config.Key, s.config.Bucket)
	case minio.NoSuchBucket:
		return fmt.Sprintf("create the bucket %q, or correct its name or the endpoint", s.config.Bucket)
	case minio.RequestTimeTooSkewed:
		return s.skewHint()
	case "AuthorizationHeaderMalformed", minio.InvalidRegion, "PermanentRedirect", "IllegalLocationConstraintException":
		if r.Region != "" {
			return fmt.Sprintf("set the region to %s, and the endpoint to that of the region", r.Region)
		}
		return fmt.Sprintf("the bucket is not in region %s: correct the region, and the endpoint with it", s.config.Region)
	}
	switch {
	case r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden:
		return fmt.Sprintf("%s refuses the access key %q: correct the credentials, or the rights that belong to them", redacted(s.config.Endpoint), s.config.Key)
	case r.StatusCode == http.StatusBadRequest && strings.Contains(r.Message, "HTTP request to an HTTPS server"):
		return "the server wants TLS: write https:// in the endpoint"
	}
	return ""
}

func (s *S3) skewHint() string {
	ahead := time.Duration(s.clock.ahead.Load()).Round(time.Second)
	switch {
	case ahead > 0:
		return fmt.Sprintf("the clock of this machine is %s behind the server's: set it, best by NTP", ahead)
	case ahead < 0:
		return fmt.Sprintf("the clock of this machine is %s ahead of the server's: set it, best by NTP", -ahead)
	}
	return "set the clock of this machine, best by NTP"
}

// netFault is fault for a request that got no answer of S3.
func (s *S3) netFault(what string, err error) error {
	where := redacted(s.config.Endpoint)
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	wrapped := fmt.Errorf("%s: %w", what, err)
	config := func(format string, args ...any) error {
		return feedlake.Hint(fmt.Errorf("%w: %w", wrapped, feedlake.ErrConfig), format, args...)
	}
	switch text := err.Error(); {
	case strings.Contains(text, "HTTP response to HTTPS client") || errors.As(err, &record):
		return config("the server speaks no TLS: write http:// in the endpoint")
	case strings.Contains(text, `malformed HTTP response "\x15\x03`): // a TLS alert
		return config("the server wants TLS: write https:// in the endpoint")
	case errors.As(err, &authority):
		return config("the certificate of %s is signed by nobody this machine trusts: install the signer's certificate, or name its file in SSL_CERT_FILE", where)
	case errors.As(err, &host) || errors.As(err, &invalid):
		return config("the certificate of %s is for another name or another time: correct the endpoint, the certificate or the clock", where)
	case errors.As(err, &dns) && dns.IsNotFound:
		return config("the name in the endpoint %s is unknown: correct it", where)
	}
	return feedlake.Hint(&feedlake.RetryError{Err: wrapped}, "%s is not reachable: is the server up, is the endpoint right, does a firewall or proxy stand between?", where)
}
