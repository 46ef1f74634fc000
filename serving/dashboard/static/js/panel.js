// The side panel: where a number comes from.
import { get } from "./api.js";
import { h } from "./dom.js";
import { exact, instant, none } from "./format.js";

const dialog = document.getElementById("panel");
dialog.addEventListener("click", (e) => {
  if (e.target === dialog) dialog.close(); // the backdrop
});

// num is a number that opens its provenance. about: title, value, text (as
// shown), unit, what (key of its definition), facts ([label, text] pairs that
// place it), and answer (the API's).
export function num(about, props = {}) {
  const value = about.value ?? null;
  const shown = about.text ?? exact(value);
  return h("button", {
    type: "button", class: "num", "aria-haspopup": "dialog", data: { value: value ?? "" },
    title: `${about.title}: ${value === null ? "not known" : exact(value)}${about.unit ? " " + about.unit : ""}`,
    on: { click: () => open(about) }, ...props,
  }, shown);
}

// open shows the panel.
export function open(about) {
  const p = about.answer.provenance;
  const definition = p.definitions?.[about.what];
  dialog.replaceChildren(h("div", { class: "panel" },
    h("header", {},
      h("div", {},
        h("h2", { id: "panel-title" }, about.title),
        about.value !== undefined && h("p", { class: "exact" }, about.value === null ? none : exact(about.value), about.unit ? " " + about.unit : "")),
      h("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, "Close")),
    about.facts?.length > 0 && h("dl", {}, about.facts.map(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])),
    definition && part("What it means", h("p", {}, definition)),
    part("SQL that was run", code(p.sql), p.sql),
    part("Run it yourself", h("pre", { class: "wrap" }, p.command), p.command),
    part("Snapshots", p.tables.length === 0 ? h("p", { class: "muted" }, "None: the table is not built yet.") : p.tables.map(tableRef)),
    p.models.length > 0 && part("Models", p.models.map((m) => h("p", { class: "ref" }, m.model, " ", h("strong", {}, `version ${m.version}`)))),
    p.built_by.length > 0 && part("Rows made by", [...p.built_by.map(build),
      p.builds > p.built_by.length && h("p", { class: "muted" }, `The newest ${p.built_by.length} of ${p.builds} builds.`)]),
    h("p", { class: "muted" }, p.as_of ? `As of ${instant(p.as_of)}.` : "The lake is empty.")));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function part(title, content, copied) {
  return h("section", {}, h("h3", {}, h("span", {}, title), copied && copyButton(copied, title)), content);
}

function copyButton(text, title) {
  const button = h("button", { type: "button", "aria-label": `Copy: ${title}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      select(button.closest("section").querySelector("pre")); // no clipboard off https
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1600);
  });
  return button;
}

function select(el) {
  const range = document.createRange();
  range.selectNodeContents(el);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}

const tableRef = (t) => h("div", { class: "ref" },
  h("strong", {}, t.table), " at ", h("code", { class: "snapshot" }, t.snapshot),
  h("div", { class: "muted" }, `committed ${instant(t.committed_at)}`, t.run_id ? ` by run ${t.run_id}` : ""));

function build(b) {
  const source = h("details", {}, h("summary", {}, `How ${b.table} is built`));
  source.addEventListener("toggle", async () => {
    if (!source.open || source.childElementCount > 1) return;
    try {
      const doc = await get(`models/${encodeURIComponent(b.table)}`);
      source.append(doc.about ? h("p", {}, doc.about) : "", code(doc.sql));
    } catch (err) {
      source.append(h("p", { class: "muted" }, err.message));
    }
  });
  return h("div", { class: "ref" },
    h("div", {}, "run ", h("code", {}, b.run_id || none)),
    h("div", {}, "SQL ", h("code", {}, b.model || none)),
    h("div", {}, "from ", h("code", {}, (b.inputs || none).replaceAll(",", ", "))),
    source);
}

const words = /('(?:[^']|'')*')|\b(SELECT|FROM|WHERE|AND|OR|NOT|GROUP BY|ORDER BY|LIMIT|QUALIFY|OVER|PARTITION BY|UNION ALL|AS|DESC|NULLS LAST|DISTINCT|JOIN|LEFT|ON|CASE|WHEN|THEN|ELSE|END|WITH|IS|NULL|DATE|BETWEEN|IN)\b/gi;

// code shows SQL with its keywords and strings set apart.
function code(sql) {
  const out = h("pre", { tabindex: "0" });
  let at = 0;
  for (const m of sql.matchAll(words)) {
    out.append(sql.slice(at, m.index), h("span", { class: m[1] ? "str" : "kw" }, m[0]));
    at = m.index + m[0].length;
  }
  out.append(sql.slice(at));
  return out;
}
