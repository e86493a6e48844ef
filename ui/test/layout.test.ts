import { describe, expect, test } from 'vitest';
import { layout } from '../src/features/graph/layout';
import { trackPath } from '../src/features/graph/track';
import { scrollFor, spacer, topAt, lastTop } from '../src/features/log/geometry';

const stop = (key: string, needs: string[] = [], id = key) => ({ key, id, needs });

function overlaps(diagram: ReturnType<typeof layout>): string[] {
  const found: string[] = [];
  for (const a of diagram.units) {
    for (const b of diagram.units) {
      if (a.id < b.id && a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height)
        found.push(`${a.id}/${b.id}`);
    }
  }
  return found;
}

describe('the diagram', () => {
  test('needs are to the left, nothing overlaps', () => {
    const diagram = layout([
      stop('plan'),
      stop('a', ['plan']),
      stop('b', ['plan']),
      stop('c', ['a']),
      stop('join', ['b', 'c']),
      stop('far', ['plan', 'join']),
    ]);
    const at = new Map(diagram.units.map((unit) => [unit.id, unit]));
    for (const track of diagram.tracks)
      expect(at.get(track.from)!.x + at.get(track.from)!.width).toBeLessThan(at.get(track.to)!.x);
    expect(overlaps(diagram)).toEqual([]);
  });

  test('children of a matrix are one panel, many of them a compact one', () => {
    const many = Array.from({ length: 40 }, (_, i) => stop(`t[${String(i)}]`, ['a'], 't'));
    const diagram = layout([
      stop('a'),
      ...many,
      stop(
        'z',
        many.map((each) => each.key),
      ),
    ]);
    expect(diagram.units).toHaveLength(3);
    expect(diagram.tracks).toHaveLength(2);
    const panel = diagram.units.find((unit) => unit.id === 't');
    expect(panel).toMatchObject({ group: true, compact: true });
    // 40 lamps of 22 px, in rows of 10, with 8 px at both sides, 30 px above and a border.
    expect(panel?.width).toBeGreaterThanOrEqual(10 * 22 + 2 * 8 + 3);
    expect(panel?.height).toBeGreaterThanOrEqual(4 * 22 + 30 + 3);
  });

  test('a thousand steps are laid out quickly, and a cycle or a hostile name ends', () => {
    const wide = Array.from({ length: 1000 }, (_, i) =>
      stop(`s${String(i)}`, i < 20 ? [] : [`s${String(i - 20)}`, `s${String(i - 1 - (i % 20))}`]),
    );
    const started = performance.now();
    const diagram = layout(wide);
    expect(performance.now() - started).toBeLessThan(1_500);
    expect(overlaps(diagram)).toEqual([]);
    expect(layout([stop('a', ['b']), stop('b', ['a']), stop('__proto__', ['constructor'])]).units).toHaveLength(3);
  });

  test('a track is level at both ends', () => {
    expect(
      trackPath([
        { x: 0, y: 0 },
        { x: 100, y: 40 },
      ]),
    ).toMatch(/^M0 0L30 0L70 40L100 40$/);
  });
});

describe('scrolling a log', () => {
  test('every line of twenty million can be reached, and the ends are the ends', () => {
    const geometry = { total: 20_000_000, row: 20, view: 600 };
    expect(spacer(geometry)).toBeLessThan(33_000_000);
    expect(topAt(0, geometry)).toBe(0);
    expect(topAt(spacer(geometry) - 600, geometry)).toBe(lastTop(geometry));
    expect(topAt(scrollFor(12_345_678, geometry), geometry)).toBeCloseTo(12_345_678, 3);
  });

  test('a short log does not scroll', () => {
    expect(spacer({ total: 3, row: 20, view: 600 })).toBe(600);
    expect(topAt(0, { total: 3, row: 20, view: 600 })).toBe(0);
  });
});
