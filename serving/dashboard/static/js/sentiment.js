import { draw, places, timeAxis, valueAxis } from "./chart.js";
import { chip, h } from "./dom.js";
import { count, day, percent, shortDay, signed } from "./format.js";
import { num, open } from "./panel.js";
import { table } from "./tile.js";

const title = "Sentiment over time";
// Bottom to top, always in this order and these colours.
export const classes = ["negative", "neutral", "positive"];

const share = (r, c) => (r && r.scored > 0 ? r[`${c}_share`] : null);
// between is the interval of a share in words; "" where there is none.
export const between = (r, c) => (r?.corrected ? `95 %: ${percent(r[`${c}_low`])} to ${percent(r[`${c}_high`])}` : "");

function byDay(answer) {
  const rows = new Map(answer.data.rows.map((r) => [r.day, r]));
  const at = places(answer.data.rows, "day");
  return { at, rows: at.map((d) => rows.get(d)) };
}

function drawSentiment(answer, body, tile) {
  const { at, rows } = byDay(answer);
  const model = answer.provenance.models.map((m) => `${m.model} v${m.version}`).join(", ");
  tile.sub.textContent = `share of the scored posts by day (UTC)${answer.data.rows.some((r) => r.corrected) ? ", corrected for the model's known mistakes" : ""}; below, net = positive − negative${model ? ` · ${model}` : ""}`;
  body.append(h("ul", { class: "legend" }, classes.map((c) => h("li", {}, chip(c), c))));
  const net = (r) => (r && r.scored > 0 ? r.net_sentiment : null);
  draw(body, {
    label: `Stacked bars: share of negative, neutral and positive posts on ${at.length} days, and a line of net sentiment. The table has the numbers.`,
    options: (theme) => ({
      // One above the other, so neither may make room for its own labels.
      grid: [{ top: 10, height: "53%" }, { top: "67%", bottom: 24 }].map((g) => ({ left: 44, right: 16, outerBoundsMode: "none", ...g })),
      axisPointer: { link: [{ xAxisIndex: "all" }] },
      xAxis: [timeAxis(theme, at.map(shortDay), { gridIndex: 0, axisLabel: { show: false } }), timeAxis(theme, at.map(shortDay), { gridIndex: 1, axisLine: { onZero: true, lineStyle: { color: theme.muted } }, axisLabel: { color: theme.muted, fontSize: 11.5, hideOverlap: true, margin: 10 }, position: "bottom" })],
      yAxis: [valueAxis(theme, (v) => percent(v, 0), { max: 1, splitNumber: 2 }), valueAxis(theme, (v) => signed(v), { gridIndex: 1, splitNumber: 2 })],
      series: [
        ...classes.map((c) => ({ name: c, type: "bar", stack: "share", data: rows.map((r) => share(r, c)), barCategoryGap: "12%", itemStyle: { color: theme.color(c) } })),
        { name: "net", type: "line", xAxisIndex: 1, yAxisIndex: 1, data: rows.map(net), showSymbol: at.length <= 60, showAllSymbol: true, symbol: "circle", symbolSize: 5, lineStyle: { color: theme.ink, width: 2 }, itemStyle: { color: theme.ink } },
      ],
    }),
    describe: (i) => ({ title: day(at[i]), lines: rows[i] ? [...classes.toReversed().map((c) => [c, c, `${percent(share(rows[i], c))} ${between(rows[i], c)}`]), [null, "net", signed(net(rows[i]))], [null, "scored of posts", `${count(rows[i].scored)} of ${count(rows[i].posts)}`]] : [[null, "no posts", ""]] }),
    click: (i) => rows[i] && open({
      title: `Net sentiment, ${day(at[i])}`, value: net(rows[i]), what: "net_sentiment", answer,
      facts: [...classes.map((c) => [c, [percent(share(rows[i], c)), between(rows[i], c), `${count(rows[i][c])} labelled so`].filter(Boolean).join("; ")]), ["scored", `${count(rows[i].scored)} of ${count(rows[i].posts)} posts`]],
    }),
  });
}

function tableOf(answer) {
  const cell = (key, format) => (r) => num({ title: `${key}, ${day(r.day)}`, value: r[key], text: format(r[key]), what: key === "net_sentiment" ? key : key.endsWith("_share") ? "share" : "sentiment", answer });
  return table("Sentiment by day", [
    { label: "Day (UTC)", cell: (r) => day(r.day) },
    ...["posts", "scored", ...classes].map((c) => ({ label: c, n: true, cell: cell(c, count) })),
    ...classes.map((c) => ({ label: `${c} share`, n: true, cell: cell(`${c}_share`, percent) })),
    { label: "net", n: true, cell: cell("net_sentiment", signed) },
  ], answer.data.rows.toReversed());
}

export const sentiment = { id: "sentiment", title, path: "sentiment", width: "wide", what: "sentiment", draw: drawSentiment, tableOf };
