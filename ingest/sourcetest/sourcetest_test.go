package sourcetest_test

import (
	"context"
	"fmt"
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

// numbers is a source of twenty posts, three a page; fault names the rule that it
// breaks.
type numbers struct {
	fault string
	calls int
	page  []feedlake.Post
}

func (n *numbers) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	if err := ctx.Err(); err != nil && n.fault != "honours cancellation" {
		return ingest.Page{}, err
	}
	first, err := strconv.Atoi(string("0" + from))
	if err != nil && n.fault != "refuses a foreign cursor" {
		return ingest.Page{}, err
	}
	n.calls++
	p := ingest.Page{}
	if n.fault == "keeps off a page it gave away" {
		p.Posts = n.page[:0]
	}
	for i := first; i < min(first+3, 20); i++ {
		p.Posts = append(p.Posts, n.post(i))
	}
	n.page = p.Posts
	end := min(first+3, 20)
	p.Next, p.Done = feedlake.Cursor(strconv.Itoa(end)), end == 20
	switch {
	case n.fault == "ends" && p.Done:
		p.Next = "18"
	case n.fault == "moves its cursor with every record":
		p.Progress = ingest.Progress{Done: 5, Total: 3, Unit: "posts"}
	}
	if first == 3 {
		p.Rejects = []feedlake.Reject{{Reason: "bad", Position: "3"}}
		if n.fault == "hands no record out twice" {
			p.Rejects = append(p.Rejects, p.Rejects[0])
		}
	}
	return p, nil
}

func (n *numbers) post(i int) feedlake.Post {
	at := time.Date(2020, 1, 2, 3, 4, i, 0, time.UTC)
	p := feedlake.Post{Source: "s", ID: fmt.Sprint(i), Kind: feedlake.KindPost, CreatedAt: at, ObservedAt: at, Payload: "{}"}
	switch n.fault {
	case "repeats a page":
		p.Text = fmt.Sprint(n.calls)
	case "resumes from every cursor":
		if n.calls == 1 && i > 3 {
			p.Text = "of a source that was opened here"
		}
	case "gives posts fit for the lake":
		p.CreatedAt = time.Time{}
	}
	return p
}

// TestContract runs the suite on a good source.
func TestContract(t *testing.T) {
	sourcetest.Run(t, func(*testing.T) ingest.Source { return &numbers{fault: os.Getenv("FEEDLAKE_TEST_SOURCE_FAULT")} })
}

// TestContractFails runs the suite, in a process of its own, on a source that
// breaks one rule, and wants that rule's test to fail.
func TestContractFails(t *testing.T) {
	for _, rule := range []string{
		"ends", "repeats a page", "resumes from every cursor", "hands no record out twice", "keeps off a page it gave away",
		"honours cancellation", "refuses a foreign cursor", "moves its cursor with every record", "gives posts fit for the lake",
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestContract$")
		cmd.Env = append(os.Environ(), "FEEDLAKE_TEST_SOURCE_FAULT="+rule)
		out, err := cmd.CombinedOutput()
		if want := "--- FAIL: TestContract/" + strings.ReplaceAll(rule, " ", "_"); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("a source that breaks %q passes: %v\n%s", rule, err, out)
		}
	}
}
