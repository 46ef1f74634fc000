package sourcetest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// toy is a platform of thirty posts, three a page; with the fault "busy" every
// other request fails.
type toy struct {
	busy  bool
	calls int
}

const toyPosts = 30

func (s *toy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.calls++; s.busy && s.calls%2 == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("from"))
	var ids []int
	for i := from; i < min(from+3, toyPosts); i++ {
		ids = append(ids, i)
	}
	_ = json.NewEncoder(w).Encode(ids)
}

func (s *toy) All() (ids []string) {
	for i := range toyPosts {
		ids = append(ids, fmt.Sprint(i))
	}
	return ids
}

func (s *toy) Network() string { return "toy" }

func (s *toy) Live() []string { return s.All() }

func (s *toy) Growing() bool { return false }

func (s *toy) Edited(string) bool { return false }

// toySource reads the toy; fault names the mistake that it makes.
type toySource struct {
	url, fault string
	pages      int
}

func (s *toySource) network() string {
	if s.fault == "tells no network" {
		return ""
	}
	return "toy"
}

func (s *toySource) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	first, _ := strconv.Atoi(string(from))
	if s.pages++; s.fault == "ignores the cursor" {
		first = 3 * (s.pages - 1)
	}
	ids, err := s.ask(ctx, first)
	if err != nil {
		return ingest.Page{}, err
	}
	p := ingest.Page{Next: feedlake.Cursor(strconv.Itoa(first + len(ids))), Done: first+len(ids) >= toyPosts && s.fault != "never ends"}
	for _, id := range ids {
		if s.fault == "drops a post" && id == 7 {
			continue
		}
		p.Posts = append(p.Posts, feedlake.Post{Network: s.network(), ID: fmt.Sprint(id)})
		if s.fault == "doubles a post" && id == 7 {
			p.Posts = append(p.Posts, feedlake.Post{Network: "toy", ID: "7"})
		}
	}
	if s.fault == "never ends" && len(ids) == 0 {
		p.Next = feedlake.Cursor(strconv.Itoa(first + 1))
	}
	if len(ids) == 0 {
		return p, nil
	}
	switch s.fault {
	case "stands still":
		p.Next = from
	case "makes a post up":
		p.Posts = append(p.Posts, feedlake.Post{Network: "toy", ID: "made up"})
	case "rejects what is good":
		p.Rejects = []feedlake.Reject{{Reason: "bad", Position: "here"}}
	case "stops early":
		p.Done = p.Done || first == 9 && s.pages > 1
		if p.Done {
			p.Next = "30"
		}
	}
	return p, nil
}

func (s *toySource) ask(ctx context.Context, first int) (ids []int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s?from=%d", s.url, first), nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	switch {
	case res.StatusCode == http.StatusOK:
		return ids, json.NewDecoder(res.Body).Decode(&ids)
	case s.fault == "gives up":
		return nil, fmt.Errorf("status %d", res.StatusCode)
	case s.fault == "takes a failure for the end":
		return nil, nil
	}
	return nil, &feedlake.RetryError{Err: fmt.Errorf("status %d", res.StatusCode), After: time.Second}
}

// TestConnector runs the contract on a good source.
func TestConnector(t *testing.T) {
	start := func(faults []string, _ func() time.Time) (sourcetest.Server, error) {
		return &toy{busy: len(faults) > 0}, nil
	}
	from := func(_ *testing.T, _ ingest.Env, url string) ingest.Source {
		return &toySource{url: url, fault: os.Getenv("FEEDLAKE_TEST_CONNECTOR_FAULT")}
	}
	sourcetest.Connector(t, []string{"busy"}, start, from)
	sourcetest.ConnectorFaults(t, []string{"busy"}, start, from)
}

// TestConnectorFails runs the contract, in a process of its own, on a source that
// makes one mistake, and wants to be told of it.
func TestConnectorFails(t *testing.T) {
	for fault, says := range map[string]string{
		"drops a post":                "post 7 did not come",
		"doubles a post":              "post 7 came 2 times",
		"ignores the cursor":          "post 0 came ",
		"never ends":                  "no end after",
		"stands still":                "did not move the cursor",
		"makes a post up":             "posts that the server does not have",
		"rejects what is good":        "here: bad",
		"stops early":                 "post 29 did not come",
		"tells no network":            "is of network",
		"gives up":                    "status 503",
		"takes a failure for the end": "did not move the cursor",
	} {
		set := "no_fault"
		if strings.Contains(says, "503") || strings.Contains(fault, "failure") {
			set = "busy"
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestConnector$/^"+set+"$")
		cmd.Env = append(os.Environ(), "FEEDLAKE_TEST_CONNECTOR_FAULT="+fault)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), says) {
			t.Errorf("a source that %s passes: %v\n%s", fault, err, out)
		}
	}
}
