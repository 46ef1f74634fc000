// The filters: a form, mirrored in the page's address.
import { h } from "./dom.js";
import { count, language } from "./format.js";

const names = ["source", "lang", "from", "to"];
const form = document.getElementById("filters");
const reset = document.getElementById("reset");
const presets = [...form.querySelectorAll("[data-days]")];
let last = ""; // last day that the lake has

// filter is what the form says now.
export const filter = () => Object.fromEntries(names.map((n) => [n, form.elements[n].value]));

function fromAddress() {
  const query = new URLSearchParams(location.search);
  for (const n of names) {
    const value = query.get(n) ?? "";
    const el = form.elements[n];
    if (el.tagName === "SELECT" && value && ![...el.options].some((o) => o.value === value)) el.append(h("option", { value }, value));
    el.value = value;
  }
  show();
}

function toAddress() {
  const query = new URLSearchParams(location.search);
  for (const n of names) {
    const value = form.elements[n].value;
    if (value) query.set(n, value);
    else query.delete(n);
  }
  history.pushState(null, "", query.size ? "?" + query : location.pathname);
}

// preset is the first day of the last n days of data.
function preset(n) {
  const d = new Date(last + "T00:00:00Z");
  d.setUTCDate(d.getUTCDate() - n + 1);
  return d.toISOString().slice(0, 10);
}

function show() {
  const f = filter();
  reset.hidden = names.every((n) => f[n] === "");
  for (const b of presets) {
    const on = b.dataset.days ? last !== "" && f.from === preset(Number(b.dataset.days)) && f.to === "" : f.from === "" && f.to === "";
    b.setAttribute("aria-pressed", String(on));
    b.disabled = last === "";
  }
}

function fill(select, all, rows, label) {
  const value = select.value;
  select.replaceChildren(h("option", { value: "" }, all), ...rows.map((r) => h("option", { value: r.value }, `${label(r.value)} (${count(r.posts)})`)));
  if (value && !rows.some((r) => r.value === value)) select.append(h("option", { value }, value));
  select.value = value;
}

// known fills the lists with what the lake has.
export function known(data) {
  fill(form.elements.source, "All sources", data.sources, (v) => v);
  fill(form.elements.lang, "All languages", data.langs, (v) => (language(v) === v ? v : `${language(v)}`));
  for (const n of ["from", "to"]) {
    form.elements[n].min = data.first_day;
    form.elements[n].max = data.last_day;
  }
  last = data.last_day;
  show();
}

export function startFilters(changed) {
  const go = () => {
    show();
    toAddress();
    changed();
  };
  form.addEventListener("submit", (e) => e.preventDefault());
  form.addEventListener("change", () => {
    const { from, to } = form.elements;
    if (from.value && to.value && to.value < from.value) [from.value, to.value] = [to.value, from.value];
    go();
  });
  form.addEventListener("reset", (e) => {
    e.preventDefault();
    for (const n of names) form.elements[n].value = "";
    go();
  });
  for (const b of presets) {
    b.addEventListener("click", () => {
      form.elements.from.value = b.dataset.days ? preset(Number(b.dataset.days)) : "";
      form.elements.to.value = "";
      go();
    });
  }
  addEventListener("popstate", () => {
    fromAddress();
    changed();
  });
  fromAddress();
}
