package main

import (
	"context"

	"github.com/spf13/cobra"
)

// checkResult is one line of `feedlake check`.
type checkResult struct {
	What  string   `json:"what"`
	OK    bool     `json:"ok"`
	Error string   `json:"error,omitempty"`
	Hints []string `json:"hints,omitempty"`
}

func newCheckCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Check the config, the lake, every source and every place to publish to, without changing them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.withApp(cmd.Context(), check) },
	}
}

// checkSpark opens a session and gives it back.
func (a *app) checkSpark(ctx context.Context) error {
	e, err := a.openEngine(ctx, engineSpark, "")
	if err != nil {
		return err
	}
	return e.Close()
}

func check(ctx context.Context, a *app) error {
	var all []checkResult
	var first error
	add := func(what string, err error) {
		r := checkResult{What: what, OK: err == nil}
		if err != nil {
			r.Error, r.Hints = err.Error(), hints(err)
			if first == nil {
				first = err
			}
		}
		all = append(all, r)
	}
	add("lake "+a.place(), nil)
	if a.cfg.Engine.Remote != "" {
		add("engine "+a.cfg.Engine.Remote, a.checkSpark(ctx))
	}
	for _, s := range a.cfg.Sources {
		_, err := a.openSource(ctx, s)
		add("source "+s.Name, err)
	}
	for _, p := range a.cfg.Publish {
		pub, err := a.publisher(p)
		if err == nil {
			_, err = pub.Published(ctx, "marts.volume")
		}
		add("publish "+p.Name, err)
	}
	if len(a.cfg.Schedule) > 0 {
		_, err := a.plans()
		add("schedule", err)
	}
	if a.o.json {
		if err := printJSON(a.o.env.stdout, all); err != nil {
			return err
		}
		return first
	}
	for _, r := range all {
		mark := "ok    "
		if !r.OK {
			mark = "FAILED"
		}
		printLine(a.o.env.stdout, mark+"  "+r.What)
	}
	return first
}
