import { draw, places, timeAxis, valueAxis } from "./chart.js";
import { h } from "./dom.js";
import { count, day, hour, instant, shortDay } from "./format.js";
import { num, open } from "./panel.js";
import { sourceChip, sourceColor } from "./sources.js";
import { table } from "./tile.js";

const title = "Posts over time";

// pivot makes the rows a series a source, over every place of the axis.
function pivot({ rows, unit }) {
  const at = places(rows, unit);
  const index = new Map(at.map((p, i) => [p, i]));
  const series = new Map([...new Set(rows.map((r) => r.source))].sort().map((s) => [s, at.map(() => 0)]));
  for (const r of rows) series.get(r.source)[index.get(r.bucket)] += r.posts;
  return { at, series: [...series], when: unit === "day" ? day : instant, label: unit === "day" ? shortDay : hour };
}

function drawVolume(answer, body, tile) {
  const { at, series, when, label } = pivot(answer.data);
  tile.sub.textContent = `by ${answer.data.unit} of creation (UTC) and source` + (series.length > 1 ? "; a post that two sources bring counts once" : "");
  const total = (i) => series.reduce((n, [, v]) => n + v[i], 0);
  body.append(h("ul", { class: "legend" }, series.map(([s, v]) => {
    const value = v.reduce((a, b) => a + b, 0);
    return h("li", {}, sourceChip(s), s, num({ title: `Posts of ${s}`, value, text: count(value), what: "posts", answer }, { class: "num of" }));
  })));
  draw(body, {
    label: `Bar chart: posts by ${answer.data.unit} and source, ${at.length} ${answer.data.unit}s. The table has the numbers.`,
    options: (theme) => ({
      grid: { left: 4, right: 16, top: 14, bottom: 2, containLabel: true }, // right: half of the last label
      xAxis: timeAxis(theme, at.map(label)),
      yAxis: valueAxis(theme, count, { minInterval: 1 }),
      series: series.map(([s, data], i) => ({
        name: s, type: "bar", stack: "all", data, barCategoryGap: "22%", itemStyle: { color: theme.color(sourceColor(s)), borderRadius: i === series.length - 1 ? [2, 2, 0, 0] : 0 },
      })),
    }),
    describe: (i) => ({ title: when(at[i]), lines: [...series.map(([s, v]) => [sourceColor(s), s, count(v[i])]), [null, "all", count(total(i))]] }),
    click: (i) => open({ title: `${title}: ${when(at[i])}`, value: total(i), unit: "posts", what: "posts", answer, facts: series.map(([s, v]) => [s, count(v[i])]) }),
  });
}

function tableOf(answer) {
  const { at, series, when } = pivot(answer.data);
  return table("Posts over time by source", [
    { label: "When (UTC)", cell: (i) => when(at[i]) },
    ...series.map(([s, v]) => ({ label: s, n: true, cell: (i) => num({ title: `Posts of ${s}, ${when(at[i])}`, value: v[i], text: count(v[i]), what: "posts", answer }) })),
  ], at.map((_, i) => i).reverse());
}

export const volume = { id: "volume", title, path: "volume", width: "wide", what: "posts", draw: drawVolume, tableOf };
