package dashboard_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/feedlake/feedlake/serving/dashboard"
)

// browser is one Chromium; it fails the test at the first line that a page
// writes to the console as an error.
type browser struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // chromedp keeps its browser there
	mu     sync.Mutex
	errors []string
}

// startBrowser fails, and does not skip, when Chromium is missing.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Fatal("Chromium is not installed; run `make deps`")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en-US"), chromedp.WindowSize(1280, 900))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, b.listen)
	b.do(log.Enable(), emulation.SetLocaleOverride().WithLocale("en-US"))
	t.Cleanup(b.noErrors)
	return b
}

func (b *browser) listen(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, ev.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.APITypeError || ev.Type == runtime.APITypeWarning {
			for _, a := range ev.Args {
				b.errors = append(b.errors, fmt.Sprintf("console.%s: %s %s", ev.Type, a.Value, a.Description))
			}
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.LevelError || ev.Entry.Level == log.LevelWarning {
			b.errors = append(b.errors, fmt.Sprintf("%s: %s %s", ev.Entry.Source, ev.Entry.Text, ev.Entry.URL))
		}
	}
}

func (b *browser) noErrors() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.errors {
		b.t.Errorf("the page complains: %s", e)
	}
}

// forget drops complaints that the test asked for.
func (b *browser) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errors = nil
}

func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatalf("browser: %v", err)
	}
}

// open loads a page and waits until it shows its answers.
func (b *browser) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
	b.settled(1)
}

// settled waits until the page has shown the answers of a turn.
func (b *browser) settled(turn int) {
	b.t.Helper()
	b.until(fmt.Sprintf("Number(document.documentElement.dataset.turn) >= %d && !document.querySelector('[aria-busy=true]')", turn))
}

func (b *browser) until(js string) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, chromedp.Poll(js, nil, chromedp.WithPollingTimeout(20*time.Second))); err != nil {
		b.t.Fatalf("wait for %s: %v; the page says:\n%s", js, err, b.text("body"))
	}
}

// eval evaluates JavaScript.
func eval[T any](b *browser, js string) T {
	b.t.Helper()
	var out T
	b.do(chromedp.Evaluate(js, &out))
	return out
}

// text is what a person reads in the first element that matches.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// turn is the number of times that the page asked for everything.
func (b *browser) turn() int {
	b.t.Helper()
	return eval[int](b, "Number(document.documentElement.dataset.turn)")
}

// choose sets a filter and waits for the page.
func (b *browser) choose(name, value string) {
	b.t.Helper()
	next := b.turn() + 1
	b.do(chromedp.Evaluate(fmt.Sprintf("{const e = document.querySelector('#filters [name=%s]'); e.value = %q; e.dispatchEvent(new Event('change', {bubbles: true}))}", name, value), nil))
	b.settled(next)
}

func (b *browser) look(width int, theme string) {
	b.t.Helper()
	b.do(emulation.SetDeviceMetricsOverride(int64(width), 900, 1, width < 600),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
	// Charts follow the new size in the frame after the next.
	b.do(chromedp.Evaluate("new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(r))))", nil, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
}

// shoot keeps a picture of the whole page in $FEEDLAKE_SHOTS, if that is set.
func (b *browser) shoot(name string, whole bool) {
	b.t.Helper()
	dir := os.Getenv("FEEDLAKE_SHOTS")
	if dir == "" {
		return
	}
	var png []byte
	if whole {
		b.do(chromedp.FullScreenshot(&png, 100))
	} else {
		b.do(chromedp.CaptureScreenshot(&png))
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// serve starts a dashboard on a free port of loopback.
func serve(t *testing.T, o dashboard.Options) string {
	t.Helper()
	srv := httptest.NewServer(dashboard.Handler(o))
	t.Cleanup(srv.Close)
	return strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
}

// serveUntil starts a dashboard that the test stops.
func serveUntil(t *testing.T, o dashboard.Options) (url string, stop func()) {
	t.Helper()
	srv := httptest.NewServer(dashboard.Handler(o))
	t.Cleanup(srv.Close)
	return srv.URL, func() { srv.CloseClientConnections(); srv.Close() }
}
