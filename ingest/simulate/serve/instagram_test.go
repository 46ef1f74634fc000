package serve_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest/simulate/serve"
)

// Shapes of the platform's answers, by an example of each value. Media follow
// IGMedia of api_specs/specs in facebook/facebook-business-sdk-codegen, where a
// timestamp is "datetime" and counts are "int"; the rest follows the samples of
// the reference (developers.facebook.com/docs/instagram-platform).
const (
	igList     = `{"data":[{"id":"1"}]}`
	igMediaAll = `{"data":[{"caption":"c","children":{"data":[{"id":"1"}]},"comments_count":1,"id":"1","ig_id":"1","is_comment_enabled":true,"like_count":1,
		"media_product_type":"FEED","media_type":"IMAGE","media_url":"u","owner":{"id":"1"},"permalink":"p","shortcode":"s","timestamp":"t","username":"n"}],
		"paging":{"cursors":{"after":"a"},"next":"n"}}`
	igInsights = `{"data":[{"name":"n","period":"p","values":[{"value":1}],"title":"t","description":"d","id":"i"}]}`
	igFault    = `{"error":{"message":"m","type":"OAuthException","code":100,"error_subcode":33,"fbtrace_id":"f"}}`
	igToken    = `{"data":{"app_id":"1","type":"USER","application":"a","is_valid":true,"expires_at":1,"scopes":["s"],"user_id":"1"}}`
	igApp      = `{"call_count":1,"total_cputime":1,"total_time":1}`
	igCases    = `{"17841400000000001":[{"type":"instagram","call_count":1,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":1}]}`
)

// unlike says where an answer has a key that the shape has not, or a value of
// another type; "" when it is like it. Optional keys may be absent.
func unlike(at string, got, want any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s: %T instead of an object", at, got)
		}
		for k, v := range g {
			if _, ok := w[k]; !ok {
				return fmt.Sprintf("%s.%s is not in the shape", at, k)
			}
			if s := unlike(at+"."+k, v, w[k]); s != "" {
				return s
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok {
			return fmt.Sprintf("%s: %T instead of a list", at, got)
		}
		for i, v := range g {
			if s := unlike(fmt.Sprintf("%s[%d]", at, i), v, w[0]); s != "" {
				return s
			}
		}
	default:
		if a, b := fmt.Sprintf("%T", got), fmt.Sprintf("%T", want); a != b {
			return fmt.Sprintf("%s: %s instead of %s", at, a, b)
		}
	}
	return ""
}

func parsed(t *testing.T, s string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%v in %.200s", err, s)
	}
	return v
}

// instagram answers a question for one of its own.
func instagram(t *testing.T, faults ...serve.Fault) func(path string) *httptest.ResponseRecorder {
	t.Helper()
	s, err := serve.New("instagram", serve.Options{Seed: 7, Posts: 200, Days: 1, Faults: faults, Now: func() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	return func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v25.0/"+path, nil)
		if !strings.Contains(path, "access_token") {
			r.Header.Set("Authorization", "Bearer "+serve.InstagramToken)
		}
		s.ServeHTTP(w, r)
		return w
	}
}

// TestInstagramShapes compares the simulator's answers with those of the
// platform.
func TestInstagramShapes(t *testing.T) {
	ask := instagram(t)
	var found struct{ Data []struct{ ID string } }
	if err := json.Unmarshal(ask("ig_hashtag_search?q=simulated&user_id="+serve.InstagramUser).Body.Bytes(), &found); err != nil || len(found.Data) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	tag, user := found.Data[0].ID, serve.InstagramUser
	all := "caption,children,comments_count,id,like_count,media_type,media_url,permalink,timestamp"
	own := all + ",ig_id,shortcode,media_product_type,is_comment_enabled,owner,username"
	for path, want := range map[string]struct {
		status int
		shape  string
	}{
		"ig_hashtag_search?q=simulated&user_id=" + user:                   {200, igList},
		tag + "?fields=id,name":                                           {200, `{"id":"1","name":"n"}`},
		tag + "/recent_media?limit=50&user_id=" + user + "&fields=" + all: {200, igMediaAll},
		tag + "/top_media?limit=50&user_id=" + user + "&fields=" + all:    {200, igMediaAll},
		tag + "/recent_media?user_id=" + user + "&fields=username":        {400, igFault},
		tag + "/recent_media?fields=id":                                   {400, igFault},
		tag + "/recent_media?limit=51&user_id=" + user:                    {400, igFault},
		user + "/media?limit=50&fields=" + own:                            {200, igMediaAll},
		user + "/recently_searched_hashtags?limit=30":                     {200, igList},
		user + "?fields=id,username,media_count":                          {200, `{"id":"1","username":"n","media_count":1}`},
		"17900000000000000?fields=id,caption":                             {200, `{"id":"1","caption":"c"}`},
		"17900000000000000/insights?metric=views,reach":                   {200, igInsights},
		"17900000000000003/insights?metric=views":                         {400, igFault},
		"17900000000000005/insights?metric=views":                         {400, igFault},
		"12345":                              {400, igFault},
		"12345/recent_media?user_id=" + user: {400, igFault},
		"ig_hashtag_search?q=forbidden&user_id=" + user:   {400, igFault},
		"debug_token?input_token=" + serve.InstagramToken: {200, igToken},
		user + "?access_token=" + serve.InstagramToken:    {200, `{"id":"1"}`},
		user + "?access_token=wrong":                      {400, igFault},
	} {
		w := ask(path)
		if s := unlike("", parsed(t, w.Body.String()), parsed(t, want.shape)); w.Code != want.status || s != "" {
			t.Errorf("%s: %d, want %d; %s", path, w.Code, want.status, s)
		}
	}
	w := ask(user)
	for header, shape := range map[string]string{"X-App-Usage": igApp, "X-Business-Use-Case-Usage": igCases} {
		for range 100 {
			w = ask(user)
		}
		if s := unlike("", parsed(t, w.Header().Get(header)), parsed(t, shape)); s != "" {
			t.Errorf("%s: %s", header, s)
		}
	}
}

// TestInstagramPaging follows the links of a hashtag: "after" is the same on
// every page, and the last page has no link.
func TestInstagramPaging(t *testing.T) {
	ask := instagram(t)
	var found struct{ Data []struct{ ID string } }
	if err := json.Unmarshal(ask("ig_hashtag_search?q=simulated&user_id="+serve.InstagramUser).Body.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	path, seen := found.Data[0].ID+"/recent_media?limit=50&user_id="+serve.InstagramUser, map[string]bool{}
	for pages := 1; ; pages++ {
		var page struct {
			Data   []struct{ ID string }
			Paging struct {
				Cursors struct{ After, Before string }
				Next    string
			}
		}
		if err := json.Unmarshal(ask(path).Body.Bytes(), &page); err != nil || pages > 10 {
			t.Fatal(pages, err)
		}
		for _, m := range page.Data {
			if seen[m.ID] {
				t.Errorf("%s came twice", m.ID)
			}
			seen[m.ID] = true
		}
		if page.Paging.Cursors.After != "QVFIsame" || page.Paging.Cursors.Before != "" {
			t.Errorf("cursors %+v", page.Paging.Cursors)
		}
		if page.Paging.Next == "" {
			break
		}
		u, err := url.Parse(page.Paging.Next)
		if err != nil {
			t.Fatal(err)
		}
		path = strings.TrimPrefix(u.Path, "/v25.0/") + "?" + u.RawQuery
	}
	if len(seen) < 150 {
		t.Errorf("%d media", len(seen))
	}
}

// TestInstagramQuota refuses the 31st hashtag in 7 days, and none of the 30.
func TestInstagramQuota(t *testing.T) {
	ask := instagram(t)
	for i := range 32 {
		w := ask(fmt.Sprintf("ig_hashtag_search?q=tag%d&user_id=%s", i%31, serve.InstagramUser))
		if want := map[bool]int{true: 400, false: 200}[i == 30]; w.Code != want {
			t.Errorf("hashtag %d: %d, want %d: %s", i, w.Code, want, w.Body)
		}
	}
}

// TestInstagramLimit speaks of a limit in every way of the platform, with full
// headers.
func TestInstagramLimit(t *testing.T) {
	ask, codes := instagram(t, serve.Storm), map[float64]bool{}
	for range 200 {
		w := ask(serve.InstagramUser)
		if w.Code == http.StatusOK {
			continue
		}
		body, _ := parsed(t, w.Body.String()).(map[string]any)["error"].(map[string]any)
		code, _ := body["code"].(float64)
		codes[code] = true
		if !strings.Contains(w.Header().Get("X-App-Usage"), `"call_count":100`) {
			t.Errorf("code %g with usage %s", code, w.Header().Get("X-App-Usage"))
		}
	}
	for _, c := range []float64{4, 32, 100, 80002} {
		if !codes[c] {
			t.Errorf("code %g never came", c)
		}
	}
}
