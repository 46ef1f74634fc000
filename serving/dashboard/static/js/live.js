// Live: the page asks every few seconds which snapshots are newest.
import { get } from "./api.js";
import { h } from "./dom.js";
import { ago, instant } from "./format.js";

const every = 5000;
const status = document.getElementById("status");
let version = null;
let asOf = null;

function say(state, words, title = "") {
  status.dataset.state = state;
  status.title = title;
  const el = status.querySelector(".words");
  if (el.textContent !== words) el.textContent = words; // a status is read aloud when it changes
}

function show() {
  if (asOf) say("live", `Live · data from ${ago(asOf)}`, `newest commit: ${instant(asOf)}`);
  else say("live", "Live · the lake is empty");
}

async function look(changed) {
  const v = await get("version");
  asOf = v.as_of;
  document.getElementById("logout").hidden = !v.login;
  document.getElementById("snapshots").replaceChildren(v.as_of ? `Snapshots of ${instant(v.as_of)}: ` : "", ...v.tables.flatMap((t, i) =>
    [i ? ", " : "", h("span", { title: `snapshot ${t.snapshot}, committed ${instant(t.committed_at)}` }, t.table)]));
  document.getElementById("banner").hidden = v.as_of !== null;
  show();
  if (version !== null && v.version !== version) await changed();
  version = v.version;
  document.documentElement.dataset.version = version;
}

// startLive calls changed when there are newer snapshots.
export async function startLive(changed) {
  const turn = async () => {
    try {
      if (!document.hidden) await look(changed);
    } catch (err) {
      say("lost", "No answer from feedlake; trying again", err.hint ?? "");
      version ??= "";
    }
    setTimeout(turn, every);
  };
  document.addEventListener("visibilitychange", () => document.hidden || look(changed).catch(() => {}));
  await turn();
}
