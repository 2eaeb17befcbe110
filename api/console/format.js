// Figures and times for people.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { maximumSignificantDigits: 3, notation: 'compact' });

export const count = (n) => whole.format(n);

export const rate = (n) => (n < 10 && n > 0 ? n.toFixed(1) : n < 10_000 ? whole.format(n) : short.format(n));

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return (i === 0 || n >= 100 ? whole.format(n) : n.toFixed(1)) + ' ' + units[i];
}

export const milliseconds = (n) => (n === null ? '–' : n < 10 ? n.toFixed(2) : n < 100 ? n.toFixed(1) : whole.format(n)) + ' ms';

export function duration(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'm'], [1, 's']];
  const first = Math.max(0, parts.findIndex(([size]) => seconds >= size));
  return parts.slice(first, first + 2).map(([size, unit], i) => Math.floor(i === 0 ? seconds / size : (seconds % parts[first][0]) / size) + unit).join(' ');
}

// ago formats the time since a moment, by this machine's clock.
export function ago(time) {
  if (!time) return '';
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  return seconds < 1 ? 'now' : duration(seconds) + ' ago';
}

export const clock = (time) => new Date(time).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 });

export const moment = (time) => (time ? new Date(time).toLocaleString('en-GB') : '');

// json formats a message: a string as it is.
export const json = (data) => (typeof data === 'string' ? data : JSON.stringify(data));
