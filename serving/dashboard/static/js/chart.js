// What all charts share: colours of the theme, size, tooltip, clicks.
/* global echarts */
import { chip, h } from "./dom.js";
import { color, onTheme } from "./theme.js";

const live = new Set();
onTheme(() => {
  for (const c of live) c.paint();
});

// draw puts a chart into body: label says in words what it shows; options(theme)
// makes ECharts' options; describe(i) the tooltip of the i-th place on the x
// axis, {title, lines: [[color, name, text]]}; click(i) is called for a click.
export function draw(body, { label, options, describe, click }) {
  const el = h("div", { class: "chart", role: "img", "aria-label": label });
  body.append(el);
  const chart = echarts.init(el, null, { renderer: "canvas", locale: "EN" });
  const entry = { paint: () => chart.setOption(themed(options, describe), true) };
  entry.paint();
  live.add(entry);
  const size = new ResizeObserver(() => {
    if (el.isConnected) return chart.resize();
    size.disconnect();
    live.delete(entry);
    chart.dispose();
  });
  size.observe(el);
  chart.getZr().on("click", (e) => {
    for (const gridIndex of [0, 1]) {
      if (!chart.containPixel({ gridIndex }, [e.offsetX, e.offsetY])) continue;
      const [i] = chart.convertFromPixel({ gridIndex }, [e.offsetX, e.offsetY]);
      return click?.(Math.round(i));
    }
  });
}

function themed(options, describe) {
  const theme = { ink: color("ink"), muted: color("muted"), line: color("line"), surface: color("surface"), color };
  return {
    animationDuration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 350,
    useUTC: true,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: theme.ink },
    tooltip: {
      trigger: "axis", confine: true, axisPointer: { type: "shadow", shadowStyle: { color: theme.muted, opacity: 0.1 } },
      backgroundColor: theme.surface, borderColor: theme.line, textStyle: { color: theme.ink }, padding: [8, 12],
      formatter: (params) => tip(describe(params[0].dataIndex)),
    },
    ...options(theme),
  };
}

const tip = ({ title, lines }) => h("div", { class: "tip" }, h("strong", {}, title),
  h("ul", {}, lines.map(([c, name, value]) => h("li", {}, c && chip(c), h("span", { class: "name" }, name), h("span", {}, value)))));

// axes for values over time: x places are texts, y is formatted.
export const timeAxis = (theme, labels, more = {}) => ({
  type: "category", data: labels, axisTick: { show: false }, axisLine: { lineStyle: { color: theme.line } },
  axisLabel: { color: theme.muted, fontSize: 11.5, hideOverlap: true, margin: 10 }, ...more,
});
export const valueAxis = (theme, format, more = {}) => ({
  type: "value", splitNumber: 4, axisLine: { show: false }, axisTick: { show: false },
  axisLabel: { color: theme.muted, fontSize: 11.5, formatter: format }, splitLine: { lineStyle: { color: theme.line } }, ...more,
});

const step = { hour: 3600e3, day: 86400e3 };

// places lists every day or hour from the first to the last, so that a gap in
// the data is a gap in the chart.
export function places(rows, unit) {
  if (rows.length === 0) return [];
  const time = (s) => Date.parse(s.length === 10 ? s + "T00:00:00Z" : s);
  const at = rows.map((r) => time(r.bucket ?? r.day));
  const out = [];
  for (let t = Math.min(...at); t <= Math.max(...at); t += step[unit]) {
    const iso = new Date(t).toISOString();
    out.push(unit === "day" ? iso.slice(0, 10) : iso.slice(0, 19) + "Z");
  }
  return out;
}
