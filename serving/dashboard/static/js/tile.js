// A tile: a titled box that shows an answer of the API as a chart or a table,
// and says honestly when there is nothing to show.
import { get } from "./api.js";
import { h } from "./dom.js";
import { open } from "./panel.js";

// Tile has an id, title, path (of the API), params, width, and draws with
// draw(answer, body); tableOf(answer) is the chart's numbers as a table.
export class Tile {
  constructor(spec) {
    this.spec = spec;
    this.asTable = false;
    this.sub = h("p", { class: "sub" });
    this.body = h("div", { class: "body" }, h("div", { class: "bone" }));
    this.tableButton = spec.tableOf && h("button", { type: "button", class: "quiet", "aria-pressed": "false", on: { click: () => this.toggle() } }, "Table");
    this.sqlButton = h("button", { type: "button", class: "quiet", title: "Where these numbers come from", on: { click: () => this.answer && open({ title: spec.title, what: spec.what, answer: this.answer }) } }, "SQL");
    this.el = h("section", { class: "tile", id: spec.id, "aria-labelledby": `${spec.id}-title`, "aria-busy": "true", data: { width: spec.width ?? "full", state: "loading" } },
      h("header", {},
        h("div", { class: "titles" }, h("h2", { id: `${spec.id}-title` }, spec.title), this.sub),
        this.tableButton, this.sqlButton),
      this.body);
  }

  // load asks the API and shows what it says; an error can be tried again.
  async load(filter, signal) {
    this.el.setAttribute("aria-busy", "true");
    try {
      this.answer = await get(this.spec.path, this.spec.filtered === false ? this.spec.params : { ...filter, ...this.spec.params }, signal);
      this.show();
    } catch (err) {
      if (err.name === "AbortError") return;
      this.el.dataset.state = "error";
      this.body.replaceChildren(h("div", { class: "said error", role: "alert" }, h("p", {}, `${err.message}. ${err.hint ?? ""}`),
        h("button", { type: "button", on: { click: () => this.load(filter, signal) } }, "Try again")));
      if (err.lost) throw err;
    }
    this.el.setAttribute("aria-busy", "false");
  }

  toggle() {
    this.asTable = !this.asTable;
    this.tableButton.setAttribute("aria-pressed", String(this.asTable));
    if (this.answer) this.show();
  }

  show() {
    const { state, message } = this.answer;
    this.el.dataset.state = state;
    this.sub.textContent = "";
    if (state !== "ok") {
      this.body.replaceChildren(h("div", { class: "said" }, h("p", {}, message)));
      return;
    }
    this.body.replaceChildren();
    this.spec.draw(this.answer, this.body, this);
    if (!this.asTable) return;
    for (const chart of this.body.querySelectorAll(".chart")) chart.replaceWith(this.spec.tableOf(this.answer));
  }
}

// table makes a table: columns are {label, n (a number), cell(row), wide}.
export function table(caption, columns, rows, props = {}) {
  const cls = (c) => [c.n && "n", c.wide && "wide-only"].filter(Boolean).join(" ") || null;
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption, ...props },
    h("table", {}, h("caption", { class: "hidden" }, caption),
      h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col", class: cls(c), title: c.title }, c.label)))),
      h("tbody", {}, rows.map((r) => h("tr", {}, columns.map((c, i) => h(i === 0 ? "th" : "td", { class: cls(c), scope: i === 0 ? "row" : null }, c.cell(r))))))));
}
