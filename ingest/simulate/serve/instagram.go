package serve

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/feedlake/feedlake/ingest/simulate"
)

// instagram answers as the Graph API does below /vN.N: hashtags, media of an
// account, insights. Its token does not expire while a test runs, since real ones
// last 60 days and a program cannot make a new one: Expire changes nothing.
type instagram struct {
	s *Server

	mu    sync.Mutex
	tags  map[string]string               // name of a hashtag by its id
	asked map[string]map[string]time.Time // by account: hashtags of the last 7 days
}

// What the simulated Instagram knows.
const (
	InstagramToken  = "simulated-token"   // an access token
	InstagramUser   = "17841400000000001" // an account; every number that begins with 1784140 is one
	InstagramTag    = "simulated"         // the hashtag that every post carries
	InstagramClosed = "closed"            // the hashtag that is held back with BadFeed
)

// Bounds of hashtags and pages.
const (
	igTags    = 30
	igWeek    = 7 * 24 * time.Hour
	igMost    = 50
	igUsual   = 25
	igFirst   = 17_900_000_000_000_000    // of the numbers of media
	igNumber  = 3_800_000_000_000_000_000 // of those that the website gives
	igPerHour = 2000
)

func newInstagram(s *Server) platform {
	g := &instagram{s: s, tags: map[string]string{tagID(InstagramTag): InstagramTag}, asked: map[string]map[string]time.Time{}}
	for i := range s.items {
		for word := range strings.FieldsSeq(s.items[i].Text) {
			if name, ok := strings.CutPrefix(word, "#"); ok {
				g.tags[tagID(strings.ToLower(name))] = strings.ToLower(name)
			}
		}
	}
	return g
}

func (g *instagram) routes(mux *http.ServeMux) {
	for path, h := range map[string]http.HandlerFunc{
		"ig_hashtag_search":               g.search,
		"debug_token":                     g.debugToken,
		"{id}":                            g.node,
		"{id}/recent_media":               g.hashtagMedia,
		"{id}/top_media":                  g.hashtagMedia,
		"{id}/media":                      g.accountMedia,
		"{id}/insights":                   g.insights,
		"{id}/recently_searched_hashtags": g.searched,
	} {
		mux.HandleFunc("GET /"+path, g.signed(h)) // of the oldest version
		mux.HandleFunc("GET /{version}/"+path, g.signed(h))
	}
}

// id is the website's number. The API has another one of its own.
func (*instagram) id(it *simulate.Item) string { return strconv.FormatInt(igNumber+it.N, 10) }

func igNode(it *simulate.Item) string { return strconv.FormatInt(igFirst+it.N, 10) }

// igCode spells an item's number in addresses.
func igCode(it *simulate.Item) string {
	code := ""
	for n := igNumber + it.N; n > 0; n >>= 6 {
		code = string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[n&63]) + code
	}
	return code
}

func (*instagram) limit(*http.Request) (string, int, time.Duration) {
	return "account", igPerHour, time.Hour
}

// headers tells the use in per cent. As on the platform they appear only after
// some use.
func (*instagram) headers(h http.Header, l limitState) {
	percent := 100 * (l.calls - l.remaining) / l.calls
	if percent == 0 {
		return
	}
	regain := 0
	if l.remaining == 0 {
		regain = int(math.Ceil(l.reset.Sub(l.now).Minutes()))
	}
	h.Set("X-App-Usage", fmt.Sprintf(`{"call_count":%d,"total_cputime":%d,"total_time":%d}`, percent, percent/3, percent/2))
	h.Set("X-Business-Use-Case-Usage", fmt.Sprintf(
		`{"%s":[{"type":"instagram","call_count":%d,"total_cputime":%d,"total_time":%d,"estimated_time_to_regain_access":%d}]}`,
		InstagramUser, percent, percent/3, percent/2, regain))
}

// limited answers in turn as the platform does: with a code of its own, or as if
// the object did not exist.
func (g *instagram) limited(w http.ResponseWriter, _ limitState) {
	g.s.mu.Lock()
	n := g.s.requests
	g.s.mu.Unlock()
	switch n % 4 {
	case 0:
		igError(w, http.StatusForbidden, "(#4) Application request limit reached", 4, 0)
	case 1:
		igError(w, http.StatusBadRequest, "Unsupported get request. Object with ID '1' does not exist, cannot be loaded due to missing permissions, or does not support this operation", 100, 33)
	case 2:
		igError(w, http.StatusBadRequest, "(#80002) There have been too many calls to this Instagram account", 80002, 0)
	default:
		igError(w, http.StatusBadRequest, "(#32) Page request limit reached", 32, 0)
	}
}

func (*instagram) failed(w http.ResponseWriter, status int) {
	igError(w, status, "An unexpected error has occurred. Please retry your request later.", 2, 0)
}

func (*instagram) unauthorized(w http.ResponseWriter) {
	igError(w, http.StatusBadRequest, "Error validating access token: Session has expired", 190, 463)
}

// igError is an error of the Graph API.
func igError(w http.ResponseWriter, status int, message string, code, subcode int) {
	e := map[string]any{"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "AsimulatedTrace"}
	if subcode != 0 {
		e["error_subcode"] = subcode
	}
	writeJSON(w, status, map[string]any{"error": e})
}

// spoken is the token of a request, in the header or in the query.
func spoken(r *http.Request) string {
	if s, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return s
	}
	return r.URL.Query().Get("access_token")
}

// signed wants a token.
func (g *instagram) signed(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !good(spoken(r)) {
			g.unauthorized(w)
			return
		}
		h(w, r)
	}
}

func igMissing(w http.ResponseWriter, id string) {
	igError(w, http.StatusBadRequest, "Unsupported get request. Object with ID '"+id+"' does not exist, cannot be loaded due to missing permissions, or does not support this operation", 100, 33)
}

// tagID is the same for a name always, as on the platform.
func tagID(name string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // cannot fail
	return strconv.FormatUint(17_840_000_000_000_000+h.Sum64()%9_000_000_000_000, 10)
}

// tag is the name of a hashtag: ids are for ever, so those that posts carry are
// known from the beginning.
func (g *instagram) tag(id string) (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name, ok := g.tags[id]
	return name, ok
}

func igAccount(id string) bool { return strings.HasPrefix(id, "1784140") }

// search finds a hashtag's id; to ask counts.
func (g *instagram) search(w http.ResponseWriter, r *http.Request) {
	name, user := strings.ToLower(r.URL.Query().Get("q")), r.URL.Query().Get("user_id")
	switch {
	case !igAccount(user):
		igMissing(w, user)
		return
	case name == "" || strings.ContainsAny(name, "# ") || strings.HasPrefix(name, "forbidden"), name == InstagramClosed && g.s.has(BadFeed):
		igError(w, http.StatusBadRequest, "Invalid parameter: the requested resource does not exist", 24, 2207024)
		return
	}
	id := tagID(name)
	g.mu.Lock()
	g.tags[id] = name
	g.mu.Unlock()
	if g.spend(w, user, id) {
		writeJSON(w, http.StatusOK, map[string]any{"data": []any{map[string]any{"id": id}}})
	}
}

// spend counts a hashtag against an account's 30 a week, or answers that they
// are used up.
func (g *instagram) spend(w http.ResponseWriter, user, id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	used := g.week(user)
	if _, ok := used[id]; ok {
		return true
	}
	if len(used) >= igTags {
		igError(w, http.StatusBadRequest, "(#18) This user has exceeded the maximum number of unique hashtags within 7 days", 18, 2207034)
		return false
	}
	used[id] = g.s.now()
	return true
}

// week are the hashtags that an account asked for in the last 7 days.
func (g *instagram) week(user string) map[string]time.Time {
	used := g.asked[user]
	if used == nil {
		used = map[string]time.Time{}
		g.asked[user] = used
	}
	for id, at := range used {
		if g.s.now().Sub(at) >= igWeek {
			delete(used, id)
		}
	}
	return used
}

func (g *instagram) searched(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("id")
	if !igAccount(user) {
		igMissing(w, user)
		return
	}
	limit, _ := strconv.Atoi(orElse(r.URL.Query().Get("limit"), "25"))
	g.mu.Lock()
	defer g.mu.Unlock()
	data := []any{}
	used := g.week(user)
	for _, id := range slices.Sorted(maps.Keys(used)) {
		if len(data) < min(max(limit, 1), igTags) {
			data = append(data, map[string]any{"id": id})
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": data})
}

func (g *instagram) debugToken(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"data": map[string]any{
		"app_id": "1", "type": "USER", "application": "simulated", "is_valid": good(r.URL.Query().Get("input_token")), "expires_at": g.s.now().Add(50 * 24 * time.Hour).Unix(),
		"scopes": []string{"instagram_basic", "pages_show_list"}, "user_id": "1",
	}})
}

// node answers for an account, a hashtag or a media by itself.
func (g *instagram) node(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	tag, ok := g.tag(id)
	fields := igFields(r)
	switch {
	case igAccount(id):
		writeJSON(w, http.StatusOK, only(fields, map[string]any{"id": id, "username": "simulated_account", "media_count": len(g.s.visible()), "followers_count": 321}))
	case ok:
		writeJSON(w, http.StatusOK, only(fields, map[string]any{"id": id, "name": tag}))
	default:
		if it := g.find(id); it != nil {
			writeJSON(w, http.StatusOK, only(fields, g.media(it, true)))
			return
		}
		igMissing(w, id)
	}
}

// find is the visible item with an id; nil: none.
func (g *instagram) find(id string) *simulate.Item {
	for _, it := range g.s.visible() {
		if igNode(it) == id {
			return it
		}
	}
	return nil
}

func igFields(r *http.Request) []string {
	return strings.Split(orElse(r.URL.Query().Get("fields"), "id"), ",")
}

// only keeps those fields that were asked for; id comes always.
func only(fields []string, m map[string]any) map[string]any {
	out := map[string]any{"id": m["id"]}
	for _, f := range fields {
		if v, ok := m[f]; ok {
			out[f] = v
		}
	}
	return out
}

// token of a page, in the form that the platform gives its own.
func igToken(n int64) string { return "QVFI" + strconv.FormatInt(n, 36) }

func igPlace(token string) (int64, bool) {
	s, ok := strings.CutPrefix(token, "QVFI")
	n, err := strconv.ParseInt(s, 36, 64)
	return n, ok && err == nil
}
