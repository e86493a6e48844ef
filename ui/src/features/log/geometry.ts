/** Browsers stop at about 33 million pixels; beyond this height scrolling is scaled. */
const MAX_HEIGHT = 8_000_000;

export interface Geometry {
  /** Lines of the log. */
  total: number;
  /** Height of a line in pixels. */
  row: number;
  /** Height of what is seen in pixels. */
  view: number;
}

export function spacer({ total, row, view }: Geometry): number {
  return Math.max(view, Math.min(total * row, MAX_HEIGHT));
}

export function isScaled(geometry: Geometry): boolean {
  return geometry.total * geometry.row > MAX_HEIGHT;
}

/** The largest first line, with its fraction: the last line then ends at the bottom. */
export function lastTop({ total, row, view }: Geometry): number {
  return Math.max(0, total - view / row);
}

/** Which line, with its fraction, is at the top when the element is scrolled to here. */
export function topAt(scroll: number, geometry: Geometry): number {
  const range = spacer(geometry) - geometry.view;
  if (range <= 0) return 0;
  return Math.min(1, Math.max(0, scroll / range)) * lastTop(geometry);
}

export function scrollFor(top: number, geometry: Geometry): number {
  const last = lastTop(geometry);
  return last <= 0 ? 0 : (Math.min(top, last) / last) * (spacer(geometry) - geometry.view);
}
