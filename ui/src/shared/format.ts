/** `4s`, `3m 12s`, `2h 5m`, `3d 4h`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (ms < 1000) return ms <= 0 ? '0s' : ms < 100 ? '<0.1s' : `${(ms / 1000).toFixed(1)}s`;
  if (seconds < 60) return `${String(seconds)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${String(minutes)}m ${String(seconds % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${String(hours)}h ${String(minutes % 60)}m`;
  return `${String(Math.floor(hours / 24))}d ${String(hours % 24)}h`;
}

export function ago(at: number, now: number): string {
  const ms = now - at;
  if (ms < 5_000) return 'just now';
  if (ms < 60_000) return `${String(Math.floor(ms / 1000))}s ago`;
  if (ms < 3_600_000) return `${String(Math.floor(ms / 60_000))} min ago`;
  if (ms < 86_400_000) return `${String(Math.floor(ms / 3_600_000))} h ago`;
  if (ms < 7 * 86_400_000) return `${String(Math.floor(ms / 86_400_000))} d ago`;
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' }).format(at);
}

export function exact(at: number): string {
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' }).format(at);
}

export function clockTime(at: number): string {
  return new Intl.DateTimeFormat(undefined, { timeStyle: 'short' }).format(at);
}

export function bytes(n: number): string {
  if (n < 1024) return `${String(n)} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = n / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : String(Math.round(value))} ${units[unit] ?? ''}`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString()} ${n === 1 ? one : many}`;
}

export function percent(part: number): string {
  return `${String(Math.round(part * 100))}%`;
}

/** A value as a person would write it. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value, null, 1) ?? '');
}
