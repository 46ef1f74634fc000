import { h } from "./dom.js";
import { ago, count, decimal, instant, none, seconds } from "./format.js";
import { num, open } from "./panel.js";
import { table } from "./tile.js";

const title = "Recent runs";
const looks = { done: "good", partial: "warn", cancelled: "warn", failed: "bad", rejected: "bad", abandoned: "bad" };

const facts = (r) => [["run", r.run_id], ["job", r.job], ["state", r.state], ["started", instant(r.started_at)], ["ended", instant(r.ended_at)],
  ["posts landed", count(r.posts)], ["records rejected", count(r.rejects)], ["posts scored", count(r.scored)], ["steps", count(r.steps)], ...(r.error ? [["error", r.error]] : [])];

function drawRuns(answer, body, tile) {
  tile.sub.textContent = "newest first, the whole lake: filters do not apply";
  const cell = (key, label, format, unit) => (r) =>
    num({ title: `${label} of run ${r.run_id}`, value: r[key], text: format(r[key]), unit, what: key, facts: facts(r), answer }, { tabindex: "-1" });
  body.append(table(title, [
    { label: "Started (UTC)", cell: (r) => [
      h("button", { type: "button", class: "num", "aria-haspopup": "dialog", title: ago(r.started_at), on: { click: () => open({ title: `Run ${r.run_id}`, facts: facts(r), what: "posts_per_second", answer }) } }, instant(r.started_at).replace(/ UTC$/, "")),
      h("div", { class: "sub small-only" }, r.job)] },
    { label: "Job", wide: true, cell: (r) => r.job },
    { label: "State", cell: (r) => h("span", { class: `badge ${looks[r.state] ?? ""}`, title: r.error ?? r.state }, r.state) },
    { label: "Posts", n: true, cell: cell("posts", "Posts landed", count) },
    { label: "Posts/s", n: true, cell: cell("posts_per_second", "Throughput", decimal, "posts/s") },
    { label: "Took", n: true, wide: true, cell: cell("seconds", "Time taken", seconds, "s") },
    { label: "Rejects", n: true, wide: true, cell: cell("rejects", "Rejected records", count) },
    { label: "Scored", n: true, wide: true, cell: cell("scored", "Scored posts", count) },
    { label: "Run", wide: true, cell: (r) => h("code", {}, r.run_id || none) },
  ], answer.data.rows, { class: "scroll free" }));
}

export const runs = { id: "runs", title, path: "runs", params: { limit: 10 }, filtered: false, draw: drawRuns };
