import { draw, valueAxis } from "./chart.js";
import { brief, count, percent } from "./format.js";
import { num } from "./panel.js";
import { sourceChip, sourceColor } from "./sources.js";
import { table } from "./tile.js";

const title = "Engagement by source";

function drawEngagement(answer, body, tile) {
  tile.sub.textContent = "(likes + replies + reposts) / followers, both summed over the same posts";
  const rated = answer.data.rows.filter((r) => r.engagement_rate !== null).toReversed(); // ECharts draws upwards
  if (rated.length > 0) {
    draw(body, {
      label: `Bar chart: engagement rate of ${rated.length} sources. The table below has the numbers.`,
      options: (theme) => ({
        grid: { left: 4, right: 44, top: 4, bottom: 2, containLabel: true },
        yAxis: { type: "category", data: rated.map((r) => r.source), axisTick: { show: false }, axisLine: { show: false }, axisLabel: { color: theme.ink, fontSize: 12.5 } },
        xAxis: valueAxis(theme, (v) => percent(v, 0), { splitNumber: 3 }),
        series: [{
          type: "bar", barMaxWidth: 22, label: { show: true, position: "right", color: theme.ink, formatter: (p) => percent(p.value, 2) },
          data: rated.map((r) => ({ value: r.engagement_rate, itemStyle: { color: theme.color(sourceColor(r.source)), borderRadius: [0, 3, 3, 0] } })),
        }],
      }),
      describe: (i) => ({ title: rated[i].source, lines: [[null, "rate", percent(rated[i].engagement_rate, 2)], [null, "rated posts", count(rated[i].rated_posts)]] }),
    });
    const el = body.querySelector(".chart");
    el.style.height = `${rated.length * 34 + 34}px`;
  }
  body.append(numbers(answer));
}

function numbers(answer) {
  const cell = (key, label, format, what) => (r) => num({ title: `${label} of ${r.source}`, value: r[key], text: format(r[key]), what, answer });
  return table("Engagement by source", [
    { label: "Source", cell: (r) => [sourceChip(r.source), " ", r.source] },
    { label: "Rate", n: true, title: "engagement of the rated posts / followers of their authors", cell: cell("engagement_rate", "Engagement rate", (v) => percent(v, 2), "engagement_rate") },
    { label: "Rated", n: true, title: "posts with reactions and followers known", cell: cell("rated_posts", "Rated posts", brief, "rated_posts") },
    { label: "Likes", n: true, cell: cell("likes", "Likes", brief, "total_engagement") },
    { label: "Reposts", n: true, cell: cell("reposts", "Reposts", brief, "total_engagement") },
    { label: "Replies", n: true, wide: true, cell: cell("replies", "Replies", brief, "total_engagement") },
  ], answer.data.rows, { class: "scroll free tight" });
}

export const engagement = { id: "engagement", title, path: "engagement", width: "narrow", what: "engagement_rate", draw: drawEngagement };
