import { describe, expect, test } from 'vitest';
import { Transcript, utf8Length } from '../src/stream/transcript';
import type { AgentEvent, TextEntry } from '../src/stream/transcript';
import { logKey, World } from '../src/stream/world';
import type { SignalboxEvent } from '../src/platform/protocol';

const at = { step: 'build', attempt: 1 };

function said(id: string, offset: number, text: string, more: Record<string, unknown> = {}): AgentEvent {
  return { type: 'agent_message', data: { ...at, id, from: 'agent', offset, text, ...more } };
}

function tool(id: string, status: string, more: Record<string, unknown> = {}): AgentEvent {
  return { type: 'tool_call', data: { ...at, id, kind: 'edit', title: id, status, ...more } as never };
}

function file(path: string, status: string): AgentEvent {
  return { type: 'file_diff', data: { ...at, path, status, added: 1, removed: 0, patch: '' } as never };
}

function built(events: readonly (readonly [number, AgentEvent])[]): Transcript {
  const transcript = new Transcript();
  for (const [seq, event] of events) transcript.apply(seq, event);
  return transcript;
}

function shape(transcript: Transcript) {
  return {
    entries: transcript.entries,
    files: transcript.changes(),
    plan: transcript.plan,
    session: transcript.session,
    usage: transcript.usage,
  };
}

const text = (transcript: Transcript, id = 'm1') =>
  (transcript.get(`message ${id}`) as TextEntry | undefined)?.parts
    .map((part) => part.text + (part.gap ? '[gap]' : ''))
    .join('');

/** Numbers that look random and are the same each time. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

const STORY: [number, AgentEvent][] = [
  [1, { type: 'agent_session', data: { ...at, agent: 'claude', name: 'Claude', state: 'starting', folder: '/w' } }],
  [2, said('p', 0, 'Do it.', { from: 'prompt' })],
  [3, said('m1', 0, 'Ich prüfe ')],
  [4, tool('t1', 'pending')],
  [5, said('m1', 11, 'die 日本 ')],
  [6, tool('t1', 'in_progress', { output: 'half' })],
  [7, { type: 'plan_update', data: { ...at, entries: [{ text: 'one', status: 'pending' }] } }],
  [8, said('m1', 22, 'Datei 🚦.')],
  [9, file('a.ts', 'modified')],
  [10, tool('t1', 'completed', { output: 'whole' })],
  [11, { type: 'plan_update', data: { ...at, entries: [{ text: 'one', status: 'completed' }] } }],
  [12, file('a.ts', 'unchanged')],
  [13, file('b.ts', 'added')],
  [14, { type: 'usage_update', data: { ...at, agent: 'claude', input_tokens: 5, output_tokens: 6 } }],
  [15, { type: 'agent_error', data: { ...at, kind: 'network', message: 'Lost the model.' } }],
  [16, { type: 'agent_session', data: { ...at, agent: 'claude', name: 'Claude', state: 'closed', folder: '/w' } }],
];

describe('a transcript', () => {
  test('is the same live, replayed, doubled and in any order', () => {
    const live = built(STORY);
    expect(text(live)).toBe('Ich prüfe die 日本 Datei 🚦.');
    expect(live.entries.map((entry) => entry.key)).toEqual(['message p', 'message m1', 'tool t1', 'error 15']);
    expect(live.changes().map((change) => change.path)).toEqual(['b.ts']);
    expect(live.plan?.entries[0]?.status).toBe('completed');
    expect(live.session?.state).toBe('closed');
    expect(shape(built([...STORY, ...STORY]))).toEqual(shape(live));
    for (let seed = 1; seed < 40; seed += 1) {
      const roll = dice(seed);
      const mixed = [...STORY, ...STORY.filter(() => roll() < 0.5)]
        .map((event) => ({ event, place: roll() }))
        .sort((a, b) => a.place - b.place)
        .map(({ event }) => event);
      expect(shape(built(mixed))).toEqual(shape(live));
    }
  });

  test('live events from the middle, then the history from the start', () => {
    const live = built(STORY);
    const joined = built(STORY.slice(7));
    expect(text(joined)).toBe('');
    expect((joined.get('message m1') as TextEntry).waiting).toBe(true);
    for (const [seq, event] of STORY) joined.apply(seq, event);
    expect(shape(joined)).toEqual(shape(live));
  });

  test('a piece that overlaps adds only what is new, and never half a character', () => {
    const transcript = built([
      [1, said('m1', 0, 'añb')],
      [2, said('m1', 1, 'ñbc')],
      [3, said('m1', 0, 'añ')],
      [4, said('m1', 5, 'd')],
    ]);
    expect(text(transcript)).toBe('añbcd');
  });

  test('a hole that nothing fills is shown as one, after the history was read', () => {
    const transcript = built([
      [1, said('m1', 0, 'one ')],
      [2, said('m1', 100, 'three')],
      [3, said('m1', 200, 'five')],
    ]);
    expect(text(transcript)).toBe('one ');
    transcript.settle();
    expect(text(transcript)).toBe('one [gap]three[gap]five');
    expect((transcript.get('message m1') as TextEntry).waiting).toBe(false);
    transcript.apply(4, said('m1', 204, '!'));
    expect(text(transcript)).toBe('one [gap]three[gap]five!');
  });

  test('absurd offsets cost nothing and hide nothing', () => {
    const transcript = new Transcript();
    for (let n = 0; n < 2_000; n += 1) transcript.apply(n + 1, said('m1', 1e15 - n * 10, 'x'));
    transcript.apply(3_000, said('m1', 0, 'start'));
    expect(text(transcript)).toBe('start');
    transcript.settle();
    expect(text(transcript)?.startsWith('start[gap]x')).toBe(true);
  });

  test('a large piece counts as long as its blob, and what follows has its place', () => {
    const blob = { hash: 'h', bytes: 90_000, media_type: 'text/plain' };
    const transcript = built([
      [1, said('m1', 0, 'beginning', { blob })],
      [2, said('m1', 90_000, ' end')],
    ]);
    expect((transcript.get('message m1') as TextEntry).parts).toEqual([{ text: 'beginning', blob }, { text: ' end' }]);
  });

  test('an older state never replaces a newer one; repeated text is marked', () => {
    const transcript = built([
      [5, tool('t1', 'completed')],
      [3, tool('t1', 'pending')],
      [6, said('m2', 0, 'again', { repeated: true })],
    ]);
    expect(transcript.entries.map((entry) => entry.first)).toEqual([3, 6]);
    expect(transcript.entries[0]).toMatchObject({ kind: 'tool', value: { status: 'completed' } });
    expect(transcript.entries[1]).toMatchObject({ repeated: true });
  });

  test('entries that do not change stay the same objects', () => {
    const transcript = built(STORY);
    const before = [...transcript.entries];
    transcript.apply(20, tool('t1', 'failed'));
    expect(transcript.entries.map((entry, index) => entry === before[index])).toEqual([true, true, false, true]);
  });

  test('four times the pieces take about four times as long, in one message or in many', () => {
    // The best of a few, and a ratio: how fast the machine is, and what else it does, is not asked.
    const best = (work: () => void) => {
      const times = Array.from({ length: 3 }, () => {
        const start = performance.now();
        work();
        return performance.now() - start;
      });
      return Math.min(...times);
    };
    const one = (pieces: number) => () => {
      const transcript = new Transcript();
      for (let n = 0; n < pieces; n += 1) transcript.apply(n + 1, said('m1', n * 10, 'ten bytes '));
      expect(transcript.get('message m1')).toMatchObject({ bytes: pieces * 10 });
    };
    const many = (pieces: number) => () => {
      const transcript = new Transcript();
      for (let n = 0; n < pieces; n += 1)
        transcript.apply(n + 1, n % 2 ? said(`m${String(n)}`, 0, 'x') : tool(`t${String(n % 30_000)}`, 'pending'));
    };
    // What grows with the square takes sixteen times as long.
    expect(best(one(20_000)) / best(one(5_000))).toBeLessThan(10);
    expect(best(many(20_000)) / best(many(5_000))).toBeLessThan(10);
  }, 30_000);

  test('the oldest go when there are too many, and do not come back with the history', () => {
    const many = new Transcript();
    for (let n = 0; n < 100_000; n += 1)
      many.apply(n + 1, n % 2 ? said(`m${String(n)}`, 0, 'x') : tool(`t${String(n % 30_000)}`, 'pending'));
    expect(many.entries.length).toBeLessThanOrEqual(21_000);
    expect(many.dropped).toBeGreaterThan(40_000);
    many.apply(2, said('m1', 0, 'x'));
    expect(many.get('message m1')).toBeUndefined();
  });

  test('bytes are counted as the host counts them', () => {
    for (const sample of ['', 'abc', 'ñ', '日本語', '🚦🚦', 'a\u0301', '\u07ff\u0800\uffff'])
      expect(utf8Length(sample)).toBe(new TextEncoder().encode(sample).length);
  });
});

describe('agents in the world', () => {
  const envelope = { prev: 0, cursor: 'a.1', room: 'run/r_00000001', ts: 1, actor: 'engine', run: 'r_00000001' };
  const frame = (seq: number, event: AgentEvent) => ({ ...envelope, seq, ...event }) as SignalboxEvent;
  const permission = (state: 'open' | 'answered') => ({
    ...at,
    id: 'q_00000001',
    project: 'shop',
    run: 'r_00000001',
    run_number: 1,
    workflow: 'ship',
    agent: 'claude',
    topic: 'tool' as const,
    title: 'Run make?',
    kind: 'execute' as const,
    options: [{ id: 'yes', name: 'Yes', kind: 'allow_once' as const }],
    state,
    opened_at: 1,
  });

  test('a question opens a notice once and closes it when it is settled', () => {
    const world = new World();
    const asked = frame(5, { type: 'permission_requested', data: permission('open') });
    world.apply(asked);
    world.past('r_00000001', [asked]);
    expect(world.notices).toHaveLength(1);
    world.apply(frame(9, { type: 'permission_resolved', data: permission('answered') }));
    world.past('r_00000001', [asked]);
    expect(world.permissions.get('q_00000001')?.value.state).toBe('answered');
    expect(world.notices).toHaveLength(0);
  });

  test('history alone rings no bell', () => {
    const world = new World();
    world.past('r_00000001', [frame(5, { type: 'permission_requested', data: permission('open') })]);
    expect(world.notices).toHaveLength(0);
    expect(world.permissions.get('q_00000001')?.value.state).toBe('open');
  });

  test('what is read of the past is dated by its place in the log', () => {
    const world = new World();
    world.apply(frame(8, said('m1', 4, 'two')));
    world.past('r_00000001', [frame(3, said('m1', 0, 'one '))]);
    const transcript = world.transcripts.get(logKey('r_00000001', 'build', 1)) as Transcript;
    expect(text(transcript)).toBe('one two');
    world.history('r_00000001', 'build', 'complete');
    expect([...world.dirty]).toContain(`agent:${logKey('r_00000001', 'build', 1)}`);
  });
});
