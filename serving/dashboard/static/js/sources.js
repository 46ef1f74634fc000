// The colour of each source, the same everywhere on the page and under every
// filter.
import { chip } from "./dom.js";

const colors = 7; // the eighth is for the rest
let order = [];

export const setSources = (names) => (order = names.toSorted());
export const sourceColor = (name) => {
  const i = order.indexOf(name);
  return `source-${i >= 0 && i < colors ? i : colors}`;
};
export const sourceChip = (name) => chip(sourceColor(name));
// shown splits sources into those with a colour of their own and the rest.
export const shown = (names) => [names.filter((n) => sourceColor(n) !== `source-${colors}`), names.filter((n) => sourceColor(n) === `source-${colors}`)];
