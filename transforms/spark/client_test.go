package spark

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/feedlake/feedlake"
)

func TestParseRemote(t *testing.T) {
	for _, c := range []struct {
		text string
		want remote
	}{
		{"sc://spark", remote{addr: "spark:15002", user: "feedlake"}},
		{"sc://127.0.0.1:1234/", remote{addr: "127.0.0.1:1234", user: "feedlake"}},
		{"sc://[::1]:1", remote{addr: "[::1]:1", user: "feedlake"}},
		{"sc://spark:1/;use_ssl=true", remote{addr: "spark:1", user: "feedlake", tls: true}},
		{"sc://spark:1/;token=a%20b;user_id=me", remote{addr: "spark:1", user: "me", token: "a b", tls: true}},
		{"sc://localhost:1/;token=x", remote{addr: "localhost:1", user: "feedlake", token: "x"}},
	} {
		if got, err := parseRemote(c.text); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v", c.text, got, err)
		}
	}
	for _, bad := range []string{
		"", "spark:15002", "http://spark", "sc://", "sc://me:s3cret@spark", "sc://spark/db", "sc://spark/;what=s3cret", "sc://spark/;token=s3cret;use_ssl=false",
	} {
		_, err := parseRemote(bad)
		var hint *feedlake.HintError
		if !errors.Is(err, feedlake.ErrConfig) || !errors.As(err, &hint) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want an error wrapping ErrConfig, a hint and no secret", bad, err)
		}
	}
}

func TestOpenSaysThatNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Options{Remote: "sc://" + addr, Log: slog.New(slog.DiscardHandler)})
	var hint *feedlake.HintError
	if err == nil || !strings.Contains(err.Error(), addr) || !errors.As(err, &hint) || !strings.Contains(hint.Hint, "make services-up") {
		t.Errorf("got %v, want the address and a hint", err)
	}
}

func TestShortMessages(t *testing.T) {
	for _, c := range []struct{ long, want string }{
		{"[X] a\nb. SQLSTATE: 42703; line 2 pos 2;\n'Project [1]\n", "[X] a b. SQLSTATE: 42703; line 2 pos 2"},
		{"[CAST] bad 'a'. SQLSTATE: 22018\n== SQL (line 2, position 8) ==\nselect", "[CAST] bad 'a'. SQLSTATE: 22018"},
		{
			"Job aborted due to stage failure: Task 0 in stage 1.0 failed 1 times, most recent failure: Lost task 0.0 in stage 1.0 (TID 3) (host executor driver): " +
				"org.apache.x.NotFoundException: no file: a.parquet\n\tat org.apache.x.Y(Z.java:1)\n", "no file: a.parquet",
		},
	} {
		if got := short(c.long); got != c.want {
			t.Errorf("%q became %q, want %q", c.long, got, c.want)
		}
	}
}
