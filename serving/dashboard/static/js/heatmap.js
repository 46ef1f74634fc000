import { h } from "./dom.js";
import { count, weekday } from "./format.js";
import { open } from "./panel.js";

const title = "Hours of the week";
const hours = Array.from({ length: 24 }, (_, i) => i);
const shade = (share) => `color-mix(in oklab, var(--accent) ${Math.round(share * 100)}%, var(--raised))`;

// The heat map is a table: it reads well without eyes, and needs no library.
function drawHeat(answer, body, tile) {
  tile.sub.textContent = "posts by weekday and hour of creation (UTC)";
  const cells = new Map(answer.data.rows.map((r) => [r.weekday * 24 + r.hour_of_day, r.posts]));
  const most = Math.max(...cells.values());
  body.append(
    h("table", { class: "heat" }, h("caption", { class: "hidden" }, "Posts by weekday and hour, UTC"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "hidden" }, "Day")), hours.map((n) =>
        h("th", { scope: "col" }, n % 6 === 0 ? String(n) : h("span", { class: "hidden" }, String(n)))))),
      h("tbody", {}, [1, 2, 3, 4, 5, 6, 7].map((d) => h("tr", {}, h("th", { scope: "row" }, weekday(d)), hours.map((n) => cell(d, n)))))),
    h("div", { class: "scale" }, "0", h("span", { "aria-hidden": "true", style: { background: `linear-gradient(90deg, ${shade(0)}, ${shade(1)})` } }), count(most)));

  function cell(d, n) {
    const value = cells.get(d * 24 + n) ?? 0;
    const when = `${weekday(d, "long")} ${String(n).padStart(2, "0")}:00–${String(n).padStart(2, "0")}:59 UTC`;
    return h("td", {}, h("button", {
      type: "button", tabindex: d === 1 && n === 0 ? "0" : "-1", title: `${when}: ${count(value)} posts`, data: { value, day: d, hour: n }, style: { background: shade(most ? value / most : 0) },
      on: { click: () => open({ title: `Posts, ${when}`, value, unit: "posts", what: "posts", answer }), keydown: move },
    }, h("span", { class: "hidden" }, count(value))));
  }
}

// move lets the arrow keys walk over the cells; Tab passes them as one.
function move(e) {
  const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
  if (!by) return;
  e.preventDefault();
  const { day, hour } = e.currentTarget.dataset;
  const next = e.currentTarget.closest("table").querySelector(`[data-day="${Number(day) + by[0]}"][data-hour="${Number(hour) + by[1]}"]`);
  if (!next) return;
  e.currentTarget.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

export const heatmap = { id: "heatmap", title, path: "heatmap", width: "narrow", what: "posts", draw: drawHeat };
