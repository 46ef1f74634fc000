// The five numbers at the top.
import { get } from "./api.js";
import { chip, h } from "./dom.js";
import { ago, count, decimal, none, percent, seconds, signed, span } from "./format.js";
import { facts } from "./hashtags.js";
import { num } from "./panel.js";
import { between, classes } from "./sentiment.js";
import { sourceChip } from "./sources.js";

const sub = (...words) => h("p", { class: "sub" }, ...words);
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

const draws = {
  posts: ["Posts processed", (d, answer) => [
    h("p", { class: "big" }, num({ title: "Posts processed", value: d.posts, text: count(d.posts), what: "posts", answer })),
    sub(`${plural(d.sources, "source")}, ${plural(d.langs, "language")}`), sub(`created ${span(d.first_day, d.last_day)}`),
    d.sources > 1 && sub("a post that two sources bring counts once")]],
  engagement_rate: ["Average engagement rate", (d, answer) => [
    h("p", { class: "big" }, num({ title: "Average engagement rate", value: d.engagement_rate, text: percent(d.engagement_rate, 2), what: "engagement_rate", answer })),
    sub("(likes + replies + reposts) / followers of the same posts"),
    sub("over ", num({ title: "Rated posts", value: d.rated_posts, text: count(d.rated_posts), what: "rated_posts", answer }), ` of ${count(d.posts)} originals`)]],
  sentiment: ["Sentiment", (d, answer) => [
    h("div", { class: "shares", "aria-hidden": "true" }, classes.map((c) => h("span", { style: { background: `var(--${c})`, "flex-grow": d[`${c}_share`] } }))),
    h("ul", { class: "lines" }, classes.toReversed().map((c) => h("li", { data: { class: c } }, chip(c), h("span", { class: "name" }, c),
      num({ title: `Posts with ${c} sentiment`, value: d[c], text: count(d[c]), what: "sentiment", answer }, { class: "num of" }),
      num({ title: `Share of ${c} posts`, value: d[`${c}_share`], text: percent(d[`${c}_share`]), what: "share", answer,
        facts: d.corrected ? [["interval", between(d, c)], ["labelled so", `${count(d[c])} of ${count(d.scored)}`]] : [] })))),
    sub(d.corrected ? "shares corrected for the model's known mistakes; counts are its labels" : "labels as given: what the model mistakes is not known"),
    sub("net ", num({ title: "Net sentiment", value: d.net_sentiment, text: signed(d.net_sentiment), what: "net_sentiment", answer }),
      " · ", num({ title: "Scored posts", value: d.scored, text: count(d.scored), what: "sentiment", answer }), ` of ${count(d.posts)} scored`)]],
  hashtags: ["Top trending hashtags", (d, answer) => [
    h("ol", { class: "lines" }, d.rows.map((r) => h("li", { title: `#${r.hashtag}, ${r.source}` }, sourceChip(r.source), h("span", { class: "name" }, "#" + r.hashtag),
      num({ title: `Posts with #${r.hashtag}`, value: r.posts, text: count(r.posts), what: "posts", facts: facts(r), answer }),
      h("span", { class: "of" }, r.expected === null ? "" : ["of ", num({ title: `Expected posts with #${r.hashtag}`, value: r.expected, text: decimal(r.expected), what: "expected", facts: facts(r), answer }, { class: "num of" })])))),
    sub(!d.rows.some((r) => r.expected !== null) ? "by posts: no baseline yet"
      : d.rows.some((r) => r.trending) ? "posts of the strongest day, of those expected" : "none beyond chance; the most surprising: posts of the day, of those expected")]],
  throughput: ["Processing throughput", (d, answer) => [
    h("p", { class: "big" }, num({ title: "Processing throughput", value: d.posts_per_second, unit: "posts/s", text: decimal(d.posts_per_second), what: "posts_per_second", answer,
      facts: [["run", d.run_id], ["posts landed", count(d.posts)], ["seconds", decimal(d.seconds)]] }), h("span", { class: "unit" }, "posts/s")),
    sub(`newest run with posts: ${count(d.posts)} in ${seconds(d.seconds)}`), sub(`${d.job}, ${d.ended_at ? ago(d.ended_at) : none}`)]],
};

const cards = Object.fromEntries(Object.entries(draws).map(([name, [title]]) => {
  const body = h("div", { class: "content" }, h("div", { class: "bone" }));
  return [name, { body, el: h("section", { class: "card", data: { metric: name, state: "loading" }, "aria-busy": "true", "aria-label": title }, h("h2", {}, title), body) }];
}));

export const cardElements = Object.values(cards).map((c) => c.el);

// loadCards asks for the five numbers and shows them, each with its own state.
export async function loadCards(filter, signal) {
  for (const c of Object.values(cards)) c.el.setAttribute("aria-busy", "true");
  let metrics;
  try {
    ({ metrics } = await get("summary", filter, signal));
  } catch (err) {
    if (err.name === "AbortError") return;
    for (const c of Object.values(cards)) {
      c.body.replaceChildren(h("p", { class: "none" }, `${err.message}. ${err.hint ?? ""}`));
      c.el.dataset.state = "error";
      c.el.setAttribute("aria-busy", "false");
    }
    throw err;
  }
  for (const [name, answer] of Object.entries(metrics)) {
    const { el, body } = cards[name];
    body.replaceChildren(...(answer.state === "ok" ? draws[name][1](answer.data, answer) : [h("p", { class: "big" }, none), h("p", { class: "none" }, answer.message)]));
    el.dataset.state = answer.state;
    el.setAttribute("aria-busy", "false");
  }
}
