import { h } from "./dom.js";
import { count, day, decimal, instant, none, signed } from "./format.js";
import { num, open } from "./panel.js";
import { sourceChip } from "./sources.js";
import { table } from "./tile.js";

const title = "Trending hashtags";

// facts place a row of the mart.
export const facts = (r) => [["hashtag", "#" + r.hashtag], ["source", r.source], ["day", day(r.day)], ["posts that day", count(r.posts)],
  ["expected", r.expected === null ? "no baseline yet" : decimal(r.expected)], ["surprise", r.score === null ? none : decimal(r.score)], ["peak hour", instant(r.peak_hour)], ["authors", count(r.authors)]];

function drawHashtags(answer, body, tile) {
  const { rows } = answer.data;
  const judged = rows.some((r) => r.expected !== null);
  tile.sub.textContent = judged
    ? `each hashtag's strongest day: posts observed against what the trend model expected (all languages)${rows.some((r) => r.trending) ? "" : "; none beyond chance"}`
    : "no baseline yet, so by posts alone: feedlake run trains the trend model (all languages)";
  const most = Math.max(...rows.map((r) => Math.max(r.posts, r.expected ?? 0)));
  const cell = (key, label, format, what) => (r) =>
    num({ title: `${label} of #${r.hashtag}`, value: r[key], text: format(r[key]), what, facts: facts(r), answer }, { tabindex: "-1" });
  const about = (r) => [r.source, day(r.day)];
  body.append(table("Trending hashtags", [
    { label: "Hashtag", cell: (r) => [
      h("button", { type: "button", class: "num tag", title: "#" + r.hashtag, "aria-haspopup": "dialog", on: { click: () => open({ title: `#${r.hashtag}`, what: "trending", facts: facts(r), answer }) } }, "#" + r.hashtag),
      r.trending ? [" ", h("span", { class: "badge warn" }, "trending")] : null,
      h("div", { class: "sub small-only" }, about(r).join(" · "))] },
    { label: "Source", wide: true, cell: (r) => [sourceChip(r.source), " ", r.source] },
    { label: "Day (UTC)", wide: true, cell: (r) => day(r.day) },
    { label: "Observed", n: true, title: "posts of that day with the hashtag", cell: cell("posts", "Posts", count, "posts") },
    { label: "Expected", n: true, title: "what the trend model expected of that day", cell: cell("expected", "Expected posts", decimal, "expected") },
    { label: "", wide: true, cell: (r) => bar(r, most) },
    { label: "Surprise", n: true, title: "-log10 p of the day's strongest hour", wide: true, cell: cell("score", "Surprise", decimal, "score") },
    { label: "Peak hour", wide: true, cell: (r) => (r.peak_hour ? instant(r.peak_hour).slice(-9, -4) : none) },
    { label: "Net sentiment", n: true, wide: true, cell: cell("net_sentiment", "Net sentiment", signed, "net_sentiment") },
  ], rows, { class: "scroll free" }));
}

// bar is observed as a bar, expected as a mark.
const bar = (r, most) => h("span", { class: "bar", "aria-hidden": "true", title: `bar: observed; mark: expected` },
  h("i", { style: { width: `${(100 * r.posts) / most}%` } }), r.expected !== null && h("b", { style: { left: `${(100 * r.expected) / most}%` } }));

export const hashtags = { id: "hashtags", title, path: "hashtags", params: { limit: 15 }, what: "trending", draw: drawHashtags };
