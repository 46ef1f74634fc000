package dashboard

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// policy lets the page load only what this server sends, and run no inline code
// or style.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// headers sets the security headers of every answer.
func (s *server) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		next.ServeHTTP(w, r)
	})
}

// guard lets through who may see the lake.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.o.Token == "":
			if why := s.stranger(r); why != "" {
				fail(w, http.StatusForbidden, why, "open http://"+s.o.Addr+" on the machine that runs feedlake, or set serve.token")
				return
			}
		case open(r.URL.Path), s.authorized(r):
		case strings.HasPrefix(r.URL.Path, "/api/"):
			w.Header().Set("WWW-Authenticate", `Bearer realm="feedlake"`)
			fail(w, http.StatusUnauthorized, "a token is required", "send the header: Authorization: Bearer <serve.token>")
			return
		default:
			to := "/login?next=" + url.QueryEscape(r.URL.RequestURI())
			http.Redirect(w, r, to, http.StatusSeeOther)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// open reports whether a path is answered without a token: the login page and
// what it looks like.
func open(path string) bool {
	return path == "/login" || slices.Contains(loginAssets(), path)
}

// stranger says why a request to a dashboard without token is refused. The
// check of the host stops other sites from reaching it through a name that they
// point at 127.0.0.1 (DNS rebinding).
func (s *server) stranger(r *http.Request) string {
	if ip, _, err := net.SplitHostPort(r.RemoteAddr); err != nil || !loopback(ip) {
		return "without a token only this machine is answered"
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if !loopback(host) && !slices.Contains(s.o.Hosts, host) {
		return "the host name of the request is not this machine's"
	}
	return ""
}

const (
	sessionCookie = "feedlake_session"
	sessionLength = 12 * time.Hour
)

// authorized reports whether a request carries the token, or a session that the
// token opened.
func (s *server) authorized(r *http.Request) bool {
	if t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return s.isToken(t)
	}
	c, err := r.Cookie(sessionCookie)
	return err == nil && s.isSession(c.Value)
}

// isToken compares in constant time; hashing first hides the length too.
func (s *server) isToken(t string) bool {
	a, b := sha256.Sum256([]byte(t)), sha256.Sum256([]byte(s.o.Token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// session is a cookie's value: when it ends, signed with the token. A new token
// ends all sessions.
func (s *server) session(ends time.Time) string {
	stamp := strconv.FormatInt(ends.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(s.o.Token))
	mac.Write([]byte("feedlake session " + stamp))
	return stamp + "." + hex.EncodeToString(mac.Sum(nil))
}

func (s *server) isSession(value string) bool {
	stamp, _, _ := strings.Cut(value, ".")
	unix, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return false
	}
	ends := time.Unix(unix, 0)
	return hmac.Equal([]byte(s.session(ends)), []byte(value)) && s.now().Before(ends)
}

func (s *server) loginRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		if s.o.Token == "" || s.authorized(r) {
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		serveAsset(w, r, "login.html")
	})
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		s.setCookie(w, r, "", -1)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	})
}

func (s *server) login(w http.ResponseWriter, r *http.Request) {
	const maxForm = 16 << 10
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	next := localPath(r.URL.Query().Get("next"))
	if s.o.Token == "" || !s.isToken(strings.TrimSpace(r.PostFormValue("token"))) {
		s.log.WarnContext(r.Context(), "dashboard login refused", "remote", r.RemoteAddr)
		http.Redirect(w, r, "/login?wrong=1&next="+url.QueryEscape(next), http.StatusSeeOther)
		return
	}
	s.setCookie(w, r, s.session(s.now().Add(sessionLength)), int(sessionLength.Seconds()))
	http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // localPath keeps it on this server
}

func (s *server) setCookie(w http.ResponseWriter, r *http.Request, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever the browser speaks TLS; without it the cookie would be lost
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
}

// localPath keeps a path of this server, and nothing that a browser could take
// for another's.
func localPath(p string) string {
	u, err := url.Parse(p)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || strings.ContainsAny(p, "\\\r\n\t") {
		return "/"
	}
	return p
}
