package serve

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake/ingest/simulate"
)

// bluesky answers as a server of Bluesky does: sessions, searchPosts and
// getAuthorFeed below /xrpc, and both versions of Jetstream. What is a repost
// elsewhere is a quote here.
type bluesky struct {
	s      *Server
	stream *jetstream
}

func newBluesky(s *Server) platform { return bluesky{s, &jetstream{s: s}} }

func (b bluesky) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /xrpc/com.atproto.server.createSession", b.createSession)
	mux.HandleFunc("POST /xrpc/com.atproto.server.refreshSession", b.refreshSession)
	mux.HandleFunc("GET /xrpc/app.bsky.actor.getProfile", b.profile)
	mux.HandleFunc("GET /xrpc/app.bsky.feed.searchPosts", b.search)
	mux.HandleFunc("GET /xrpc/app.bsky.feed.getAuthorFeed", b.authorFeed)
	mux.HandleFunc("GET /subscribe", b.stream.v1)
	mux.HandleFunc("GET /xrpc/network.bsky.jetstream.subscribeEvents", b.stream.v2)
}

const bskyPost = "app.bsky.feed.post"

func (bluesky) id(it *simulate.Item) string {
	return "at://" + bskyDID(it.Author.Name) + "/" + bskyPost + "/" + bskyTID(it)
}

// bskyDID is the account of a name.
func bskyDID(name string) string { return "did:plc:" + bskyHash("did " + name)[:24] }

// bskyCID is the hash that a record goes by.
func bskyCID(id string) string { return "bafyrei" + bskyHash("cid " + id)[:52] }

func bskyHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]) + "aaaa")
}

// bskyTID is the key of an item's record: its time, and a number against
// collisions.
func bskyTID(it *simulate.Item) string {
	n := it.At.UnixMicro()<<10 | it.N%1024
	var out [13]byte
	for i := range out {
		out[len(out)-1-i] = "234567abcdefghijklmnopqrstuvwxyz"[n&31]
		n >>= 5
	}
	return string(out[:])
}

func bskyHandle(name string) string { return strings.ReplaceAll(name, "_", "-") + ".bsky.social" }

func (bluesky) limit(r *http.Request) (string, int, time.Duration) {
	if strings.HasSuffix(r.URL.Path, ".createSession") {
		return "createSession", 30, 5 * time.Minute
	}
	return "address", 3000, 5 * time.Minute
}

func (bluesky) headers(h http.Header, l limitState) {
	h.Set("RateLimit-Limit", strconv.Itoa(l.calls))
	h.Set("RateLimit-Remaining", strconv.Itoa(l.remaining))
	h.Set("RateLimit-Reset", strconv.FormatInt(l.reset.Unix(), 10))
	h.Set("RateLimit-Policy", strconv.Itoa(l.calls)+";w=300")
}

func bskyError(w http.ResponseWriter, status int, name, message string) {
	writeJSON(w, status, map[string]any{"error": name, "message": message})
}

func (bluesky) limited(w http.ResponseWriter, _ limitState) {
	bskyError(w, http.StatusTooManyRequests, "RateLimitExceeded", "Rate Limit Exceeded")
}

func (bluesky) failed(w http.ResponseWriter, status int) {
	name := map[int]string{http.StatusBadGateway: "UpstreamFailure", http.StatusServiceUnavailable: "NotEnoughResources"}[status]
	bskyError(w, status, orElse(name, "InternalServerError"), http.StatusText(status))
}

func (bluesky) unauthorized(w http.ResponseWriter) {
	bskyError(w, http.StatusUnauthorized, "AuthMissing", "Authentication Required")
}

func (b bluesky) createSession(w http.ResponseWriter, r *http.Request) {
	var in struct{ Identifier, Password string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Identifier == "" || in.Password == "" {
		bskyError(w, http.StatusBadRequest, "InvalidRequest", "Input must have the properties identifier and password")
		return
	}
	if !good(in.Password) || !good(in.Identifier) {
		bskyError(w, http.StatusUnauthorized, "AuthenticationRequired", "Invalid identifier or password")
		return
	}
	b.session(w, in.Identifier)
}

func (b bluesky) refreshSession(w http.ResponseWriter, r *http.Request) {
	if b.refused(w, r) {
		return
	}
	b.session(w, "someone.bsky.social")
}

func (b bluesky) session(w http.ResponseWriter, handle string) {
	did := bskyDID(handle)
	writeJSON(w, http.StatusOK, map[string]any{
		"did": did, "handle": handle, "active": true, "accessJwt": b.jwt(did, "access", 2*time.Hour), "refreshJwt": b.jwt(did, "refresh", 60*24*time.Hour),
	})
}

// bskyTokenHead begins every token.
func bskyTokenHead() string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "."
}

// jwt makes a token in the form of RFC 7519, which other clients look into. Its
// signature is none.
func (b bluesky) jwt(did, scope string, life time.Duration) string {
	return b.s.grantAs(life, func(name string, expires time.Time) string {
		claims := fmt.Sprintf(`{"scope":"com.atproto.%s","sub":%q,"jti":%q,"iat":%d,"exp":%d,"aud":"did:web:social.example"}`,
			scope, did, name, expires.Add(-life).Unix(), expires.Unix())
		return bskyTokenHead() + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + base64.RawURLEncoding.EncodeToString([]byte(name))
	})
}

// profile tells of an account, whatever it is called; the SDK for Python asks for
// its own when it signs in.
func (bluesky) profile(w http.ResponseWriter, r *http.Request) {
	actor := r.URL.Query().Get("actor")
	if actor == "" {
		bskyError(w, http.StatusBadRequest, "InvalidRequest", `Error: Params must have the property "actor"`)
		return
	}
	did, handle := bskyDID(actor), actor
	if strings.HasPrefix(actor, "did:") {
		did, handle = actor, "handle.invalid"
	}
	writeJSON(w, http.StatusOK, map[string]any{"did": did, "handle": handle})
}

// refused answers a request whose token is no good. An expired token gets a
// status of 400, unlike elsewhere.
func (b bluesky) refused(w http.ResponseWriter, r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok:
		b.unauthorized(w)
	case b.s.known(token):
		return false
	case strings.HasPrefix(token, bskyTokenHead()):
		bskyError(w, http.StatusBadRequest, "ExpiredToken", "Token has expired")
	default:
		bskyError(w, http.StatusBadRequest, "InvalidToken", "Bad token")
	}
	return true
}

// bskyDeepest is how far down a search can be paged.
const bskyDeepest = 10_000

func (b bluesky) search(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if r.Header.Get("Authorization") == "" {
		bskyError(w, http.StatusForbidden, "Forbidden", "Forbidden")
		return
	}
	if b.refused(w, r) {
		return
	}
	limit, err := bskyLimit(q.Get("limit"), 25)
	match, ferr := bskyFilter(q)
	at, cerr := strconv.Atoi(orElse(q.Get("cursor"), "0"))
	if err := cmp.Or(err, ferr, cerr); err != nil {
		bskyError(w, http.StatusBadRequest, "InvalidRequest", err.Error())
		return
	}
	if b.repeats() {
		at = max(0, at-limit)
	}
	var found []*simulate.Item
	for _, it := range slices.Backward(b.s.visible()) {
		if match(it) {
			found = append(found, it)
		}
	}
	end := min(len(found), at+limit, bskyDeepest)
	posts := []any{}
	for i := at; i < end; i++ {
		posts = append(posts, b.view(found[i]))
	}
	out := map[string]any{"posts": posts, "hitsTotal": len(found)}
	if end < len(found) && end < bskyDeepest {
		out["cursor"] = strconv.Itoa(end)
	}
	writeJSON(w, http.StatusOK, out)
}

// repeats reports whether this page is to be the one before.
func (b bluesky) repeats() bool {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	return b.s.has(Repeat) && b.s.requests%everyRepeat == 0
}

func bskyLimit(s string, usual int) (int, error) {
	if s == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 100 {
		return 0, fmt.Errorf("Error: limit must be from 1 to 100") //nolint:staticcheck // as the platform says it
	}
	return n, nil
}

// bskyFilter reads what a search asks for.
func bskyFilter(q map[string][]string) (func(*simulate.Item) bool, error) {
	get := func(k string) string { return strings.Join(q[k], "") }
	if get("q") == "" {
		return nil, fmt.Errorf(`Error: Params must have the property "q"`) //nolint:staticcheck // as the platform says it
	}
	var since, until time.Time
	for _, p := range []struct {
		to   *time.Time
		text string
	}{{&since, get("since")}, {&until, get("until")}} {
		if p.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, p.text)
		if err != nil {
			return nil, fmt.Errorf("Error: %q is no datetime", p.text) //nolint:staticcheck // as the platform says it
		}
		*p.to = t
	}
	wrote := bskyIs(get("author"))
	return func(it *simulate.Item) bool {
		text := strings.ToLower(it.Text)
		for _, tag := range q["tag"] {
			if !strings.Contains(text+" ", "#"+strings.ToLower(tag)+" ") {
				return false
			}
		}
		return (since.IsZero() || !it.At.Before(since)) && (until.IsZero() || it.At.Before(until)) &&
			(get("lang") == "" || get("lang") == it.Lang) && wrote(it) &&
			(get("q") == "*" || strings.Contains(text, strings.ToLower(get("q"))))
	}, nil
}

// bskyIs tells whether an account, by handle or by DID, wrote an item. It hashes
// a name once, however many items it is asked of.
func bskyIs(account string) func(*simulate.Item) bool {
	known := map[string]bool{}
	return func(it *simulate.Item) bool {
		if account == "" {
			return true
		}
		name := it.Author.Name
		is, ok := known[name]
		if !ok {
			is = account == bskyDID(name) || account == bskyHandle(name)
			known[name] = is
		}
		return is
	}
}

// refuses answers for accounts that cannot be read.
func (b bluesky) refuses(w http.ResponseWriter, actor string) bool {
	is := func(name string) bool { return actor == bskyDID(name) || actor == bskyHandle(name) }
	switch {
	case b.s.has(Suspended) && is(b.s.Suspended().Name):
		bskyError(w, http.StatusBadRequest, "AccountTakedown", "Account has been suspended")
	case b.s.has(BadFeed) && is(b.s.Closed().Name):
		bskyError(w, http.StatusBadRequest, "BlockedByActor", "Requester is blocked by actor")
	default:
		return false
	}
	return true
}

// BlueskyDID is the account of an author.
func BlueskyDID(a simulate.Author) string { return bskyDID(a.Name) }

// authorFeed answers the posts of an account, newest first. Its cursor is the
// time of the last one.
func (b bluesky) authorFeed(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, err := bskyLimit(q.Get("limit"), 50)
	if q.Get("actor") == "" {
		err = fmt.Errorf(`Error: Params must have the property "actor"`) //nolint:staticcheck // as the platform says it
	}
	below := time.Time{}
	if c := q.Get("cursor"); c != "" && err == nil {
		below, err = time.Parse(time.RFC3339, c)
	}
	if err != nil {
		bskyError(w, http.StatusBadRequest, "InvalidRequest", err.Error())
		return
	}
	if b.refuses(w, q.Get("actor")) {
		return
	}
	if b.repeats() && !below.IsZero() {
		below = below.Add(24 * time.Hour)
	}
	feed := []any{}
	cursor := ""
	wrote := bskyIs(q.Get("actor"))
	for _, it := range slices.Backward(b.s.visible()) {
		if !wrote(it) || !below.IsZero() && !it.At.Before(below) {
			continue
		}
		if len(feed) == limit {
			break
		}
		feed, cursor = append(feed, map[string]any{"post": b.view(it)}), it.At.Format(time.RFC3339Nano)
	}
	out := map[string]any{"feed": feed}
	if cursor != "" {
		out["cursor"] = cursor // the last page has one too
	}
	writeJSON(w, http.StatusOK, out)
}
