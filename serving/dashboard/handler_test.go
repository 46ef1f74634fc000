package dashboard_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/serving/dashboard"
)

// ask answers one request from this machine; head sets headers, "Host" too.
func ask(t testing.TB, h http.Handler, method, target string, head map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, http.NoBody)
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "127.0.0.1:5002"
	for k, v := range head {
		switch k {
		case "Host":
			r.Host = v
		case "Remote":
			r.RemoteAddr = v
		default:
			r.Header.Set(k, v)
		}
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// reply is the shape of every answer: the contract with other readers of the API.
type reply struct {
	State      string
	Message    string
	Data       map[string]any
	Provenance struct {
		SQL     string `json:"sql"`
		Command string
		Tables  []struct {
			Table       string
			Snapshot    string
			CommittedAt string `json:"committed_at"`
			RunID       string `json:"run_id"`
		}
		BuiltBy []struct {
			Table, Model, Inputs string
			RunID                string `json:"run_id"`
		} `json:"built_by"`
		Models []struct {
			Model   string
			Version int
		}
		Builds      int
		AsOf        string `json:"as_of"`
		Definitions map[string]string
	}
	Metrics map[string]reply
	Error   struct{ Message, Hint string }
}

func get(t testing.TB, h http.Handler, target string) (reply, int) {
	t.Helper()
	res := ask(t, h, http.MethodGet, target, nil)
	var out reply
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	return out, res.Code
}

func TestAnswers(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 5)
	h := dashboard.Handler(w.options())
	filter := "source=tweets&lang=en&from=2016-11-10&to=2016-11-12"
	for path, want := range map[string]struct {
		table   string
		columns string // of the rows, or of the data without rows
		models  string
		where   string
	}{
		"volume?" + filter:  {"marts.volume", "bucket posts source", "", "lang = 'en'"},
		"heatmap?" + filter: {"marts.volume", "hour_of_day posts weekday", "", "day >= DATE '2016-11-10'"},
		"sentiment?" + filter: {"marts.daily_sentiment", "corrected day negative negative_high negative_low negative_share net_sentiment neutral neutral_high neutral_low neutral_share " +
			"positive positive_high positive_low positive_share posts scored", "sentiment", "day <= DATE '2016-11-12'"},
		"engagement?" + filter:         {"marts.engagement", "engagement_rate likes posts rated_posts replies reposts source total_engagement", "", "source = 'tweets'"},
		"hashtags?limit=3&" + filter:   {"marts.trending_hashtags", "authors day expected hashtag net_sentiment peak_hour posts score source trending", "trends", "LIMIT 3"},
		"runs?limit=2":                 {"marts.pipeline_runs", "ended_at error job posts posts_per_second rejects run_id scored seconds started_at state steps", "", "LIMIT 2"},
		"filters":                      {"marts.volume", "first_day last_day posts value", "", "GROUP BY lang"},
		"summary?" + filter + " posts": {"marts.volume", "first_day langs last_day posts sources", "", "lang = 'en'"},
		"summary?" + filter + " sentiment": {"marts.daily_sentiment", "corrected negative negative_high negative_low negative_share net_sentiment neutral neutral_high neutral_low neutral_share " +
			"positive positive_high positive_low positive_share posts scored", "sentiment", "lang = 'en'"},
		"summary?" + filter + " throughput": {"marts.pipeline_runs", "ended_at job posts posts_per_second run_id seconds started_at state", "", "LIMIT 1"},
		"summary?" + filter + " hashtags":   {"marts.trending_hashtags", "authors day expected hashtag net_sentiment peak_hour posts score source trending", "trends", "LIMIT 5"},
		"summary?source= engagement_rate":   {"marts.engagement", "engagement_rate posts rated_posts", "", "sum(followers)"},
	} {
		t.Run(path, func(t *testing.T) {
			path, metric, _ := strings.Cut(path, " ")
			a, status := get(t, h, "/api/"+path)
			if metric != "" {
				a = a.Metrics[metric]
			}
			if status != http.StatusOK || a.State != "ok" {
				t.Fatalf("status %d, state %q: %+v", status, a.State, a)
			}
			if got := strings.Join(columnsOf(t, a.Data), " "); got != want.columns {
				t.Errorf("columns %q, want %q", got, want.columns)
			}
			p := a.Provenance
			if !strings.Contains(p.SQL, "FROM "+want.table) || !strings.Contains(p.SQL, want.where) {
				t.Errorf("sql:\n%s\nwant %s and %s", p.SQL, want.table, want.where)
			}
			if p.Tables[0].Table != want.table || p.Tables[0].Snapshot == "0" || p.Tables[0].CommittedAt == "" || p.Tables[0].RunID != firstRun || p.AsOf == "" {
				t.Errorf("tables %+v, as of %q", p.Tables, p.AsOf)
			}
			if len(p.BuiltBy) != 1 || p.Builds != 1 || p.BuiltBy[0].RunID != firstRun || p.BuiltBy[0].Inputs != inputs || p.BuiltBy[0].Model != want.table+"@0123456789ab" {
				t.Errorf("built by %+v", p.BuiltBy)
			}
			models := ""
			for _, m := range p.Models {
				models += m.Model
			}
			if models != want.models || len(p.Definitions) == 0 || !strings.HasPrefix(p.Command, "feedlake sql --at "+want.table+"@"+p.Tables[0].Snapshot) || !strings.HasSuffix(p.Command, ` "`+p.SQL+`"`) {
				t.Errorf("models %q, definitions %v, command %s", models, p.Definitions, p.Command)
			}
		})
	}
}

// columnsOf lists the names in the first row, sorted.
func columnsOf(t *testing.T, data map[string]any) []string {
	t.Helper()
	for _, list := range []string{"rows", "sources"} {
		if rows, ok := data[list].([]any); ok && len(rows) > 0 {
			data, _ = rows[0].(map[string]any)
			break
		}
	}
	return slices.Sorted(maps.Keys(data))
}

func TestBadRequests(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 1)
	h := dashboard.Handler(w.options())
	for path, want := range map[string]struct {
		status int
		hint   string
	}{
		"/api/volume?from=yesterday":                     {400, "such as 2016-10-06"},
		"/api/volume?to=2016-13-01":                      {400, "such as 2016-10-06"},
		"/api/volume?from=2016-10-07&to=2016-10-06":      {400, "swap them"},
		"/api/volume?sorce=reddit":                       {400, "known here: source, lang, from, to"},
		"/api/volume?source=a&source=b":                  {400, "once"},
		"/api/volume?source=%ff":                         {400, "/api/filters"},
		"/api/volume?lang=a%00b":                         {400, "/api/filters"},
		"/api/volume?source=" + strings.Repeat("x", 300): {400, "/api/filters"},
		"/api/volume?limit=5":                            {400, "known here"},
		"/api/hashtags?limit=0":                          {400, "from 1 to 200"},
		"/api/hashtags?limit=many":                       {400, "from 1 to 200"},
		"/api/nothing":                                   {404, "/api/summary"},
		"/api/models/marts.nothing":                      {404, "have none"},
	} {
		a, status := get(t, h, path)
		if status != want.status || !strings.Contains(a.Error.Hint, want.hint) || a.Error.Message == "" {
			t.Errorf("%s: status %d, %+v; want %d and a hint with %q", path, status, a.Error, want.status, want.hint)
		}
	}
	res := ask(t, h, http.MethodPost, "/api/volume", nil)
	if res.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", res.Code)
	}
}

// TestLiterals sends values that would end a literal.
func TestLiterals(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 1)
	h := dashboard.Handler(w.options())
	for _, v := range []string{"'", "' OR '1'='1", "x'; DROP VIEW marts.volume; --", `\'`, `"`, "日本"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/volume", http.NoBody)
		q := r.URL.Query()
		q.Set("source", v)
		if a, status := get(t, h, "/api/volume?"+q.Encode()); status != http.StatusOK || a.State != "empty" {
			t.Errorf("source %s: status %d, state %q", v, status, a.State)
		}
	}
	if a, _ := get(t, h, "/api/volume"); a.State != "ok" {
		t.Errorf("afterwards: %q", a.State)
	}
	a, _ := get(t, h, "/api/volume?source="+"%60%24(x)%22")
	if !strings.Contains(a.Provenance.Command, "\\`\\$(x)\\\"") {
		t.Errorf("the command is not safe in a shell: %s", a.Provenance.Command)
	}
}

// TestUnits wants short ranges by hour.
func TestUnits(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 6)
	h := dashboard.Handler(w.options())
	for path, want := range map[string]string{"/api/volume": "day", "/api/volume?from=2016-11-09": "day", "/api/volume?from=2016-11-10": "hour", "/api/volume?to=2016-11-08": "hour"} {
		if a, _ := get(t, h, path); a.Data["unit"] != want {
			t.Errorf("%s: by %v, want %s", path, a.Data["unit"], want)
		}
	}
}

// TestTags holds the tag of an answer while the lake stands still, and moves it
// with the lake.
func TestTags(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay().AddDate(0, 0, -1), 2)
	h := dashboard.Handler(w.options())
	first := ask(t, h, http.MethodGet, "/api/summary", nil).Header().Get("ETag")
	if first == "" || first == ask(t, h, http.MethodGet, "/api/summary?source=reddit", nil).Header().Get("ETag") {
		t.Errorf("tag %q does not tell questions apart", first)
	}
	res := ask(t, h, http.MethodGet, "/api/summary", map[string]string{"If-None-Match": `"other", ` + first})
	if body, _ := io.ReadAll(res.Body); res.Code != http.StatusNotModified || len(body) != 0 {
		t.Errorf("same lake: status %d with %d bytes", res.Code, len(body))
	}
	before, _ := get(t, h, "/api/summary")
	w.fillDay(lastDay())
	w.flush()
	res = ask(t, h, http.MethodGet, "/api/summary", map[string]string{"If-None-Match": first})
	if res.Code != http.StatusOK || res.Header().Get("ETag") == first {
		t.Errorf("newer lake: status %d, tag %s", res.Code, res.Header().Get("ETag"))
	}
	after, _ := get(t, h, "/api/summary")
	if cmp.Equal(before.Metrics["posts"].Data, after.Metrics["posts"].Data) || cmp.Equal(before.Metrics["posts"].Provenance.Tables, after.Metrics["posts"].Provenance.Tables) {
		t.Error("the answer did not follow the lake")
	}
}

// TestLakeGone closes the lake under a dashboard: it keeps what it has.
func TestLakeGone(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 1)
	h := dashboard.Handler(w.options())
	if a, _ := get(t, h, "/api/volume"); a.State != "ok" {
		t.Fatal(a)
	}
	if err := w.lake.Close(); err != nil {
		t.Fatal(err)
	}
	if a, status := get(t, h, "/api/volume"); a.State != "ok" || status != http.StatusOK {
		t.Errorf("status %d, state %q", status, a.State)
	}
	fresh, status := get(t, dashboard.Handler(w.options()), "/api/volume")
	if status != http.StatusInternalServerError || !strings.Contains(fresh.Error.Hint, "log") {
		t.Errorf("a dashboard that never saw the lake: %d %+v", status, fresh.Error)
	}
}

// TestVendor compares the charts' library with the sum that its README names.
func TestVendor(t *testing.T) {
	const dir = "static/vendor/"
	body, err := os.ReadFile(dir + "echarts.common.min.js")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(dir + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	if !strings.Contains(string(readme), hex.EncodeToString(sum[:])) {
		t.Errorf("the file's sha256 is %x, the README names another", sum)
	}
}
