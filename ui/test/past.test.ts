import { describe, expect, test } from 'vitest';
import type { FileDiff, RunSnapshot, SignalboxEvent } from '../src/platform/protocol';
import { Transcript } from '../src/stream/transcript';
import type { AgentEvent, TextEntry } from '../src/stream/transcript';
import { World } from '../src/stream/world';
import { projectState, run, runState, step } from './host';

const RUN = 'r_00000001';
const at = { step: 'build', attempt: 1 };

function event(seq: number, data: AgentEvent | { type: string; data: unknown }, room = `run/${RUN}`): SignalboxEvent {
  return { seq, prev: 0, cursor: `a.${String(seq)}`, room, ts: seq, actor: 'engine', run: RUN, ...data } as never;
}

function said(seq: number, text: string, offset: number, id = 'm1'): SignalboxEvent {
  return event(seq, { type: 'agent_message', data: { ...at, id, from: 'agent', offset, text } });
}

function file(path: string, added: number, attempt = 1): FileDiff {
  return { step: 'build', attempt, path, status: 'modified', added, removed: 0, patch: '' };
}

function agentStep(attempts = 1) {
  return step(RUN, 'build', {
    kind: 'agent',
    attempts: Array.from({ length: attempts }, (_, index) => ({ number: index + 1, started_at: 1 })),
  });
}

function join(world: World, seq: number, more: Partial<RunSnapshot>): void {
  world.apply({
    type: 'snapshot',
    room: `run/${RUN}`,
    at: seq,
    state: runState(RUN, { steps: [agentStep()], ...more }),
  });
}

function texts(world: World): string[] {
  return world
    .transcript(RUN, 'build', 1)
    .entries.filter((entry): entry is TextEntry => 'parts' in entry)
    .map((entry) => entry.parts.map((part) => part.text + (part.gap ? '…' : '')).join(''));
}

/** 1,200 events of one message of ten bytes each: 1 to 1,200. */
const STORY = Array.from({ length: 1_200 }, (_, index) =>
  said(index + 1, `${String(index).padStart(9, '0')} `, index * 10),
);
const WHOLE = STORY.map((_, index) => `${String(index).padStart(9, '0')} `).join('');

describe('what came before', () => {
  test('a short snapshot is the whole story, and nobody asks for more', () => {
    const world = new World();
    join(world, 20, { transcript: [said(5, 'one ', 0), said(9, 'two', 4)] });
    expect(texts(world)).toEqual(['one two']);
    expect(world.historyOf(RUN, 'build')).toBe('complete');
    expect(world.historyOf(RUN, 'other')).toBe('complete');
  });

  test('a full snapshot is read backwards, page by page, from its oldest event', () => {
    const world = new World();
    join(world, 1_200, { transcript: STORY.slice(700) });
    expect(world.historyOf(RUN, 'build')).toBeUndefined();
    expect(world.knownFrom(RUN, 'build')).toBe(701);
    world.earlier(RUN, 'build', STORY.slice(200, 700), true);
    expect(world.historyOf(RUN, 'build')).toBe('loading');
    expect(world.knownFrom(RUN, 'build')).toBe(201);
    world.apply(said(1_300, 'live', 12_000));
    world.earlier(RUN, 'build', STORY.slice(0, 200), false);
    expect(world.historyOf(RUN, 'build')).toBe('complete');
    expect(texts(world)).toEqual([`${WHOLE}live`]);
    // Of another step as much is known as the snapshot told.
    expect(world.knownFrom(RUN, 'other')).toBe(701);
    expect(world.historyOf(RUN, 'other')).toBeUndefined();
  });

  test('snapshot, live and past in any order and twice give the same story', () => {
    const parts: ((world: World) => void)[] = [
      (world) => join(world, 1_200, { transcript: STORY.slice(700) }),
      (world) => world.past(RUN, STORY.slice(150, 900)),
      (world) => world.past(RUN, STORY.slice(0, 200)),
      (world) => {
        for (const each of STORY.slice(1_000)) world.apply(each);
      },
    ];
    let seed = 7;
    const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
    for (let turn = 0; turn < 20; turn += 1) {
      const world = new World();
      const order = [...parts, ...parts].map((part) => ({ part, by: random() })).sort((a, b) => a.by - b.by);
      for (const { part } of order) part(world);
      expect(texts(world)).toEqual([WHOLE]);
      expect(world.transcript(RUN, 'build', 1).entries).toHaveLength(1);
    }
  });

  test('a snapshot that does not reach what was known is read back anew; one that does is not', () => {
    const world = new World();
    join(world, 600, { transcript: STORY.slice(0, 600) });
    world.earlier(RUN, 'build', [], false);
    expect(world.historyOf(RUN, 'build')).toBe('complete');
    join(world, 1_000, { transcript: STORY.slice(500, 1_000) });
    expect(world.historyOf(RUN, 'build')).toBe('complete');
    join(world, 1_900, {
      transcript: STORY.slice(0, 500).map((each, index) => said(1_400 + index, 'x', 0, each.cursor)),
    });
    expect(world.historyOf(RUN, 'build')).toBeUndefined();
    expect(world.knownFrom(RUN, 'build')).toBe(1_400);
  });

  test('what waits for what is before it waits as one, however many pieces it has', () => {
    const transcript = new Transcript();
    const data = (each: SignalboxEvent) => each as unknown as AgentEvent;
    for (const each of STORY.slice(1)) transcript.apply(each.seq, data(each));
    transcript.apply(1, data(STORY[0]!));
    const entry = transcript.entries[0] as TextEntry;
    expect(entry.parts.map((part) => part.text).join('')).toBe(WHOLE);
    expect(entry.waiting).toBe(false);
  });
});

describe('changed files', () => {
  test('the snapshot names them all, and what came after it stays', () => {
    const world = new World();
    world.apply(event(5, { type: 'file_diff', data: file('gone.ts', 1) }));
    world.apply(event(30, { type: 'file_diff', data: file('new.ts', 9) }));
    join(world, 20, { diffs: [file('a.ts', 2), file('new.ts', 1)] });
    const changes = world.transcript(RUN, 'build', 1).changes();
    expect(changes.map(({ path, added }) => [path, added])).toEqual([
      ['a.ts', 2],
      ['new.ts', 9],
    ]);
    expect(world.changesOf(RUN, 'build', 1)).toBe('complete');
  });

  test('those of an older attempt are asked for, once', () => {
    const world = new World();
    join(world, 20, { steps: [agentStep(2)], diffs: [file('b.ts', 1, 2)] });
    expect(world.changesOf(RUN, 'build', 2)).toBe('complete');
    expect(world.changesOf(RUN, 'build', 3)).toBe('complete');
    expect(world.changesOf(RUN, 'build', 1)).toBeUndefined();
    world.changes(RUN, 'build', 1, [file('a.ts', 4)]);
    expect(world.changesOf(RUN, 'build', 1)).toBe('complete');
    expect(world.transcript(RUN, 'build', 1).changes()).toHaveLength(1);
    expect(world.transcript(RUN, 'build', 2).changes()[0]?.path).toBe('b.ts');
  });

  test('sessions and use are there at once, and older news does not replace them', () => {
    const world = new World();
    const usage = { ...at, agent: 'rehearsal', input_tokens: 7, output_tokens: 1 };
    const session = { ...at, agent: 'rehearsal', name: 'Rehearsal', state: 'running' as const, folder: '/x' };
    join(world, 20, { usage: [usage], sessions: [session] });
    world.past(RUN, [event(8, { type: 'usage_update', data: { ...usage, input_tokens: 1 } })]);
    expect(world.transcript(RUN, 'build', 1).usage?.input_tokens).toBe(7);
    expect(world.transcript(RUN, 'build', 1).session?.name).toBe('Rehearsal');
  });
});

describe('risks, goals and commits', () => {
  const risk = (state: string, severity = 'critical') => ({
    id: 'k1',
    project: 'shop',
    kind: 'goal',
    severity,
    title: 'The goal is not reached',
    evidence: 'no file',
    advice: 'look',
    run: RUN,
    state,
    raised_at: 1,
  });
  const alert = (seq: number, state: string, severity?: string) =>
    event(seq, { type: 'risk_alert', data: risk(state, severity) }, 'project/shop');

  test('a critical one rings once, and is silent when somebody knows of it', () => {
    const world = new World();
    world.apply(alert(5, 'open'));
    world.apply(alert(6, 'open'));
    expect(world.notices).toHaveLength(1);
    world.apply(alert(7, 'acknowledged'));
    expect(world.notices).toHaveLength(0);
    world.apply(alert(6, 'open'));
    expect([...world.risks.values()].map((entry) => entry.value.state)).toEqual(['acknowledged']);
    world.apply(alert(9, 'open', 'warning'));
    expect(world.notices).toHaveLength(0);
  });

  test('a snapshot of the project has all that are not resolved', () => {
    const world = new World();
    world.apply(alert(5, 'open'));
    world.apply({ type: 'snapshot', room: 'project/shop', at: 9, state: projectState('shop') });
    expect(world.risks.size).toBe(0);
    expect(world.notices).toHaveLength(0);
    world.apply({
      type: 'snapshot',
      room: 'project/shop',
      at: 10,
      state: { ...projectState('shop'), risks: [risk('open')] } as never,
    });
    expect(world.risks.size).toBe(1);
    // It was there before this window: it is shown, and does not ring.
    expect(world.notices).toHaveLength(0);
  });

  test('the newest verdict holds, and a commit is told once', () => {
    const world = new World();
    const goal = (seq: number, passed: boolean) =>
      event(seq, { type: 'goal_check', data: { statement: 'a shop', passed, evidence: [] } }, 'project/shop');
    const commit = event(
      6,
      { type: 'commit', data: { hash: 'abc', branch: 'main', subject: 'Shop', files: 1, added: 2, removed: 0 } },
      'project/shop',
    );
    world.apply(goal(9, true));
    world.apply(commit);
    world.told(RUN, [goal(4, false), commit, { ...commit, run: 'r_00000002' }]);
    expect(world.goals.get(RUN)?.value.passed).toBe(true);
    expect([...(world.commits.get(RUN)?.values() ?? [])]).toHaveLength(1);
    expect(world.commits.has('r_00000002')).toBe(false);
    expect(run(RUN).id).toBe(RUN);
  });
});
