package dashboard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestLooks shows the page in both themes at both widths: it fits, and words
// stand out from their ground.
func TestLooks(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 31)
	url := serve(t, w.options())
	b := startBrowser(t)
	for _, width := range []int{1280, 390, 820} {
		for _, theme := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("%s %d", theme, width), func(t *testing.T) {
				b.look(width, theme)
				b.open(url)
				b.look(width, theme)
				if got := eval[int](b, "document.documentElement.scrollWidth"); got > width {
					t.Errorf("the page is %d wide", got)
				}
				ground, ink := eval[int](b, lightness("backgroundColor")), eval[int](b, lightness("color"))
				if dark := theme == "dark"; dark != (ground < ink) || max(ground-ink, ink-ground) < 150 {
					t.Errorf("lightness of ground %d, of text %d", ground, ink)
				}
				b.shoot(fmt.Sprintf("page-%s-%d", theme, width), true)
			})
		}
	}
	b.look(1280, "light")
	b.do(chromedp.Click("#theme"))
	if got := eval[int](b, lightness("backgroundColor")); got > 60 {
		t.Errorf("the toggle leaves a ground of lightness %d", got)
	}
	b.open(url)
	if got := eval[string](b, "document.documentElement.dataset.theme"); got != "dark" {
		t.Errorf("the chosen theme is forgotten: %q", got)
	}
}

func lightness(property string) string {
	return "Math.max(...getComputedStyle(document.body)." + property + ".match(/[0-9.]+/g).slice(0, 3).map(Number))"
}

// TestHonest shows what has no numbers: an empty lake, posts that nobody scored,
// a filter without posts, and a server that is gone.
func TestHonest(t *testing.T) {
	b := startBrowser(t)
	t.Run("empty lake", func(t *testing.T) {
		w := newWorld(t)
		b.open(serve(t, w.options()))
		for _, s := range []string{"[data-metric=posts]", "[data-metric=throughput]", "#volume", "#runs"} {
			if got := b.text(s); !strings.Contains(got, "is not built yet; feedlake run builds it") {
				t.Errorf("%s says %q", s, got)
			}
		}
		b.until("document.querySelector('#banner').innerText.includes('holds no posts yet')")
		b.look(1280, "light")
		b.shoot("empty-light-1280", true)
	})
	t.Run("not scored", func(t *testing.T) {
		w := newWorld(t)
		w.ensure()
		put(w, "marts.daily_sentiment", "2016-11-13", []sentimentRow{{Day: date(lastDay()), Source: "tweets", Lang: "en", Posts: 12}})
		w.flush()
		b.open(serve(t, w.options()))
		for _, s := range []string{"[data-metric=sentiment]", "#sentiment"} {
			if got := b.text(s); !strings.Contains(got, "Not scored yet") {
				t.Errorf("%s says %q", s, got)
			}
		}
	})
	w := newWorld(t)
	w.fill(lastDay(), 3)
	t.Run("no posts match", func(t *testing.T) {
		b.open(serve(t, w.options()) + "/?from=2031-01-01")
		for _, s := range []string{"[data-metric=posts]", "#volume", "#heatmap", "#sentiment", "#engagement", "#hashtags"} {
			if got := b.text(s); !strings.Contains(got, "No data for this filter") {
				t.Errorf("%s says %q", s, got)
			}
		}
		b.look(390, "light")
		b.shoot("nomatch-light-390", true)
	})
	t.Run("bad filter", func(t *testing.T) {
		b.open(serve(t, w.options()) + "/?source=%01")
		if got := b.text("#volume"); !strings.Contains(got, "parameter source is no name") || !strings.Contains(got, "Try again") {
			t.Errorf("the tile says %q", got)
		}
		b.forget() // Chromium writes every 400 to the console
	})
	t.Run("server gone", func(t *testing.T) {
		url, stop := serveUntil(t, w.options())
		b.open(url)
		stop()
		b.do(chromedp.Evaluate("document.querySelector('[data-days=\"7\"]').click()", nil))
		b.until("document.querySelector('#volume').innerText.includes('feedlake does not answer')")
		b.until("document.querySelector('#status').dataset.state == 'lost'")
		b.forget() // and every refused connection
	})
}

// TestKeyboard walks without a mouse, and looks for what a screen reader needs.
func TestKeyboard(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 3)
	b := startBrowser(t)
	b.open(serve(t, w.options()))
	b.do(chromedp.Evaluate("document.querySelector('[data-metric=posts] .num').focus()", nil), chromedp.KeyEvent(kb.Enter))
	b.until("document.querySelector('dialog[open]')?.contains(document.activeElement)")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.until("!document.querySelector('dialog[open]') && document.activeElement === document.querySelector('[data-metric=posts] .num')")
	b.do(chromedp.Evaluate("document.querySelector('#heatmap td button').focus()", nil), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowDown))
	if got := eval[string](b, "document.activeElement.dataset.day + '/' + document.activeElement.dataset.hour"); got != "2/1" {
		t.Errorf("the arrows lead to cell %s, want 2/1", got)
	}
	for what, js := range map[string]string{
		"buttons without a name":     "[...document.querySelectorAll('button')].filter((e) => !e.textContent.trim() && !e.ariaLabel)",
		"controls without a label":   "[...document.querySelectorAll('select, input')].filter((e) => !e.labels.length)",
		"tables without a caption":   "[...document.querySelectorAll('table')].filter((e) => !e.caption)",
		"charts without words":       "[...document.querySelectorAll('.chart')].filter((e) => e.getAttribute('role') !== 'img' || !e.ariaLabel)",
		"pictures without words":     "[...document.images].filter((e) => !e.hasAttribute('alt'))",
		"ids that stand there twice": "[...document.querySelectorAll('[id]')].filter((e) => document.querySelectorAll('#' + e.id).length > 1)",
	} {
		if n := eval[int](b, js+".length"); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}

// TestLoginPage signs in with a browser.
func TestLoginPage(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 2)
	o := w.options()
	o.Token = token
	b := startBrowser(t)
	b.look(1280, "light")
	b.do(chromedp.Navigate(serve(t, o)+"/?source=reddit"), chromedp.SendKeys("#token", "wrong"), chromedp.Click("#login button"), chromedp.WaitVisible("#wrong"))
	b.shoot("login-light-1280", false)
	b.do(chromedp.SendKeys("#token", token), chromedp.Click("#login button"), chromedp.WaitVisible("#volume"))
	b.settled(1)
	if got, want := b.shown()["posts"], w.wanted("source = 'reddit'", "true")["posts"]; got != want {
		t.Errorf("after the login the page says %s, want %s", got, want)
	}
	b.until("!document.querySelector('#logout').hidden")
	b.do(chromedp.Click("#logout button"), chromedp.WaitVisible("#token"))
}
