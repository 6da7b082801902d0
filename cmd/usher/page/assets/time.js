// Times as people read them. The stage's clock may be days ahead, so a day is shown where it is another one.

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const seconds = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric', month: 'short' });

/** hm is 14:05, hms 14:05:09, on a day such as Fri 21 Nov. */
export const hm = (ms) => clock.format(ms);
export const hms = (ms) => seconds.format(ms);
export const date = (ms) => day.format(ms);

/** daytime is hm, with the day where it is not today's. */
export const daytime = (ms, today) => (date(ms) === date(today) ? hm(ms) : `${date(ms)}, ${hm(ms)}`);

/** span is a duration with its two greatest units: 3 d 4 h, 24 h, 11 h 59 min, 4 min 30 s, 42 s. */
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  const days = s < 2 * 86400 ? 0 : Math.floor(s / 86400);
  const units = [[days, 'd'], [Math.floor(s / 3600) - 24 * days, 'h'], [Math.floor(s / 60) % 60, 'min'], [s % 60, 's']];
  const from = units.findIndex(([n]) => n > 0);
  if (from < 0) return '0 s';
  return units.slice(from, from + 2).filter(([n]) => n > 0).map(([n, unit]) => `${n} ${unit}`).join(' ');
}

/** ago is a short "3 min ago". */
export function ago(ms) {
  if (ms < 5000) return 'just now';
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}
