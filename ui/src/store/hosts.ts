import { forgetHost, joinHost, listHosts, renameHost } from '../platform/hosts';
import type { Joined, JoinedHost } from '../platform/hosts';
import { connectBeside, endSession, here, HOSTS, peek, switchSession } from './client';
import { here as path, navigate, tagHistory } from './route';
import type { Session } from './session';
import { unreadOf } from './team';
import { publish, useTopic } from './topics';

/** A host of the list, and what is known of it, whether it is shown or not. */
export interface HostEntry {
  /** `undefined`: this computer. */
  readonly id: string | undefined;
  readonly name: string;
  readonly about: string;
  readonly state: HostState;
  /** Questions, risks and mentions that wait for this person there. */
  readonly waiting: number;
  /** Messages there that this person has not read. */
  readonly unread: number;
  readonly running: number;
}

/** `resting`: it was joined, but this window follows others. */
export type HostState = 'live' | 'connecting' | 'reconnecting' | 'offline' | 'refused' | 'resting';

/** After so many attempts in vain it is more than a break. */
const OFFLINE_AFTER = 4;

let joined: readonly JoinedHost[] = [];
let entries: readonly HostEntry[] = [];
let told = '';

export const OWN = 'This computer';

function stateOf(session: Session | undefined): HostState {
  if (!session) return 'resting';
  const { phase, complete, attempts } = session.link;
  if (phase === 'live') return 'live';
  if (phase === 'refused') return 'refused';
  if (attempts >= OFFLINE_AFTER) return 'offline';
  return complete || phase === 'waiting' ? 'reconnecting' : 'connecting';
}

function entryOf(id: string | undefined, name: string, about: string): HostEntry {
  const session = peek(id);
  const state = stateOf(session);
  if (!session) return { id, name, about, state, waiting: 0, unread: 0, running: 0 };
  const { world } = session;
  let waiting = 0;
  for (const { value } of world.approvals.values()) if (value.state === 'open') waiting += 1;
  for (const { value } of world.permissions.values()) if (value.state === 'open') waiting += 1;
  for (const { value } of world.risks.values()) if (value.state === 'open') waiting += 1;
  for (const notice of world.team.notices.values())
    if (notice.kind === 'mention' || notice.kind === 'reply') waiting += 1;
  let running = 0;
  for (const { value } of world.runs.values()) if (value.status !== 'done') running += 1;
  return { id, name, about, state, waiting, unread: unreadOf(session), running };
}

/** All hosts, this computer first. The same object for as long as nothing of it changes. */
function read(): readonly HostEntry[] {
  const next = [
    entryOf(undefined, OWN, 'The host in this app'),
    ...joined.map((host) => entryOf(host.id, host.name, `${host.id}, as ${host.member}`)),
  ];
  const text = JSON.stringify(next);
  if (text !== told) {
    told = text;
    entries = next;
  }
  return entries;
}

export function useHosts(): readonly HostEntry[] {
  return useTopic(HOSTS, read);
}

/** The name of the host that is shown. */
export function useHostName(): string {
  return useTopic(HOSTS, () => nameOf(here().host));
}

function nameOf(id: string | undefined): string {
  return id === undefined ? OWN : (joined.find((host) => host.id === id)?.name ?? id);
}

export function isJoined(id: string): boolean {
  return joined.some((host) => host.id === id);
}

/** Reads the list, and connects to all of it. */
export async function followHosts(): Promise<void> {
  joined = await listHosts();
  const shown = here().host;
  tagHistory(shown, (host) => showHost(host, { back: true }));
  // It was forgotten by another way meanwhile.
  if (shown !== undefined && !isJoined(shown)) showHost(undefined);
  connectBeside(undefined);
  for (const host of joined) connectBeside(host.id);
  publish([HOSTS]);
}

/** Shows another host, where this person was there; or at a path of it. */
export function showHost(id: string | undefined, options: { path?: string; back?: boolean } = {}): void {
  if (id !== undefined && !isJoined(id)) return;
  const before = here();
  if (before.host === id) {
    if (options.path !== undefined) navigate(options.path);
    return;
  }
  performance.mark('host-switch');
  before.path = path();
  const next = switchSession(id);
  tagHistory(id, (host) => showHost(host, { back: true }));
  if (!options.back) navigate(options.path ?? next.path, { again: true });
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      performance.measure('host-switch', 'host-switch');
    }),
  );
}

/** Joins a host with the link of an invitation or a token, and connects to it. */
export async function join(url: string, token: string, name: string): Promise<Joined> {
  const answer = await joinHost(url, token, name);
  joined = await listHosts();
  // It may have been joined before, with a token that is no longer good.
  endSession(answer.host.id);
  connectBeside(answer.host.id);
  publish([HOSTS]);
  return answer;
}

export async function rename(id: string, name: string): Promise<void> {
  await renameHost(id, name);
  joined = await listHosts();
  publish([HOSTS]);
}

/** Forgets a host and its token; this computer is shown if it was on the screen. */
export async function forget(id: string): Promise<void> {
  await forgetHost(id);
  if (here().host === id) showHost(undefined);
  endSession(id);
  joined = await listHosts();
  publish([HOSTS]);
}

/** The host at this address, without its scheme. */
export function hostAt(authority: string): string | undefined {
  return joined.find((host) => host.id.replace(/^https?:\/\//, '') === authority)?.id;
}
