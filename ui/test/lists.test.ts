import { expect, test } from 'vitest';
import type { Member, ServerFrame } from '../src/platform/protocol';
import { auditedProject, Lists } from '../src/store/lists';
import { World } from '../src/stream/world';
import { Bench, HOST_STATE, project, projectState, run } from './host';

const member = (id: string, name: string): Member => ({ id, name, role: 'operator', projects: ['shop'] });
const refused: ServerFrame = { type: 'left', room: 'host', code: 'forbidden' };
const present = (id: string): ServerFrame => ({
  type: 'presence',
  room: 'project/shop',
  member: id,
  name: id,
  state: {},
});

/** A host whose answers are given by hand, in any order. */
function desk() {
  const world = new World();
  const asked: { method: string; answer: (reply: unknown) => Promise<void>; fail: () => Promise<void> }[] = [];
  const settled = () => new Promise<void>((resolve) => setTimeout(resolve));
  const lists = new Lists(
    world,
    (method) =>
      new Promise((resolve, reject) => {
        asked.push({
          method,
          answer: (reply) => {
            resolve(reply as never);
            return settled();
          },
          fail: () => {
            reject(new Error('forbidden'));
            return settled();
          },
        });
      }),
    () => undefined,
  );
  const apply = (frame: ServerFrame) => {
    world.apply(frame);
    lists.apply(frame);
  };
  const take = (method: string) => {
    const at = asked.findIndex((each) => each.method === method);
    return asked.splice(at, 1)[0]!;
  };
  return { world, asked, apply, take };
}

test('each refusal of the host room replaces the projects: what was taken goes with all that is of it', async () => {
  const { world, apply, take } = desk();
  apply(refused);
  await take('project.list').answer({ projects: [project('shop'), project('docs')] });
  apply({
    type: 'snapshot',
    room: 'project/shop',
    at: 5,
    state: projectState('shop', [{ run: run('r_00000001'), steps: [] }]),
  });
  expect([...world.projects.keys()].sort()).toEqual(['docs', 'shop']);

  apply(refused);
  await take('project.list').answer({ projects: [project('docs'), project('site')] });
  expect([...world.projects.keys()].sort()).toEqual(['docs', 'site']);
  expect(world.run('r_00000001')).toBeUndefined();
  expect(world.queues.has('shop')).toBe(false);
  expect(world.gone.has('shop')).toBe(true);
});

test('a failed question takes nothing away, and a late answer to an older one changes nothing', async () => {
  const { world, apply, take } = desk();
  apply(refused);
  const old = take('project.list');
  apply(refused);
  await take('project.list').answer({ projects: [project('shop')] });
  await old.answer({ projects: [] });
  apply(refused);
  await take('project.list').fail();
  expect([...world.projects.keys()]).toEqual(['shop']);

  apply(refused);
  const last = take('project.list');
  apply({ type: 'snapshot', room: 'host', at: 9, state: { ...HOST_STATE, projects: [project('all')] } as never });
  await last.answer({ projects: [project('shop')] });
  expect([...world.projects.keys()]).toEqual(['all']);
});

test('members are listed, and again when somebody unknown is there: once for each', async () => {
  const { world, asked, apply, take } = desk();
  apply(refused);
  await take('member.list').answer({ members: [member('m_00000001', 'ada')] });
  asked.length = 0;
  apply(present('m_00000001'));
  expect(asked).toHaveLength(0);
  apply(present('m_00000002'));
  apply(present('m_00000002'));
  expect(asked.map((each) => each.method)).toEqual(['member.list']);
  await take('member.list').answer({ members: [member('m_00000001', 'ada'), member('m_00000002', 'bob')] });
  expect([...world.members.values()].map((each) => each.name)).toEqual(['ada', 'bob']);
});

test('who sees the host room asks for nothing', () => {
  const { asked, apply } = desk();
  apply({ type: 'snapshot', room: 'host', at: 3, state: HOST_STATE });
  apply(present('m_00000009'));
  apply({ type: 'left', room: 'project/shop', code: 'not_found' });
  expect(asked).toHaveLength(0);
});

test('a refused room is asked for again on the next connection', () => {
  const bench = new Bench();
  bench.live();
  bench.connection.join('project/docs');
  bench.connection.join('project/NO');
  bench.give({ type: 'left', room: 'project/docs', code: 'not_found' });
  expect(bench.connection.rooms.wanted()).not.toContain('project/docs');
  bench.give({ type: 'bye', code: 4014, reason: 'state_invalidated', reconnect_ms: 0 });
  bench.connection.retryNow();
  bench.welcome();
  expect(bench.socket.last('subscribe')?.rooms).toContain('project/docs');
  // The host ends a connection for one malformed name: such a room stays refused.
  expect(bench.socket.last('subscribe')?.rooms).not.toContain('project/NO');
  expect(bench.world.refused.get('project/docs')).toBe('not_found');
  bench.give({ type: 'snapshot', room: 'project/docs', at: 12, state: projectState('docs') });
  expect(bench.world.refused.has('project/docs')).toBe(false);
});

test('the audit list is of the whole host, or of one project that is still seen', () => {
  const projects = [project('docs'), project('shop')];
  expect(auditedProject(true, projects, 'shop')).toBeUndefined();
  expect(auditedProject(false, projects, undefined)).toBe('docs');
  expect(auditedProject(false, projects, 'shop')).toBe('shop');
  expect(auditedProject(false, projects, 'taken')).toBe('docs');
  expect(auditedProject(false, [], undefined)).toBeUndefined();
});
