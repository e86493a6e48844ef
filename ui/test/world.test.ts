import { describe, expect, test } from 'vitest';
import { World } from '../src/stream/world';
import { project, projectState, run, runState, step } from './host';

const event = (type: string, seq: number, data: unknown, more: Record<string, unknown> = {}) =>
  ({ type, seq, prev: 0, cursor: `a.${String(seq)}`, room: 'project/shop', ts: 5, actor: 'x', data, ...more }) as never;

describe('the world', () => {
  test('older news of a step is refused, whatever way it comes', () => {
    const world = new World();
    world.apply(event('step_updated', 20, step('r_00000001', 'build', { status: 'done' })));
    world.apply({
      type: 'snapshot',
      room: 'run/r_00000001',
      at: 15,
      state: runState('r_00000001', { steps: [step('r_00000001', 'build')] }),
    });
    expect(world.step('r_00000001', 'build')?.status).toBe('done');
  });

  test('hostile names are only names', () => {
    const world = new World();
    for (const name of ['__proto__', 'constructor', 'toString']) {
      world.apply(
        event(
          'step_updated',
          1,
          step('r_00000001', name, { outputs: JSON.parse('{"__proto__":{"polluted":true}}') as unknown }),
        ),
      );
      world.apply(event('x___proto__', 2, {}));
      expect(world.step('r_00000001', name)?.title).toBe(name);
    }
    world.projects.set('__proto__', project('__proto__'));
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(world.step('r_00000001', 'valueOf')).toBeUndefined();
  });

  test('unknown types are ignored and counted', () => {
    const world = new World();
    world.apply(event('from_the_future', 1, {}));
    world.apply(event('from_the_future', 2, {}));
    expect(world.unknown.get('from_the_future')).toBe(2);
  });

  test('a question closes everywhere when it is settled', () => {
    const world = new World();
    const approval = {
      id: 'a_00000001',
      project: 'shop',
      run: 'r_00000001',
      run_number: 1,
      workflow: 'ship',
      step: 'ok',
      question: 'Ship?',
      roles: [],
      min: 1,
      self_approval: true,
      state: 'open' as const,
      opened_at: 1,
    };
    world.apply(event('approval_requested', 5, approval));
    expect(world.approvals.get('a_00000001')?.value.state).toBe('open');
    world.apply(event('approval_resolved', 6, { ...approval, state: 'approved' }));
    expect(world.approvals.get('a_00000001')?.value.state).toBe('approved');
    world.apply({
      type: 'snapshot',
      room: 'project/shop',
      at: 5,
      state: { ...projectState('shop'), approvals: [approval] } as never,
    });
    expect(world.approvals.get('a_00000001')?.value.state).toBe('approved');
  });

  test('a page of old runs never overwrites what the stream said', () => {
    const world = new World();
    world.apply(event('run_updated', 9, run('r_00000001', { progress: 0.9 })));
    world.older([run('r_00000001', { progress: 0.1 }), run('r_00000000')]);
    expect(world.run('r_00000001')?.progress).toBe(0.9);
    expect(world.run('r_00000000')).toBeDefined();
  });
});
