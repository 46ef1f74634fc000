import { get } from "./api.js";
import { cardElements, loadCards } from "./cards.js";
import { engagement } from "./engagement.js";
import { filter, known, startFilters } from "./filters.js";
import { hashtags } from "./hashtags.js";
import { heatmap } from "./heatmap.js";
import { startLive } from "./live.js";
import { runs } from "./runs.js";
import { sentiment } from "./sentiment.js";
import { setSources } from "./sources.js";
import { startTheme } from "./theme.js";
import { Tile } from "./tile.js";
import { volume } from "./volume.js";

const tiles = [volume, heatmap, sentiment, engagement, hashtags, runs].map((spec) => new Tile(spec));
let under = new AbortController();
let turn = 0;

// refresh asks for everything under the present filter; a newer call replaces
// one under way.
async function refresh() {
  under.abort();
  under = new AbortController();
  const { signal } = under;
  const mine = ++turn;
  const f = filter();
  const answers = await Promise.allSettled([loadCards(f, signal), ...tiles.map((t) => t.load(f, signal))]);
  if (mine === turn) document.documentElement.dataset.turn = String(turn); // all of this turn is shown
  return answers;
}

async function lists() {
  const { data } = await get("filters");
  setSources(data.sources.map((s) => s.value));
  known(data);
}

document.getElementById("cards").append(...cardElements);
document.getElementById("tiles").append(...tiles.map((t) => t.el));
startTheme(document.getElementById("theme"));
startFilters(refresh);
await lists().catch(() => {}); // the tiles say what is wrong
await refresh();
startLive(async () => {
  await lists();
  await refresh();
});
