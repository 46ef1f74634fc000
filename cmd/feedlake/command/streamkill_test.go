package command

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "github.com/feedlake/feedlake/ingest/wire/mastodon"
)

// filler is what the stream tells that is no event, in bytes.
const filler = 32 << 20

// toldPosts is how many statuses the server has: the timeline tells the first, the
// stream the others.
const toldPosts = 120

// stream is a server that tells statuses once, closes told when the client has read them all, and then
// stays open. A second connection hears nothing, as with a stream without replay.
func stream(t *testing.T, told chan<- struct{}) *httptest.Server {
	t.Helper()
	connections := make(chan struct{}, 1)
	connections <- struct{}{}
	start := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	status := func(i int) string {
		at := start.Add(time.Duration(i) * time.Second)
		return fmt.Sprintf(`{"id":%q,"uri":"https://social.example/%d","created_at":%q,"visibility":"public","content":"x","account":{"acct":"a","uri":"https://social.example/a"}}`,
			wire.IDAt(at), i, at.Format(time.RFC3339))
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "streaming") {
			q, page := r.URL.Query(), "["+status(0)+"]"
			if id := wire.IDAt(start); q.Get("max_id") != "" && wire.Compare(q.Get("max_id"), id) <= 0 || q.Get("min_id") != "" && wire.Compare(q.Get("min_id"), id) >= 0 {
				page = "[]"
			}
			_, _ = io.WriteString(w, page)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		select {
		case <-connections:
			for i := 1; i < toldPosts; i++ {
				_, _ = fmt.Fprintf(w, "event: update\ndata: %s\n\n", status(i))
			}
			// More than the connection can hold: once it is written, what came before it
			// was read.
			for range filler / 1000 {
				_, _ = io.WriteString(w, ":"+strings.Repeat(" ", 998)+"\n")
			}
			_ = http.NewResponseController(w).Flush()
			close(told)
		default:
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s
}

// TestWholeStreamKilled listens to a stream that tells everything once. A run that
// is ended by SIGTERM lands all that it heard, though nothing was due yet; one that
// is killed keeps what was landed in time.
func TestWholeStreamKilled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, flush string
		signal      syscall.Signal
	}{
		{"SIGTERM", "1h", syscall.SIGTERM},
		{"SIGKILL", "1s", syscall.SIGKILL},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			told := make(chan struct{})
			server := stream(t, told)
			cl := newCLI(t, "lake: {dir: lake}\ncredentials:\n  me: {keys: {access_token: \"${TOKEN}\"}}\nsources:\n"+
				"  - {name: m, kind: mastodon, credential: me, with: {base_url: "+server.URL+", stream: true, listen: 1h, flush: "+c.flush+"}}\n")
			cl.now, cl.env["TOKEN"] = time.Now(), "a token"
			cmd := program(t, cl.dir, "ingest")
			cmd.Env = append(cmd.Env, "TOKEN=a token")
			pipe, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			landed, ended := make(chan struct{}), make(chan string, 1)
			go func() {
				rows, last := 0, ""
				for log := bufio.NewScanner(pipe); log.Scan(); {
					var line struct {
						Msg  string
						Rows int
					}
					last = log.Text()
					if json.Unmarshal(log.Bytes(), &line) != nil || line.Msg != "batch landed" {
						continue
					}
					if rows += line.Rows; rows == toldPosts {
						close(landed)
					}
				}
				ended <- last
			}()
			await := func(done <-chan struct{}) {
				t.Helper()
				select {
				case <-done:
				case last := <-ended:
					t.Fatalf("the run ended by itself: %s", last)
				}
			}
			await(told)
			if c.signal == syscall.SIGKILL { // what was due has landed: nothing of it may be lost
				await(landed)
			}
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil || errors.Is(err, os.ErrProcessDone) {
				t.Errorf("the run ended by itself: %v", err)
			}
			if got := cl.value("select count(*) || ' ' || count(distinct id) from raw.posts"); got != fmt.Sprintf("%d %d", toldPosts, toldPosts) {
				t.Errorf("%s posts in the lake, want %d", got, toldPosts)
			}
		})
	}
}
