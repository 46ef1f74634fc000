// h makes an element. Props: on (listeners), data (dataset), style (properties,
// set through the CSSOM: inline style attributes are forbidden here), else
// attributes; null and false leave one out.
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name === "on") for (const [event, f] of Object.entries(value)) el.addEventListener(event, f);
    else if (name === "data") Object.assign(el.dataset, value);
    else if (name === "style") for (const [p, v] of Object.entries(value)) el.style.setProperty(p, v);
    else if (value === true) el.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) el.setAttribute(name, value);
  }
  el.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
  return el;
}

// chip is a square in a colour of the theme.
export const chip = (color) => h("span", { class: "chip", "aria-hidden": "true", style: { background: `var(--${color})` } });
