// Numbers and times in the reader's language. All times are UTC.
const locale = navigator.language;
const plain = new Intl.NumberFormat(locale);
const exactly = new Intl.NumberFormat(locale, { maximumFractionDigits: 12 });
const short = new Intl.NumberFormat(locale, { notation: "compact", maximumSignificantDigits: 4 });
const days = new Intl.DateTimeFormat(locale, { timeZone: "UTC", year: "numeric", month: "short", day: "numeric" });
const dayOnly = new Intl.DateTimeFormat(locale, { timeZone: "UTC", month: "short", day: "numeric" });
const instants = new Intl.DateTimeFormat(locale, { timeZone: "UTC", year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const clock = new Intl.DateTimeFormat(locale, { timeZone: "UTC", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });

export const none = "–";
const known = (f) => (v, ...more) => (v === null || v === undefined ? none : f(v, ...more));

// count is a whole number; from ten million on it is shortened.
export const count = known((n) => (Math.abs(n) >= 1e7 ? short.format(n) : plain.format(n)));
// brief is for narrow columns: shortened from a hundred thousand on.
export const brief = known((n) => (Math.abs(n) >= 1e5 ? short.format(n) : plain.format(n)));
// decimal has about three digits that matter.
export const decimal = known((x) => {
  const digits = x === 0 || Math.abs(x) >= 100 ? 0 : Math.abs(x) >= 10 ? 1 : 2;
  return new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(x);
});
export const percent = known((x, digits = 1) =>
  new Intl.NumberFormat(locale, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(x));
export const signed = known((x) =>
  new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" }).format(x));
export const exact = known((x) => exactly.format(x));
export const seconds = known((s) => (s >= 90 ? `${decimal(s / 60)} min` : `${decimal(s)} s`));

const date = (s) => new Date(s.length === 10 ? s + "T00:00:00Z" : s);
export const day = known((s) => days.format(date(s)));
export const shortDay = known((s) => dayOnly.format(date(s)));
export const instant = known((s) => instants.format(date(s)) + " UTC");
export const hour = known((s) => clock.format(date(s)));
export const span = (first, last) => (first === last ? day(first) : days.formatRange(date(first), date(last)));

// ago tells how long before now an instant was.
export const ago = known((s) => {
  const passed = (date(s) - Date.now()) / 1000;
  for (const [unit, size] of [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(passed) >= size * (size < 86400 ? 1 : 2)) return relative.format(Math.round(passed / size), unit);
  }
  return relative.format(Math.round(passed), "second");
});

export const weekday = (iso, style = "short") =>
  new Intl.DateTimeFormat(locale, { timeZone: "UTC", weekday: style }).format(new Date(Date.UTC(2024, 0, iso))); // 1 January 2024 was a Monday

const languages = new Intl.DisplayNames([locale], { type: "language", fallback: "code" });
export function language(code) {
  if (code === "und" || !code) return "Unknown";
  try {
    return languages.of(code);
  } catch {
    return code; // not a language tag
  }
}
