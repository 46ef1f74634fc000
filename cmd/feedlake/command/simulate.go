package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
)

func newSimulateCommand(o *options) *cobra.Command {
	c := &cobra.Command{Use: "simulate", Short: "Answer as a social network does, offline"}
	c.AddCommand(newSimulateServeCommand(o))
	return c
}

func newSimulateServeCommand(o *options) *cobra.Command {
	var (
		platform, addr string
		end            string
		faults         []string
		at             serve.Options
	)
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve one platform's API over simulated posts",
		Long: `Serve one platform's API over simulated posts: its paging, rate limits, errors and
headers, and faults that you choose. Point a source at it with base_url. It ends
with Ctrl-C.`,
		Example: "  feedlake simulate serve --platform hackernews --addr 127.0.0.1:8901 --seed 1 --posts 5000\n" +
			"  feedlake simulate serve --platform reddit --addr 127.0.0.1:8902 --fault storm --fault cut",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, f := range faults {
				at.Faults = append(at.Faults, serve.Fault(f))
			}
			at.Now = o.env.now
			if end != "" {
				var ok bool
				if at.End, ok = parseInstant(end); !ok {
					return usage("--end %q: a day such as 2024-01-31, or an instant such as 2024-01-31T12:00:00Z", end)
				}
			}
			s, err := serve.New(platform, at)
			if err != nil {
				return err
			}
			return o.serveSimulated(cmd.Context(), s, platform, addr)
		},
	}
	f := c.Flags()
	f.StringVar(&platform, "platform", "", fmt.Sprintf("one of %v", serve.Platforms()))
	f.StringVar(&addr, "addr", "127.0.0.1:0", "address to listen on; port 0 takes a free one")
	f.Uint64Var(&at.Seed, "seed", 1, "the same seed gives the same posts")
	f.Int64Var(&at.Posts, "posts", 10_000, "posts in all")
	f.IntVar(&at.Days, "days", 14, "days that the posts spread over")
	f.StringVar(&end, "end", "", "end of the last of these days (UTC); the hour that has begun when absent")
	f.StringSliceVar(&faults, "fault", nil, fmt.Sprintf("what goes wrong, of %v; several with commas, or given again", serve.Faults()))
	return c
}

// serveSimulated serves until ctx ends.
func (o *options) serveSimulated(ctx context.Context, h http.Handler, platform, addr string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return feedlake.Hint(fmt.Errorf("listen on %s: %w: %w", addr, err, feedlake.ErrConfig), "choose another --addr")
	}
	printf(o.env.stdout, "%s answers on http://%s\n", platform, l.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err = server.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // streams that are still open
	}
	return errors.Join(err, ctx.Err())
}
