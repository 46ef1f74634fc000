package dashboard_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/serving/dashboard"
)

const token = "a-token-of-24-characters"

// TestLoopback wants a dashboard without token to answer this machine under its
// own names, and nobody else.
func TestLoopback(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Hosts = []string{"dash.example.org"}
	h := dashboard.Handler(o)
	for _, c := range []struct {
		host, remote string
		want         int
	}{
		{"127.0.0.1:5002", "127.0.0.1:1", 200},
		{"localhost:5002", "127.0.0.1:1", 200},
		{"LOCALHOST", "127.0.0.1:1", 200},
		{"[::1]:5002", "[::1]:1", 200},
		{"[::1]", "[::1]:1", 200},
		{"dash.example.org", "127.0.0.1:1", 200},
		{"rebound.example.com:5002", "127.0.0.1:1", 403},
		{"127.0.0.1.example.com", "127.0.0.1:1", 403},
		{"192.168.1.5:5002", "127.0.0.1:1", 403},
		{"", "127.0.0.1:1", 403},
		{"localhost:5002", "192.168.1.9:1", 403},
		{"dash.example.org", "203.0.113.9:1", 403},
	} {
		for _, path := range []string{"/", "/api/version", "/js/main.js"} {
			if res := ask(t, h, http.MethodGet, path, map[string]string{"Host": c.host, "Remote": c.remote}); res.Code != c.want {
				t.Errorf("%s for %q from %s: status %d, want %d", path, c.host, c.remote, res.Code, c.want)
			}
		}
	}
}

func TestToken(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Token = token
	h := dashboard.Handler(o)
	for _, c := range []struct {
		path, auth string
		want       int
	}{
		{"/api/version", "", 401},
		{"/api/version", "Bearer " + token + "x", 401},
		{"/api/version", "Bearer ", 401},
		{"/api/version", "Basic " + token, 401},
		{"/api/version", "Bearer " + token, 200},
		{"/", "", 303},
		{"/js/main.js", "", 303},
		{"/vendor/echarts.common.min.js", "", 303},
		{"/", "Bearer " + token, 200},
		{"/login", "", 200},
		{"/css/login.css", "", 200},
		{"/img/icon.svg", "", 200},
	} {
		head := map[string]string{"Host": "lake.example.org", "Remote": "203.0.113.9:1"}
		if c.auth != "" {
			head["Authorization"] = c.auth
		}
		if res := ask(t, h, http.MethodGet, c.path, head); res.Code != c.want {
			t.Errorf("%s with %q: status %d, want %d", c.path, c.auth, res.Code, c.want)
		}
	}
}

// TestLogin walks through the form with a browser's cookies.
func TestLogin(t *testing.T) {
	w := newWorld(t)
	now := w.now
	o := w.options()
	o.Token, o.Now = token, func() time.Time { return now }
	srv := httptest.NewServer(dashboard.Handler(o))
	defer srv.Close()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	visit := func(path string, form url.Values) (status int, at string) {
		t.Helper()
		method, body := http.MethodGet, strings.NewReader(form.Encode())
		if form != nil {
			method = http.MethodPost
		}
		r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode, res.Request.URL.RequestURI()
	}
	want := func(status int, at string) func(int, string) {
		return func(gotStatus int, gotAt string) {
			t.Helper()
			if gotStatus != status || gotAt != at {
				t.Errorf("at %s with status %d, want %s with %d", gotAt, gotStatus, at, status)
			}
		}
	}
	want(200, "/login?next=%2F%3Fsource%3Dreddit")(visit("/?source=reddit", nil))
	want(200, "/login?wrong=1&next=%2F")(visit("/login?next=https://evil.example.org", url.Values{"token": {"wrong"}}))
	want(401, "/api/version")(visit("/api/version", nil))
	want(200, "/?source=reddit")(visit("/login?next=%2F%3Fsource%3Dreddit", url.Values{"token": {" " + token + "\n"}}))
	want(200, "/api/version")(visit("/api/version", nil))
	want(200, "/")(visit("/login", nil))

	home, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	cookie := jar.Cookies(home)[0]
	if strings.Contains(cookie.Value, token) {
		t.Error("the cookie holds the token itself")
	}
	for _, forged := range []string{"99999999999." + strings.Repeat("0", 64), "9" + cookie.Value, cookie.Value[:len(cookie.Value)-1], ""} {
		head := map[string]string{"Cookie": cookie.Name + "=" + forged}
		if res := ask(t, dashboard.Handler(o), http.MethodGet, "/api/version", head); res.Code != http.StatusUnauthorized {
			t.Errorf("forged session %q: status %d", forged, res.Code)
		}
	}
	now = now.Add(13 * time.Hour)
	want(401, "/api/version")(visit("/api/version", nil))
	now = now.Add(-13 * time.Hour)
	want(200, "/login")(visit("/logout", url.Values{}))
	want(401, "/api/version")(visit("/api/version", nil))
}

// TestNext keeps a login from leading to another site.
func TestNext(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Token = token
	h := dashboard.Handler(o)
	for next, want := range map[string]string{
		"/?lang=en": "/?lang=en", "": "/", "//evil.example.org": "/", "https://evil.example.org": "/", `/\evil.example.org`: "/", "javascript:alert(1)": "/", "/a\r\nSet-Cookie: x=y": "/",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login?next="+url.QueryEscape(next), strings.NewReader("token="+token))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if got := rec.Header().Get("Location"); got != want {
			t.Errorf("next=%q leads to %q, want %q", next, got, want)
		}
		c := rec.Result().Cookies()[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" {
			t.Errorf("cookie %+v", c)
		}
	}
}

// TestForeignPost refuses a form that another site sends.
func TestForeignPost(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Token = token
	res := ask(t, dashboard.Handler(o), http.MethodPost, "/logout", map[string]string{"Sec-Fetch-Site": "cross-site"})
	if res.Code != http.StatusForbidden {
		t.Errorf("status %d", res.Code)
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t)
	h := dashboard.Handler(w.options())
	for _, path := range []string{"/", "/api/version", "/api/volume?x=y", "/nothing", "/login"} {
		head := ask(t, h, http.MethodGet, path, nil).Header()
		policy := head.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin"} {
			if got := head.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	zipped := ask(t, h, http.MethodGet, "/vendor/echarts.common.min.js", map[string]string{"Accept-Encoding": "gzip"}).Header()
	if zipped.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(zipped.Get("Content-Type"), "text/javascript") {
		t.Errorf("charts' library: %v", zipped)
	}
	again := ask(t, h, http.MethodGet, "/vendor/echarts.common.min.js", map[string]string{"If-None-Match": zipped.Get("ETag")})
	if again.Code != http.StatusNotModified {
		t.Errorf("asked again: status %d", again.Code)
	}
}

func TestServeRefuses(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ addr, token, hint string }{
		{"0.0.0.0:0", "", "serve.token"},
		{":0", "", "serve.token"},
		{"[::]:0", "", "serve.token"},
		{"192.168.1.5:5002", "", "serve.token"},
		{"example.org:5002", "", "serve.token"},
		{"0.0.0.0:0", "tiny-token", "openssl rand"},
		{"127.0.0.1:0", "tiny-token", "openssl rand"},
		{"5002", "", "--addr"},
	} {
		o := w.options()
		o.Addr, o.Token = c.addr, c.token
		err := dashboard.Serve(t.Context(), o)
		h, ok := errors.AsType[*feedlake.HintError](err)
		if !errors.Is(err, feedlake.ErrConfig) || !ok || !strings.Contains(h.Hint, c.hint) {
			t.Errorf("serve %s: %v, hint %+v", c.addr, err, h)
		}
		if c.token != "" && strings.Contains(err.Error(), c.token) {
			t.Errorf("serve %s: the error tells the token", c.addr)
		}
	}
}

func TestServe(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ addr, token string }{{"127.0.0.1:0", ""}, {"localhost:0", ""}, {"0.0.0.0:0", token}} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ready, done := make(chan string, 1), make(chan error, 1)
		o := w.options()
		o.Addr, o.Token, o.Ready = c.addr, c.token, func(url string) { ready <- url }
		go func() { done <- dashboard.Serve(ctx, o) }()
		var base string
		select {
		case base = <-ready:
		case err := <-done:
			t.Fatalf("serve %s: %v", c.addr, err)
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.NewReplacer("0.0.0.0", "127.0.0.1", "[::]", "127.0.0.1").Replace(base)+"/api/version", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+c.token)
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %+v, %v", base, res, err)
		}
		_ = res.Body.Close()
		second := o
		second.Addr, second.Ready = strings.TrimPrefix(base, "http://"), nil
		if err := dashboard.Serve(ctx, second); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a second server on %s: %v", base, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}
