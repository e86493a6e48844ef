import { describe, expect, test } from 'vitest';
import type { CallFailed } from '../src/stream/calls';
import { Bench, projectState, run, runState } from './host';

const updated = (bench: Bench, seq: number, prev: number, progress: number) =>
  bench.event('project/shop', seq, prev, { type: 'run_updated', data: run('r_00000001', { progress }) as never });

describe('joining', () => {
  test('the first hello names every room and no cursor; synced makes the view complete', () => {
    const bench = new Bench();
    bench.live();
    expect(bench.socket.last('hello')).toMatchObject({ v: 1, rooms: ['host', 'activity', 'project/shop'] });
    expect(bench.socket.last('hello')?.resume).toBeUndefined();
    expect(bench.connection.link).toMatchObject({ phase: 'live', complete: true, memberName: 'ada' });
    expect(bench.connection.cursor).toBe('aaaa.10');
  });

  test('events advance the cursor only once they are applied, one flush per frame', () => {
    const bench = new Bench();
    bench.live();
    const before = bench.flushes;
    bench.socket.handlers.frames([updated(bench, 11, 9, 0.1) as never]);
    bench.socket.handlers.frames([updated(bench, 12, 11, 0.2) as never]);
    expect(bench.connection.cursor).toBe('aaaa.10');
    bench.clock.advance(16);
    expect(bench.connection.cursor).toBe('aaaa.12');
    expect(bench.flushes).toBe(before + 1);
    expect(bench.world.run('r_00000001')?.progress).toBe(0.2);
  });

  test('a room joined later is subscribed without touching the cursor', () => {
    const bench = new Bench();
    bench.live();
    bench.connection.join('run/r_00000001');
    const { rid } = bench.socket.last('subscribe')!;
    bench.give(
      { type: 'subscribed', rid: rid!, room: 'run/r_00000001', mode: 'snapshot', head: 0 },
      {
        type: 'snapshot',
        room: 'run/r_00000001',
        at: 14,
        state: runState('r_00000001'),
      },
      { type: 'synced', rid: rid!, cursor: 'aaaa.14' },
    );
    expect(bench.connection.cursor).toBe('aaaa.10');
    expect(bench.world.filled.has('run/r_00000001')).toBe(true);
  });

  test('where a person is is said again in a room that is joined late: before that nobody would hear it', () => {
    const bench = new Bench();
    bench.connection.presence('project/later', { file: 'x' });
    bench.live();
    bench.socket.sent.length = 0;
    bench.connection.join('project/later');
    const { rid } = bench.socket.last('subscribe')!;
    expect(bench.socket.last('presence')).toBeUndefined();
    bench.give(
      { type: 'subscribed', rid: rid!, room: 'project/later', mode: 'snapshot', head: 0 },
      { type: 'snapshot', room: 'project/later', at: 14, state: projectState('later') },
      { type: 'synced', rid: rid!, cursor: 'aaaa.14' },
    );
    expect(bench.socket.last('presence')).toMatchObject({ room: 'project/later', state: { file: 'x' } });
  });

  test('a host that answers nothing is doubted long before it is given up, and any word of it ends the doubt', () => {
    const bench = new Bench();
    bench.live();
    bench.clock.advance(50);
    bench.clock.advance(4_000);
    expect(bench.connection.link.doubtful).not.toBe(true);
    bench.clock.advance(2_000);
    expect(bench.connection.link).toMatchObject({ phase: 'live', doubtful: true });
    bench.give({ type: 'ping', head: 10, sent: 10 });
    expect(bench.connection.link.doubtful).toBe(false);
  });

  test('a goodbye of the desktop itself is no sign of life: the view is as old as it was', () => {
    const bench = new Bench();
    bench.live();
    const fresh = bench.connection.link.freshAt;
    expect(fresh).toBeDefined();
    bench.clock.advance(7_000);
    bench.give({ type: 'bye', code: 4000, reason: 'the connection broke' });
    expect(bench.connection.link).toMatchObject({ phase: 'waiting', freshAt: fresh, heardAt: fresh });
  });

  test('a malformed room never reaches the host: it would end the connection for good', () => {
    const bench = new Bench();
    bench.live();
    bench.connection.join('run/../../etc');
    expect(bench.socket.last('subscribe')).toBeUndefined();
    expect(bench.connection.rooms.refused.get('run/../../etc')).toBe('not_found');
  });

  test('a refused room is told and not asked for again', () => {
    const bench = new Bench();
    bench.live();
    bench.connection.join('project/secret');
    bench.give({ type: 'left', room: 'project/secret', code: 'forbidden' });
    expect(bench.world.refused.get('project/secret')).toBe('forbidden');
    bench.socket.handlers.close(4001, 'shutdown');
    bench.clock.advance(1000);
    bench.welcome();
    expect(bench.socket.last('hello')?.rooms).not.toContain('project/secret');
  });
});

describe('resuming', () => {
  test('comes back with the cursor, and a replay is not a gap', () => {
    const bench = new Bench();
    bench.live();
    bench.socket.handlers.close(1006, '');
    expect(bench.connection.link).toMatchObject({ phase: 'waiting', complete: true });
    bench.clock.advance(250);
    expect(bench.sockets).toHaveLength(2);
    bench.socket.handlers.open();
    expect(bench.socket.last('hello')).toMatchObject({
      resume: 'aaaa.10',
      rooms: ['host', 'activity', 'project/shop'],
    });
    bench.welcome('aaaa', 12);
    bench.give(
      { type: 'subscribed', room: 'host', mode: 'resumed', head: 3 },
      { type: 'subscribed', room: 'activity', mode: 'resumed', head: 0 },
      { type: 'subscribed', room: 'project/shop', mode: 'resumed', head: 12 },
      updated(bench, 11, 9, 0.3),
      updated(bench, 12, 11, 0.4),
      { type: 'synced', cursor: 'aaaa.12' },
    );
    expect(bench.connection.link).toMatchObject({ phase: 'live', gaps: 0, reconnects: 1 });
    expect(bench.world.run('r_00000001')?.progress).toBe(0.4);
  });

  test('a reconnect with no events at all keeps everything and is live', () => {
    const bench = new Bench();
    bench.live();
    const applied = bench.applied.length;
    bench.socket.handlers.close(4001, 'shutdown');
    bench.clock.advance(250);
    bench.welcome();
    bench.give(
      { type: 'subscribed', room: 'host', mode: 'resumed', head: 3 },
      { type: 'subscribed', room: 'activity', mode: 'resumed', head: 0 },
      { type: 'subscribed', room: 'project/shop', mode: 'live', head: 9 },
      { type: 'synced', cursor: 'aaaa.10' },
    );
    expect(bench.applied.slice(applied).filter((name) => name.includes('@'))).toEqual([]);
    expect(bench.connection.link.phase).toBe('live');
    bench.give(updated(bench, 11, 9, 0.5));
    expect(bench.connection.link.gaps).toBe(0);
  });

  test('a gap goes back to the last surely held event and resumes there', () => {
    const bench = new Bench();
    bench.live();
    bench.give(updated(bench, 11, 9, 0.1), bench.event('host', 13, 3, { type: 'x_any', data: 1 }));
    bench.give(updated(bench, 15, 14, 0.9));
    expect(bench.connection.link).toMatchObject({ phase: 'waiting', gaps: 1 });
    expect(bench.world.run('r_00000001')?.progress).toBe(0.1);
    bench.clock.advance(250);
    bench.socket.handlers.open();
    expect(bench.socket.last('hello')?.resume).toBe('aaaa.11');
  });

  test('the feed is joined as a whole, and each of its rooms has a chain of its own', () => {
    const bench = new Bench();
    bench.live();
    const told = (room: string, seq: number, prev: number) =>
      bench.event(room, seq, prev, { type: 'x_told', data: seq });
    bench.give(told('activity/shop', 11, 4), told('activity/blog', 12, 0), told('activity/shop', 13, 11));
    expect(bench.connection.link.gaps).toBe(0);
    expect(bench.applied.filter((name) => name.startsWith('x_told'))).toEqual(['x_told@11', 'x_told@12', 'x_told@13']);
    // The one before it, 14, was lost. What came in other rooms since does not hide it.
    bench.give(told('activity', 15, 2), told('activity/blog', 16, 14));
    expect(bench.connection.link).toMatchObject({ phase: 'waiting', gaps: 1 });
    bench.clock.advance(250);
    bench.socket.handlers.open();
    expect(bench.socket.last('hello')?.resume).toBe('aaaa.12');
  });

  test("a replay that ends before the room's head is a loss", () => {
    const bench = new Bench();
    bench.live();
    bench.socket.handlers.close(1006, '');
    bench.clock.advance(250);
    bench.welcome('aaaa', 12);
    bench.give({ type: 'subscribed', room: 'project/shop', mode: 'resumed', head: 12 }, updated(bench, 11, 9, 0.3), {
      type: 'synced',
      cursor: 'aaaa.12',
    });
    expect(bench.connection.link.gaps).toBe(1);
    expect(bench.connection.cursor).toBe('aaaa.11');
  });

  test('a ping that names an event we never saw is a loss', () => {
    const bench = new Bench();
    bench.live();
    bench.give({ type: 'ping', head: 20, sent: 10 });
    expect(bench.socket.last('pong')).toBeDefined();
    expect(bench.connection.link.phase).toBe('live');
    bench.give({ type: 'ping', head: 20, sent: 18 });
    expect(bench.connection.link).toMatchObject({ phase: 'waiting', gaps: 1 });
  });

  test('what was replayed twice is applied once', () => {
    const bench = new Bench();
    bench.live();
    bench.give(updated(bench, 11, 9, 0.5), updated(bench, 11, 9, 0.1));
    expect(bench.applied.filter((name) => name === 'run_updated@11')).toHaveLength(1);
  });

  test('reset keeps the old view until the snapshot replaces it', () => {
    const bench = new Bench();
    bench.live();
    bench.socket.handlers.close(1006, '');
    bench.clock.advance(250);
    bench.welcome('aaaa', 9000);
    bench.give(
      { type: 'subscribed', room: 'project/shop', mode: 'snapshot', head: 8999 },
      { type: 'reset', room: 'project/shop', reason: 'too_far_behind' },
    );
    expect(bench.world.run('r_00000001')).toBeDefined();
    bench.give(
      {
        type: 'snapshot',
        room: 'project/shop',
        at: 9000,
        state: projectState('shop', [{ run: run('r_00000002'), steps: [] }]),
      },
      { type: 'synced', cursor: 'aaaa.9000' },
    );
    expect(bench.world.run('r_00000001')).toBeUndefined();
    expect(bench.world.run('r_00000002')).toBeDefined();
    expect(bench.connection.cursor).toBe('aaaa.9000');
  });

  test('another epoch is another log: nothing held survives, and no old cursor is sent again', () => {
    const bench = new Bench();
    bench.live();
    bench.socket.handlers.close(4001, 'shutdown');
    bench.clock.advance(250);
    bench.welcome('bbbb', 2);
    expect(bench.applied).toContain('forget');
    bench.give(
      { type: 'reset', room: 'host', reason: 'epoch_changed' },
      { type: 'subscribed', room: 'host', mode: 'snapshot', head: 1 },
      {
        type: 'snapshot',
        room: 'host',
        at: 2,
        state: { of: 'host', version: '0.1.0', projects: [], members: [], health: [] },
      },
      { type: 'synced', cursor: 'bbbb.2' },
    );
    expect(bench.connection.cursor).toBe('bbbb.2');
    expect(bench.world.projects.size).toBe(0);
  });

  test('frames of an old socket are ghosts', () => {
    const bench = new Bench();
    bench.live();
    const old = bench.socket;
    old.handlers.close(1006, '');
    bench.clock.advance(250);
    old.handlers.frames([updated(bench, 11, 9, 0.9) as never]);
    old.handlers.close(4503, 'kicked');
    bench.clock.advance(20);
    expect(bench.world.run('r_00000001')?.progress).toBe(0);
    expect(bench.connection.link.phase).toBe('connecting');
  });
});

describe('persistence', () => {
  test('jitter doubles to 20 s for ever, and only a view that held resets it', () => {
    const bench = new Bench();
    bench.clock.chance = 0.999_999;
    bench.connection.start();
    const waits: number[] = [];
    for (let i = 0; i < 9; i += 1) {
      bench.socket.handlers.close(1006, '');
      const wait = bench.connection.link.retryAt! - bench.clock.now();
      waits.push(wait);
      bench.clock.advance(wait);
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16000, 20000, 20000, 20000]);
    bench.live();
    expect(bench.connection.link.attempts).toBeGreaterThan(8);
    bench.clock.advance(5_001);
    expect(bench.connection.link.attempts).toBe(0);
  });

  test('online or visible tries at once; a final code waits for a person', () => {
    const bench = new Bench();
    bench.live();
    bench.socket.handlers.close(1006, '');
    bench.connection.retryNow();
    expect(bench.sockets).toHaveLength(2);
    bench.socket.handlers.close(4503, 'kicked');
    bench.clock.advance(600_000);
    expect(bench.sockets).toHaveLength(2);
    expect(bench.connection.link).toMatchObject({ phase: 'refused', closed: { code: 4503 } });
  });

  test('bye says when to come back', () => {
    const bench = new Bench();
    bench.live();
    bench.give({ type: 'bye', code: 4001, reason: 'shutdown', reconnect_ms: 7000 });
    expect(bench.connection.link.retryAt! - bench.clock.now()).toBe(7000);
  });

  test('a silent host is dead after the ping interval and ten seconds', () => {
    const bench = new Bench();
    bench.live();
    bench.clock.advance(34_000);
    expect(bench.connection.link.phase).toBe('live');
    bench.clock.advance(1_100);
    expect(bench.connection.link).toMatchObject({ phase: 'waiting', closed: { reason: 'silent' } });
  });

  test('an upgrade that the browser calls 1006 is a missing login if the session says so', async () => {
    const bench = new Bench();
    bench.session = 'none';
    bench.connection.start();
    bench.socket.handlers.close(1006, '');
    await Promise.resolve();
    await Promise.resolve();
    expect(bench.connection.link).toMatchObject({ phase: 'refused', closed: { code: 4500 } });
  });

  test('IPC: credit is given back after the batch was applied', () => {
    const bench = new Bench();
    bench.credit = true;
    bench.live();
    const before = bench.socket.sent.filter((frame) => frame.type === 'credit').length;
    bench.socket.handlers.frames([updated(bench, 11, 9, 0.1) as never]);
    bench.socket.handlers.frames([updated(bench, 12, 11, 0.1) as never]);
    expect(bench.socket.sent.filter((frame) => frame.type === 'credit')).toHaveLength(before);
    bench.clock.advance(16);
    expect(bench.socket.last('credit')).toEqual({ type: 'credit', batches: 2 });
  });
});

describe('calls', () => {
  test('a write keeps its rid and key over a reconnect', async () => {
    const bench = new Bench();
    bench.live();
    const answer = bench.connection.call('run.start', { project: 'shop', workflow: 'ship' });
    const first = bench.socket.last('call')!;
    expect(first.key).toMatch(/^[0-9a-f]{32}$/);
    bench.socket.handlers.close(1006, '');
    bench.clock.advance(250);
    bench.welcome();
    const again = bench.socket.sent.filter((frame) => frame.type === 'call').find((frame) => frame.rid === first.rid);
    expect(again).toEqual(first);
    bench.give({ type: 'reply', rid: first.rid, result: { run: 'r_00000009', number: 9, cursor: 'aaaa.11' } });
    await expect(answer).resolves.toMatchObject({ run: 'r_00000009' });
  });

  test('an error keeps its hint; a call that was never sent says that nothing was done', async () => {
    const bench = new Bench();
    bench.live();
    const denied = bench.connection.call('run.start', { project: 'shop', workflow: 'ship' });
    bench.give({
      type: 'reply',
      rid: bench.socket.last('call')!.rid,
      error: { code: 'forbidden', message: 'no', hint: 'ask' },
    });
    await expect(denied).rejects.toMatchObject({ detail: { code: 'forbidden', hint: 'ask' } });
    bench.socket.handlers.close(1006, '');
    const lost = bench.connection.call('run.list', { project: 'shop' }, 100).catch((error: unknown) => error);
    bench.clock.advance(101);
    expect(((await lost) as CallFailed).detail.message).toContain('Nothing was done');
  });

  test('too many requests is waited for, not shown', async () => {
    const bench = new Bench();
    bench.live();
    const answer = bench.connection.call('queue.get', { project: 'shop' });
    const { rid } = bench.socket.last('call')!;
    bench.give({ type: 'reply', rid, error: { code: 'too_many_requests', message: 'slow', retry_after_ms: 300 } });
    bench.clock.advance(300);
    expect(bench.socket.sent.filter((frame) => frame.type === 'call' && frame.rid === rid)).toHaveLength(2);
    bench.give({ type: 'reply', rid, result: { queue: { paused: false, runs: [] } } });
    await expect(answer).resolves.toBeDefined();
  });
});
