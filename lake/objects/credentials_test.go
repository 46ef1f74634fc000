package objects

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/feedlake/feedlake"
)

// bare is a machine that has no credentials.
func bare(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD",
		"MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func TestCredentialsOfTheMachine(t *testing.T) {
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"AccessKeyId":"role","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z","Code":"Success"}`))
	}))
	t.Cleanup(role.Close)
	for name, c := range map[string]struct {
		key  string
		set  func(t *testing.T)
		want string
	}{
		"given": {"static", func(t *testing.T) {
			t.Helper()
			t.Setenv("AWS_ACCESS_KEY_ID", "env")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
		}, "static"},
		"environment": {"", func(t *testing.T) {
			t.Helper()
			t.Setenv("AWS_ACCESS_KEY_ID", "env")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL)
		}, "env"},
		"profile": {"", func(t *testing.T) {
			t.Helper()
			file := filepath.Join(t.TempDir(), "credentials")
			if err := os.WriteFile(file, []byte("[work]\naws_access_key_id = profile\naws_secret_access_key = s\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
			t.Setenv("AWS_PROFILE", "work")
		}, "profile"},
		"role":    {"", func(t *testing.T) { t.Helper(); t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL) }, "role"},
		"nothing": {"", func(t *testing.T) { t.Helper() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bare(t)
			c.set(t)
			v, err := Credentials(c.key, "s", "", true).GetWithContext(nil)
			if err != nil || v.AccessKeyID != c.want {
				t.Errorf("key %q, %v, want %q", v.AccessKeyID, err, c.want)
			}
			_, err = Credentials(c.key, "s", "", false).GetWithContext(nil)
			var hint *feedlake.HintError
			if (err == nil) != (c.want != "") || err != nil && (!errors.Is(err, feedlake.ErrConfig) || !errors.As(err, &hint)) {
				t.Errorf("where some are needed: %v", err)
			}
		})
	}
}

// provider answers as it is told.
type provider struct {
	key     string
	err     error
	expired bool
	asked   int
}

func (p *provider) Retrieve() (credentials.Value, error) { return p.RetrieveWithCredContext(nil) }

func (p *provider) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	p.asked++
	return credentials.Value{AccessKeyID: p.key, SecretAccessKey: p.key}, p.err
}

func (p *provider) IsExpired() bool { return p.expired }

// TestCredentialsRenew wants those of a role renewed, an error where that fails
// for a moment, and no one asked twice who had none.
func TestCredentialsRenew(t *testing.T) {
	first, role := &provider{}, &provider{key: "a"}
	c := credentials.New(&chain{list: []credentials.Provider{first, role}, anonymous: true})
	get := func() (string, error) {
		v, err := c.GetWithContext(nil)
		return v.AccessKeyID, err
	}
	if key, err := get(); key != "a" || err != nil {
		t.Fatal(key, err)
	}
	role.expired, role.err = true, errors.New("not now")
	if key, err := get(); err == nil {
		t.Errorf("a role that fails: %q", key)
	}
	role.key, role.err = "b", nil
	if key, err := get(); key != "b" || err != nil || first.asked != 1 {
		t.Errorf("renewed: %q, %v; the first was asked %d times", key, err, first.asked)
	}
	nobody := &provider{}
	c = credentials.New(&chain{list: []credentials.Provider{nobody}, anonymous: true})
	for range 3 {
		if key, err := get(); key != "" || err != nil {
			t.Error(key, err)
		}
	}
	if nobody.asked != 1 {
		t.Errorf("asked %d times", nobody.asked)
	}
}

// TestSilentServer wants the opening and a listing to end where the server says
// nothing, or stops in the middle.
func TestSilentServer(t *testing.T) {
	end := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(end) })
	_, err := OpenS3(t.Context(), S3Config{Endpoint: silent.URL, Bucket: "data", Key: "k", Secret: "s", Silence: 20 * time.Millisecond})
	if _, ok := errors.AsType[*feedlake.RetryError](err); !ok {
		t.Errorf("%v, want an error that may pass", err)
	}
}
