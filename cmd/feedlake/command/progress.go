package command

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows long work to a person: a bar with rate and time left on a
// terminal, a log line now and then elsewhere.
type progress struct {
	o    *options
	log  *slog.Logger
	mu   sync.Mutex
	step string
	bar  *progressbar.ProgressBar
	last time.Time
}

// quietFor is the time between two log lines about one step's progress.
const quietFor = 10 * time.Second

func newProgress(o *options, log *slog.Logger) *progress { return &progress{o: o, log: log} }

// update says how far step has come: done of total units (total 0: unknown);
// place says what is being worked on.
func (p *progress) update(ctx context.Context, step string, done, total int64, unit, place string) {
	if p.o.quiet || p.o.json {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.o.env.stderrTTY {
		if now := p.o.env.now(); now.Sub(p.last) >= quietFor {
			p.last = now
			p.log.InfoContext(ctx, "progress", "step", step, "done", done, "total", total, "unit", unit, "place", place)
		}
		return
	}
	if p.bar == nil || p.step != step {
		p.finish()
		p.step, p.bar = step, p.newBar(step, total, unit)
	}
	if total > 0 && p.bar.GetMax64() != total {
		p.bar.ChangeMax64(total)
	}
	if place != "" {
		p.bar.Describe(describe(step, place))
	}
	_ = p.bar.Set64(done)
}

func (p *progress) newBar(step string, total int64, unit string) *progressbar.ProgressBar {
	if total <= 0 {
		total = -1
	}
	opts := []progressbar.Option{
		progressbar.OptionSetWriter(p.o.env.stderr), progressbar.OptionSetDescription(describe(step, "")),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(24), progressbar.OptionSpinnerType(14),
	}
	if unit == "bytes" {
		opts = append(opts, progressbar.OptionShowBytes(true))
	} else {
		opts = append(opts, progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit))
	}
	return progressbar.NewOptions64(total, opts...)
}

func describe(step, place string) string {
	const width = 34
	s := step
	if place != "" {
		s += " " + place
	}
	if r := []rune(s); len(r) > width {
		s = string(r[:width-1]) + "…"
	}
	return s
}

// done clears the bar.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}
