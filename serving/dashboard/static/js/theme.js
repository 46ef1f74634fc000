// The theme: the system's, unless the reader chose one.
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = [];
const probe = document.createElement("span");

const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

// color resolves a colour of the style sheet for the canvas.
export function color(name) {
  if (!probe.isConnected) {
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

export const onTheme = (f) => listeners.push(f);

export function startTheme(button) {
  const show = () => {
    const next = `Switch to the ${dark() ? "light" : "dark"} theme`;
    button.setAttribute("aria-label", next);
    button.title = next;
    for (const f of listeners) f();
  };
  button.addEventListener("click", () => {
    const next = dark() ? "light" : "dark";
    if ((next === "dark") === system.matches) delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      if (root.dataset.theme) localStorage.setItem("feedlake-theme", next);
      else localStorage.removeItem("feedlake-theme"); // follow the system again
    } catch { /* no storage: for this page only */ }
    show();
  });
  system.addEventListener("change", show);
  show();
}
