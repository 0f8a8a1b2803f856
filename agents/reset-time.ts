/**
 * Reads from an agent's text when a provider's usage limit is lifted. Pure: it maps the text, the current time and a
 * time zone to a time.
 *
 * Must never happen: this module returns a time that the text does not contain. It reads only the forms that agents and
 * providers are known to use, the most exact form first. If a form occurs with two different times, it returns
 * `undefined`.
 */
export interface FailureText {
  /** The whole text of the failure: sentences, JSON, headers. */
  readonly text: string;
  readonly now: Date;
  /** IANA name of the time zone for wall-clock times that name no zone. */
  readonly zone: string;
}

type TimeReader = (failure: FailureText) => (number | undefined)[];

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * How many characters of the text are read. In a long text, such as a whole page, the time stands near the beginning.
 */
const READ_CHARS = 20_000;
/**
 * A wall-clock time that passed at most this long ago is not moved to the next day, because the agent wrote the text
 * before it is read.
 */
const JUST_PAST = 15 * MINUTE;
/**
 * Two times in the text that differ by at most this count as the same time: one of them was written with fewer digits.
 */
const SAME = 2 * MINUTE;

/**
 * Returns `undefined` if the text contains no time, or times that contradict each other. The time may be past or far in
 * the future; the caller checks that.
 */
export function resetTime(failure: FailureText): Date | undefined {
  // The quotes of JSON within JSON are escaped, so backslashes are removed.
  const plain = { ...failure, text: failure.text.slice(0, READ_CHARS).replaceAll('\\', '') };
  for (const form of [instants, seconds, durations, dates, clocks]) {
    const found = form(plain);
    if (found.length === 0) continue;
    const known = found.filter((one) => one !== undefined);
    const [latest, first] = [Math.max(...known), Math.min(...known)];
    return known.length === found.length && latest - first <= SAME ? new Date(latest) : undefined;
  }
  return undefined;
}

const groupsOf = (pattern: RegExp, text: string): Record<string, string | undefined>[] =>
  [...text.matchAll(pattern)].map(({ groups }) => groups ?? {});

/**
 * `usage limit reached|1762952400` (claude), `"resets_at":1777936568` (codex), `regain access on 2025-12-01 at 00:00 UTC`
 * (Anthropic's API), `retry-after: Wed, 25 Nov 2026 07:28:00 GMT`.
 */
const INSTANT =
  /limit reached\|(?<epoch>\d{10})(?!\d)|"resets?_?at"\s*:\s*"?(?:(?<stamp>\d{10}(?:\d{3})?)(?!\d)|(?<iso>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)))|regain access on (?<day>\d{4}-\d\d-\d\d) at (?<time>\d\d:\d\d) UTC|retry-after"?\s*[:=]\s*"?(?<http>\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT)/gi;

const instants: TimeReader = ({ text }) =>
  groupsOf(INSTANT, text).map(({ epoch, stamp, iso, day, time, http }) => {
    const digits = epoch ?? stamp;
    if (digits !== undefined) return Number(digits) * (digits.length > 10 ? 1 : SECOND);
    const parsed = Date.parse(iso ?? http ?? `${day}T${time}:00Z`);
    return Number.isNaN(parsed) ? undefined : parsed;
  });

/** `"resets_in_seconds":13872` (codex), `retry-after: 30`, `retry-after-ms: 1500`, `"retryDelay":"38.601s"` (Google). */
const SECONDS =
  /"resets?_in_seconds"\s*:\s*(?<in>\d+)|retry-after-ms"?\s*[:=]\s*"?(?<ms>\d+)|retry-after"?\s*[:=]\s*"?(?<after>\d+)(?![\d.:])|\bretryDelay"?\s*:\s*"?(?<delay>\d+(?:\.\d+)?)s/gi;

const seconds: TimeReader = ({ text, now }) =>
  groupsOf(SECONDS, text).map(({ in: within, ms, after, delay }) =>
    ms === undefined ? now.getTime() + Number(within ?? after ?? delay) * SECOND : now.getTime() + Number(ms),
  );

/** `try again in 5 days 22 hours 11 minutes` (codex), `quota will reset after 12h34m16s`, `Please retry in 38.6s` (Google). */
const DURATION =
  /\b(?:try again|retry|resets?)\s+(?:in|after)\s+(?:(?<soon>less than a minute)|(?<parts>(?:\d+(?:\.\d+)?\s*(?:days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])(?:,|\s+and)?\s*)+|(?:\d+(?:\.\d+)?[dhms])+(?![a-z])))/gi;
const PART = /(?<count>\d+(?:\.\d+)?)\s*(?<unit>[dhms])/gi;
const UNITS: Readonly<Record<string, number>> = { d: DAY, h: HOUR, m: MINUTE, s: SECOND };

const durations: TimeReader = ({ text, now }) =>
  groupsOf(DURATION, text).map(({ soon, parts = '' }) => {
    if (soon !== undefined) return now.getTime() + MINUTE;
    const read = groupsOf(PART, parts).map(({ count, unit = '' }) => [Number(count), unit.toLowerCase()] as const);
    const total = read.reduce((sum, [count, unit]) => sum + count * (UNITS[unit] ?? 0), 0);
    // A duration without seconds was cut to whole minutes. One minute is added, because a task that wakes too early has
    // to wait again.
    return now.getTime() + total + (read.some(([, unit]) => unit === 's') ? 0 : MINUTE);
  });

const WHEN = String.raw`\b(?:resets?(?:\s+(?:at|on))?|try again (?:at|on))\s+`;
const TIME = String.raw`(?<hour>\d{1,2})(?::(?<minute>\d\d))?\s*(?<half>[ap]\.?m\b\.?)?(?![\w:])`;
const ZONE = String.raw`(?:\s*\((?<zone>[^)]*)\)|\s+(?<utc>UTC|GMT)\b)?`;
const MONTHS = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ');
const DAY_OF = String.raw`(?<month>${MONTHS.join('|')})[a-z]*\.? (?<day>\d{1,2})(?:st|nd|rd|th)?(?:,? (?<year>\d{4}))?(?:,| at|, at)? `;

/** `resets Jul 27 at 4:30am (Asia/Calcutta)` (claude), `try again at Sep 11th, 2026 9:23 PM` (codex). */
const DATE = RegExp(WHEN + DAY_OF + TIME + ZONE, 'gi');
/** `resets 1:30am (Asia/Dhaka)`, `Your limit will reset at 3pm (America/Bogota)` (claude), `try again at 11:05 PM` (codex). */
const CLOCK = RegExp(WHEN + TIME + ZONE, 'gi');

const dates: TimeReader = ({ text, now, zone }) =>
  groupsOf(DATE, text).map((groups) => {
    const time = timeOf(groups);
    const inZone = zoneOf(groups, zone);
    if (time === undefined || inZone === undefined) return undefined;
    const month = MONTHS.indexOf((groups['month'] ?? '').toLowerCase());
    const day = Number(groups['day']);
    const at = (year: number): number => instantOf([year, month, day, ...time], inZone);
    if (groups['year'] !== undefined) return at(Number(groups['year']));
    // Uses the year that brings the time nearest to now, because around New Year it may be the next year.
    const year = partsIn(inZone, now.getTime())[0];
    const distance = (one: number): number => Math.abs(at(one) - now.getTime());
    return at(distance(year + 1) < distance(year) ? year + 1 : year);
  });

const clocks: TimeReader = ({ text, now, zone }) =>
  groupsOf(CLOCK, text).map((groups) => {
    const time = timeOf(groups);
    const inZone = zoneOf(groups, zone);
    if (time === undefined || inZone === undefined) return undefined;
    const [year, month, day] = partsIn(inZone, now.getTime());
    const on = (offset: number): number => instantOf([year, month, day + offset, ...time], inZone);
    // Yesterday is tried too: just after midnight, a time shortly before midnight belongs to yesterday.
    return [-1, 0, 1].map(on).find((one) => one >= now.getTime() - JUST_PAST);
  });

type Groups = Record<string, string | undefined>;

function timeOf({ hour, minute, half }: Groups): [number, number] | undefined {
  const [hours, minutes] = [Number(hour), Number(minute ?? 0)];
  if (minutes > 59) return undefined;
  // A number without minutes and without am or pm is not a time.
  if (half === undefined) return minute === undefined || hours > 23 ? undefined : [hours, minutes];
  if (hours < 1 || hours > 12) return undefined;
  return [(hours % 12) + (half.toLowerCase().startsWith('p') ? 12 : 0), minutes];
}

/**
 * Returns the time zone that the text names, otherwise `own`. Returns `undefined` if the text names an unknown zone.
 */
function zoneOf({ zone, utc }: Groups, own: string): string | undefined {
  const name = zone ?? utc;
  if (name === undefined) return own;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    return undefined; // RangeError: the zone does not exist
  }
}

/** Year, month (from 0), day, hour, minute. */
type WallClock = [number, number, number, number, number];

function partsIn(zone: string, instant: number): WallClock {
  const numeric = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' } as const;
  const format = new Intl.DateTimeFormat('en', { timeZone: zone, hourCycle: 'h23', ...numeric });
  const parts = new Map(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]));
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
  return [part('year'), part('month') - 1, part('day'), part('hour'), part('minute')];
}

/**
 * Converts a wall-clock time to an instant. When clocks go back, a wall-clock time has two instants, and one of them is
 * returned. For a time that daylight saving skips, an instant near it is returned.
 */
function instantOf(wall: WallClock, zone: string): number {
  const asUtc = Date.UTC(...wall);
  const offsetAt = (instant: number): number =>
    Date.UTC(...partsIn(zone, instant)) - Math.floor(instant / MINUTE) * MINUTE;
  const guess = asUtc - offsetAt(asUtc);
  return asUtc - offsetAt(guess);
}
