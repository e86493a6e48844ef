import { describe, expect, it } from 'vitest';
import type { ChatMessage, Notice } from '../src/platform/protocol';
import { Team } from '../src/stream/team';

const message = (id: string, text: string, more: Partial<ChatMessage> = {}): ChatMessage => ({
  id,
  project: 'shop',
  author: 'm_grace001',
  author_name: 'grace',
  text,
  created_at: 1,
  ...more,
});

const notice = (id: string, more: Partial<Notice> = {}): Notice => ({
  id,
  member: 'm_ada00001',
  kind: 'mention',
  project: 'shop',
  actor: 'grace',
  text: 'hello',
  cursor: 'abc.1',
  at: 1,
  ...more,
});

const texts = (team: Team) => [...(team.chats.get('shop')?.values() ?? [])].map((dated) => dated.value.text);

describe('the team', () => {
  it('a page of the past never takes the place of what the stream said', () => {
    const team = new Team(new Set());
    team.chat('shop', [message('c_1', 'old')], 5);
    team.chat('shop', [message('c_1', 'edited', { edited_at: 2 })], 9);
    team.chat('shop', [message('c_1', 'old'), message('c_0', 'older')], 0);
    team.chat('shop', [message('c_1', 'old')], 7);
    expect(texts(team)).toEqual(['edited', 'older']);
    team.chat('__proto__', [message('c_2', 'hostile')], 1);
    expect(team.chats.get('__proto__')?.size).toBe(1);
  });

  it('who is here is told anew after a lost connection', () => {
    const team = new Team(new Set());
    const here = { type: 'presence' as const, room: 'project/shop', member: 'm_grace001', name: 'grace' };
    team.present({ ...here, state: { run: 'r_00000001' } });
    team.here('run/r_00000001', [{ ...here, room: 'run/r_00000001', state: {} }]);
    expect(team.presence.get('project/shop')?.get('m_grace001')?.state.run).toBe('r_00000001');
    team.present(here);
    expect(team.presence.get('project/shop')?.size).toBe(0);
    team.gone();
    expect(team.presence.size).toBe(0);
  });

  it('a snapshot tells of other rooms too: only its own counts', () => {
    const team = new Team(new Set());
    const grace = { member: 'm_grace001', name: 'grace', state: {} };
    team.here('project/shop', [
      { ...grace, room: 'project/shop' },
      { ...grace, member: 'm_other001', room: 'run/r_00000001' },
    ]);
    expect([...(team.presence.get('project/shop')?.keys() ?? [])]).toEqual(['m_grace001']);
  });

  it('what was read on another device is read here', () => {
    const team = new Team(new Set());
    team.mine({ notices: [notice('n_1')], unread: 3, marks: [] });
    expect(team.notice(notice('n_2'))).toBe(true);
    expect(team.notice(notice('n_2'))).toBe(false);
    expect(team.unread).toBe(4);
    team.noticesUpdated({ ids: ['n_1'], delivered_at: 5 });
    expect(team.notices.get('n_1')?.delivered_at).toBe(5);
    team.noticesUpdated({ ids: ['n_1', 'n_2'], read_at: 6 });
    expect([team.notices.size, team.unread]).toEqual([0, 2]);
    expect(team.notice(notice('n_3', { read_at: 7 }))).toBe(false);
  });

  it('a mark never moves back', () => {
    const team = new Team(new Set());
    const mark = { member: 'm_ada00001', project: 'shop' };
    team.mark({ ...mark, seq: 9, at: 90 });
    team.mark({ ...mark, seq: 4, at: 40 });
    expect(team.marks.get('shop')).toEqual({ ...mark, seq: 9, at: 90 });
  });

  it('keeps ten minutes of what was measured, and forgets who is gone', () => {
    const team = new Team(new Set());
    const connection = (id: number) =>
      ({ id, lag: 0, events: 0, bytes: 0 }) as Parameters<Team['measured']>[0]['connections'][number];
    for (let n = 0; n < 150; n += 1)
      team.measured({
        type: 'connection_stats',
        room: 'host',
        at: n,
        count: 2,
        connections: n < 149 ? [connection(1), connection(2)] : [connection(1)],
      });
    expect([...team.connections.keys()]).toEqual([1]);
    expect(team.connections.get(1)?.samples.length).toBe(120);
    expect(team.measuredAt).toBe(149);
  });
});
