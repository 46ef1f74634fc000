package command

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/ingest"
)

// backfillRequest is what a person asks for.
type backfillRequest struct {
	source, from, to, slice string
	dryRun                  bool
}

func newBackfillCommand(o *options) *cobra.Command {
	var r backfillRequest
	c := &cobra.Command{
		Use:   "backfill",
		Short: "Read a time in the past from a source, slice by slice",
		Long: `Read a time in the past from a source, slice by slice. Slices that were read before
are not asked for again; one that failed, or was broken off, goes on where it was.
The place up to which "feedlake run" follows the source is not touched.

Slices side by side are asked for as one where that costs less, as from listings
that cannot be searched by time; each still counts as read by itself.

With --dry-run, tell what is missing and what it costs: the platforms are asked
for counts where they give some, and listings are looked through where not; what
cannot be known is said. Nothing is landed.`,
		Example: "  feedlake backfill --source reddit --from 2024-01-01 --to 2024-03-01 --dry-run\n" +
			"  feedlake backfill --source reddit --from 2024-01-01 --to 2024-03-01 --slice day",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := r.window()
			if err != nil {
				return err
			}
			if r.dryRun {
				return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error { return a.previewBackfill(ctx, r.in(w)) })
			}
			return o.single(cmd.Context(), wiring.KindBackfill, nil, func(ctx context.Context, a *app) error { return a.Backfill(ctx, r.in(w)) })
		},
	}
	f := c.Flags()
	f.StringVar(&r.source, "source", "", "name of a source in the config")
	f.StringVar(&r.from, "from", "", "first day, or instant (UTC)")
	f.StringVar(&r.to, "to", "", "end, not part of it: a day, or an instant (UTC)")
	f.StringVar(&r.slice, "slice", ingest.SliceDay, "hour, day, week or month")
	f.BoolVar(&r.dryRun, "dry-run", false, "only tell what is missing and what it costs")
	return c
}

// in is what the stages get of it.
func (r backfillRequest) in(w feedlake.Window) wiring.BackfillRequest {
	return wiring.BackfillRequest{Source: r.source, Window: w, Slice: r.slice}
}

// window reads --from and --to.
func (r backfillRequest) window() (feedlake.Window, error) {
	if r.source == "" || r.from == "" || r.to == "" {
		return feedlake.Window{}, usage("backfill needs --source, --from and --to")
	}
	return parseWindow(r.from, r.to)
}

// parseWindow reads the flags --from and --to.
func parseWindow(from, to string) (w feedlake.Window, err error) {
	for _, b := range []struct {
		flag, text string
		to         *time.Time
	}{{"--from", from, &w.Start}, {"--to", to, &w.End}} {
		var ok bool
		if *b.to, ok = parseInstant(b.text); !ok {
			return w, usage("%s %q: a day such as 2024-01-31, or an instant such as 2024-01-31T12:00:00Z", b.flag, b.text)
		}
	}
	if !w.Start.Before(w.End) {
		return w, usage("--from %s is not before --to %s", from, to)
	}
	return w, nil
}
