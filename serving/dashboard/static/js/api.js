// get asks the API; filter values travel as query parameters. The browser keeps
// answers and revalidates them by their ETag.
export async function get(path, params = {}, signal = undefined) {
  const query = new URLSearchParams(Object.entries(params).filter(([, v]) => v !== ""));
  let res;
  try {
    res = await fetch(`/api/${path}${query.size ? "?" + query : ""}`, { signal, headers: { Accept: "application/json" } });
  } catch (err) {
    if (err.name === "AbortError") throw err;
    throw new Failure("feedlake does not answer", "Is feedlake serve still running?", true);
  }
  if (res.status === 401) {
    location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
    throw new Failure("Sign in again", "");
  }
  const body = await res.json().catch(() => ({}));
  if (!res.ok) throw new Failure(body.error?.message ?? `the server answered ${res.status}`, body.error?.hint ?? "");
  return body;
}

// Failure is an error for people: what is wrong, and the next step.
export class Failure extends Error {
  constructor(message, hint, lost = false) {
    super(message);
    this.hint = hint;
    this.lost = lost;
  }
}
