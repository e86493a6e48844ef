import { describe, expect, test } from 'vitest';
import { digest, digestOf } from '../src/stream/digest';
import { World } from '../src/stream/world';
import { Bench, projectState, run, step } from './host';

describe('the digest of what a window holds', () => {
  test('does not depend on the way, and changes with every letter', () => {
    expect(digest({ a: 1, b: [{ c: 'x', d: 2 }] })).toBe(digest({ b: [{ d: 2, c: 'x' }], a: 1 }));
    expect(digest({ a: 1 })).not.toBe(digest({ a: 2 }));
    expect(digest(['a', 'b'])).not.toBe(digest(['b', 'a']));
    expect(digest(undefined)).toMatch(/^[0-9a-f]{12}$/);
  });

  test('a window that heard the events and one that took the snapshot have the same', () => {
    const heard = new Bench();
    heard.live();
    const done = run('r_00000001', { status: 'done', conclusion: 'success' });
    const built = step('r_00000001', 'build', { status: 'done' });
    heard.give(
      heard.event('project/shop', 11, 9, { type: 'step_updated', data: built as never }),
      heard.event('project/shop', 12, 11, { type: 'run_updated', data: done as never }),
    );
    const taken = new World();
    const state = projectState('shop', [{ run: done, steps: [built] }]);
    taken.apply({ type: 'snapshot', room: 'project/shop', at: 12, state });
    const found = digestOf(heard.world, 'project/shop');
    expect(found).toBe(digestOf(taken, 'project/shop'));
    heard.give(heard.event('project/shop', 13, 12, { type: 'run_updated', data: { ...done, progress: 1 } as never }));
    expect(digestOf(heard.world, 'project/shop')).not.toBe(found);
  });

  test('of a member there is none, since nobody else has it', () => {
    expect(digestOf(new World(), 'member/m_12345678')).toBeUndefined();
  });
});
