package dashboard_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake/query"
)

func lastDay() time.Time { return time.Date(2016, 11, 13, 0, 0, 0, 0, time.UTC) }

// truth answers SQL over the lake's newest snapshots, without the dashboard.
func (w *world) truth(sql string) []any {
	w.tb.Helper()
	ctx := context.Background()
	db, err := query.Open(ctx, query.Options{Threads: 1})
	if err != nil {
		w.tb.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Pin(ctx, w.lake, nil); err != nil {
		w.tb.Fatal(err)
	}
	rows, err := db.SQL().QueryContext(ctx, sql)
	if err != nil {
		w.tb.Fatalf("%s: %v", sql, err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil || !rows.Next() {
		w.tb.Fatalf("%s: no row, %v", sql, err)
	}
	out, at := make([]any, len(cols)), make([]any, len(cols))
	for i := range out {
		at[i] = &out[i]
	}
	if err := rows.Scan(at...); err != nil {
		w.tb.Fatal(err)
	}
	return out
}

// shown reads the numbers of the cards off the page, as a person does.
func (b *browser) shown() map[string]string {
	b.t.Helper()
	return eval[map[string]string](b, `(() => {
		const text = (s) => document.querySelector(s)?.innerText.replaceAll(",", "") ?? "";
		const card = (m) => '[data-metric="' + m + '"] ';
		const mood = (c) => card("sentiment") + '[data-class="' + c + '"] .num';
		return {
			posts: text(card("posts") + ".big .num"), rate: text(card("engagement_rate") + ".big .num"), rated: text(card("engagement_rate") + ".sub .num"),
			negative: text(mood("negative")), neutral: text(mood("neutral")), positive: text(mood("positive")),
			tag: text(card("hashtags") + "li .name"), tagPosts: text(card("hashtags") + "li .num"), throughput: text(card("throughput") + ".big .num"),
		};
	})()`)
}

// wanted asks the lake for the same numbers, spelled as the page spells them.
func (w *world) wanted(where, tagWhere string) map[string]string {
	w.tb.Helper()
	if !strings.Contains(where, "source =") { // over all sources a post counts once
		where += " AND NOT copy"
	}
	v := w.truth("SELECT sum(posts)::BIGINT FROM marts.volume WHERE " + where)
	e := w.truth("SELECT 100 * sum(engagement) / sum(followers), sum(rated_posts)::BIGINT FROM marts.engagement WHERE " + where)
	s := w.truth("SELECT sum(negative)::BIGINT, sum(neutral)::BIGINT, sum(positive)::BIGINT FROM marts.daily_sentiment WHERE " + where)
	h := w.truth("SELECT hashtag, posts FROM marts.trending_hashtags WHERE " + tagWhere + " ORDER BY trending DESC, score DESC NULLS LAST, posts DESC, hashtag LIMIT 1")
	r := w.truth("SELECT posts / seconds FROM marts.pipeline_runs WHERE posts > 0 AND state <> 'abandoned' ORDER BY started_at DESC LIMIT 1")
	rate := "–"
	if f, ok := e[0].(float64); ok {
		rate = fmt.Sprintf("%.2f%%", f)
	}
	throughput, ok := r[0].(float64)
	if !ok {
		w.tb.Fatalf("throughput is %T", r[0])
	}
	rated := fmt.Sprint(e[1])
	if rate == "–" {
		rated = ""
	}
	return map[string]string{
		"posts": fmt.Sprint(v[0]), "rate": rate, "rated": rated, "negative": fmt.Sprint(s[0]), "neutral": fmt.Sprint(s[1]), "positive": fmt.Sprint(s[2]),
		"tag": "#" + fmt.Sprint(h[0]), "tagPosts": fmt.Sprint(h[1]), "throughput": fmt.Sprintf("%.0f", throughput),
	}
}

func TestPage(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 14)
	url := serve(t, w.options())
	b := startBrowser(t)
	b.open(url)

	compare := func(t *testing.T, name, where, tagWhere string) {
		t.Helper()
		got, want := b.shown(), w.wanted(where, tagWhere)
		if want["rate"] == "–" { // no number stands there
			got["rate"] = "–"
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-SQL +page):\n%s", name, d)
		}
	}
	compare(t, "no filter", "true", "true")

	b.choose("source", "tweets")
	compare(t, "tweets", "source = 'tweets'", "source = 'tweets'")
	b.choose("lang", "de")
	b.choose("from", "2016-11-01")
	b.choose("to", "2016-11-05")
	where := "source = 'tweets' AND day BETWEEN '2016-11-01' AND '2016-11-05'"
	compare(t, "tweets in German of five days", where+" AND lang = 'de'", where)
	if got := eval[string](b, "location.search"); got != "?source=tweets&lang=de&from=2016-11-01&to=2016-11-05" {
		t.Errorf("the address keeps %q", got)
	}
	b.open(url + "/?source=reddit")
	compare(t, "reddit, from the address", "source = 'reddit'", "source = 'reddit'")
	if got := b.text(`[data-metric="engagement_rate"]`); !strings.Contains(got, "No post here tells both reactions and followers") {
		t.Errorf("a source without followers says %q", got)
	}
	b.do(chromedp.Click("#reset"))
	b.until("document.documentElement.dataset.turn == 2 && location.search == ''")
	compare(t, "filters cleared", "true", "true")
	b.do(chromedp.Evaluate("history.back()", nil))
	b.settled(3)
	compare(t, "back", "source = 'reddit'", "source = 'reddit'")
}

// TestTiles compares charts and tables with SQL: every number in them.
func TestTiles(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 9)
	b := startBrowser(t)
	b.open(serve(t, w.options()))
	if n := eval[int](b, "document.querySelectorAll('.chart canvas').length"); n != 3 {
		t.Errorf("%d charts are drawn, want 3", n)
	}
	b.do(chromedp.Evaluate("document.querySelectorAll('.tile header button[aria-pressed]').forEach((b) => b.click())", nil))
	for _, c := range []struct{ name, selector, sql string }{
		{"volume", "#volume td .num", "SELECT sum(posts)::BIGINT FROM marts.volume WHERE NOT copy"},
		{"heat map", "#heatmap td button", "SELECT sum(posts)::BIGINT FROM marts.volume WHERE NOT copy"},
		{"sentiment", "#sentiment td:nth-child(4) .num", "SELECT sum(negative)::BIGINT FROM marts.daily_sentiment WHERE NOT copy"},
		{"engagement", "#engagement td:nth-child(4) .num", "SELECT sum(likes)::BIGINT FROM marts.engagement"},
		{"hashtags", "#hashtags td:nth-child(4) .num", "SELECT sum(posts)::BIGINT FROM (FROM marts.trending_hashtags QUALIFY row_number() OVER (PARTITION BY source, hashtag ORDER BY trending DESC, score DESC NULLS LAST, posts DESC, day DESC) = 1 ORDER BY trending DESC, score DESC NULLS LAST, posts DESC LIMIT 15)"},
		{"runs", "#runs td:nth-child(4) .num", "SELECT sum(posts)::BIGINT FROM (FROM marts.pipeline_runs ORDER BY started_at DESC LIMIT 10)"},
	} {
		text := eval[string](b, fmt.Sprintf("String([...document.querySelectorAll(%q)].map((e) => Number(e.innerText.replaceAll(',', '') || e.textContent.replaceAll(',', ''))).reduce((a, b) => a + b, 0))", c.selector))
		if want := fmt.Sprint(w.truth(c.sql)[0]); text != want || want == "0" {
			t.Errorf("%s: the page adds up to %s, SQL says %s", c.name, text, want)
		}
	}
}

// TestProvenance clicks every kind of number, runs the SQL that the panel shows,
// and wants the number in its result.
func TestProvenance(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 9)
	b := startBrowser(t)
	b.open(serve(t, w.options()) + "/?lang=en")
	b.do(chromedp.Evaluate("document.querySelectorAll('.tile header button[aria-pressed]').forEach((b) => b.click())", nil))
	db, err := query.Open(t.Context(), query.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Pin(t.Context(), w.lake, nil); err != nil {
		t.Fatal(err)
	}
	for _, selector := range []string{
		"[data-metric=posts] .big .num", "[data-metric=engagement_rate] .big .num", "[data-metric=engagement_rate] .sub .num", "[data-metric=sentiment] .num",
		"[data-metric=hashtags] .num", "[data-metric=throughput] .num", "#sentiment td .num", "#engagement td:nth-child(2) .num", "#hashtags td .num", "#runs td .num",
	} {
		t.Run(selector, func(t *testing.T) {
			value := eval[string](b, fmt.Sprintf("{const e = document.querySelector(%q); e.click(); e.dataset.value}", selector))
			panel := eval[map[string]string](b, `(() => { const p = document.querySelector("dialog[open] .panel"); const pre = p.querySelectorAll("pre");
				return {sql: pre[0].textContent, command: pre[1].textContent, snapshot: p.querySelector(".snapshot").textContent, text: p.textContent}; })()`)
			b.do(chromedp.Evaluate("document.querySelector('dialog').close()", nil))
			number, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatalf("value %q: %v", value, err)
			}
			if !contains(t, db, panel["sql"], number) {
				t.Errorf("%v is not in the result of\n%s", number, panel["sql"])
			}
			_, from, _ := strings.Cut(panel["sql"], "FROM ")
			snap, err := w.lake.Current(t.Context(), strings.Fields(from)[0])
			if err != nil || panel["snapshot"] != strconv.FormatInt(snap.ID, 10) {
				t.Errorf("panel shows snapshot %s, the lake has %d, %v", panel["snapshot"], snap.ID, err)
			}
			for _, want := range []string{firstRun, inputs, "marts.", "@0123456789ab", "As of"} {
				if !strings.Contains(panel["text"], want) {
					t.Errorf("panel does not tell %q:\n%s", want, panel["text"])
				}
			}
			if !strings.HasPrefix(panel["command"], fmt.Sprintf("feedlake sql --at %s@%d", strings.Fields(from)[0], snap.ID)) {
				t.Errorf("command %q", panel["command"])
			}
		})
	}
	b.do(chromedp.Evaluate("document.querySelector('[data-metric=posts] .num').click(); document.querySelector('dialog details').open = true", nil))
	b.until("document.querySelector('dialog details pre')?.textContent.includes('from features.posts')")
	b.look(1280, "light")
	b.shoot("panel-light-1280", false)
	b.look(390, "dark")
	b.shoot("panel-dark-390", false)
}

// contains reports whether a value stands in a query's result.
func contains(t *testing.T, db *query.DB, sql string, want float64) bool {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for rows.Next() {
		vs, at := make([]any, len(cols)), make([]any, len(cols))
		for i := range vs {
			at[i] = &vs[i]
		}
		if err := rows.Scan(at...); err != nil {
			t.Fatal(err)
		}
		for _, v := range vs {
			switch v := v.(type) {
			case int64:
				found = found || float64(v) == want
			case float64:
				found = found || math.Abs(v-want) <= 1e-9*math.Abs(want)
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestChart points at a bar and clicks it.
func TestChart(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay(), 9)
	b := startBrowser(t)
	b.look(1280, "light")
	b.open(serve(t, w.options()))
	at := eval[[]float64](b, "(() => { const r = document.querySelector('#volume .chart').getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; })()")
	b.do(chromedp.MouseEvent(input.MouseMoved, at[0]-9, at[1]), chromedp.MouseEvent(input.MouseMoved, at[0], at[1]))
	b.until("document.querySelector('.tip')")
	tip := strings.ReplaceAll(b.text(".tip"), ",", "")
	b.do(chromedp.MouseClickXY(at[0], at[1]))
	b.until("document.querySelector('dialog[open]')")
	title, number := b.text("#panel-title"), strings.TrimSuffix(b.text("dialog .exact"), " posts")
	day, err := time.Parse("Jan 2, 2006", strings.TrimPrefix(title, "Posts over time: "))
	if err != nil {
		t.Fatalf("the panel's title is %q: %v", title, err)
	}
	want := fmt.Sprint(w.truth("SELECT sum(posts)::BIGINT FROM marts.volume WHERE day = '" + day.Format(time.DateOnly) + "' AND NOT copy")[0])
	if got := strings.ReplaceAll(number, ",", ""); got != want {
		t.Errorf("the bar of %s says %s, SQL %s", day.Format(time.DateOnly), got, want)
	}
	if !strings.Contains(tip, want) || !strings.Contains(tip, "reddit") {
		t.Errorf("the tooltip says %q, want %s in it", tip, want)
	}
}

// TestLive lands a day while the page is open.
func TestLive(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay().AddDate(0, 0, -1), 3)
	b := startBrowser(t)
	b.open(serve(t, w.options()))
	before := b.shown()["posts"]
	b.until("document.documentElement.dataset.version")
	b.do(chromedp.Evaluate("window.same = true", nil))
	w.fillDay(lastDay())
	w.flush()
	b.do(chromedp.Evaluate("document.dispatchEvent(new Event('visibilitychange'))", nil)) // looks at once
	want := w.wanted("true", "true")["posts"]
	b.until(fmt.Sprintf("document.querySelector('[data-metric=posts] .big .num').innerText.replaceAll(',', '') == %q", want))
	if before == want || !eval[bool](b, "window.same") {
		t.Errorf("posts before %s, after %s, page kept: %v", before, want, eval[bool](b, "window.same === true"))
	}
}
