import type { Point } from './layout';

const KINK = 14;

/** Level, 45 degrees, level: as tracks are drawn on a signal diagram. */
export function trackCorners(points: readonly Point[]): Point[] {
  const [start, ...rest] = points;
  if (!start) return [];
  const corners = [start];
  let { x, y } = start;
  for (const corner of rest) {
    // A kink of a few pixels looks like a mistake: a track may enter a node a little off its middle.
    const point = Math.abs(corner.y - y) <= KINK ? { x: corner.x, y } : corner;
    const rise = point.y - y;
    const run = point.x - x;
    if (rise !== 0) {
      const slope = Math.min(Math.abs(rise), Math.max(8, run - 24));
      const lead = Math.max(6, (run - slope) / 2);
      corners.push({ x: x + lead, y }, { x: Math.max(x + lead, point.x - lead), y: point.y });
    }
    corners.push(point);
    ({ x, y } = point);
  }
  return corners;
}

export function trackPath(points: readonly Point[]): string {
  return trackCorners(points)
    .map((corner, i) => `${i === 0 ? 'M' : 'L'}${String(corner.x)} ${String(corner.y)}`)
    .join('');
}
