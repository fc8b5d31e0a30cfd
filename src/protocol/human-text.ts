const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** A size for people: `512 bytes`, `1.5 MiB`. */
export function humanSize(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const unit = UNITS[power] ?? 'bytes';
  return power === 0
    ? `${String(Math.round(bytes))} ${unit}`
    : `${(bytes / 1024 ** power).toFixed(1)} ${unit}`;
}

/** A number of things for people: `1 chunk`, `3 chunks`. For words that take an `s`. */
export function humanCount(count: number, thing: string): string {
  return `${String(count)} ${thing}${count === 1 ? '' : 's'}`;
}

/** A duration for people, from seconds: `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function humanDuration(seconds: number): string {
  const rounded = Math.ceil(seconds);
  if (rounded < 60) return `${String(rounded)} s`;
  const minutes = Math.floor(rounded / 60);
  if (minutes < 60) return `${String(minutes)} min ${String(rounded % 60)} s`;
  return `${String(Math.floor(minutes / 60))} h ${String(minutes % 60)} min`;
}
