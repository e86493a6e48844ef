import { useEffect } from 'react';
import type { ChatMessage, Notice, Present, PresenceState, ReadMark } from '../platform/protocol';
import type { Heard } from '../stream/team';
import { beforeSwitch, call, placeOf, show, tellPresence, useLink, world } from './client';
import type { World } from '../stream/world';
import type { Route } from './route';
import type { Session } from './session';
import { derive, useTopic } from './topics';

const NONE: readonly never[] = [];
/** The host forgets that somebody writes after 10 s. */
const TYPING_MS = 4_000;

const projectRoom = (project: string) => `project/${project}`;

/** Everybody else in a project, by name. */
export function useOthers(project: string): readonly Present[] {
  const me = useLink().member;
  return useTopic('presence', () =>
    derive('presence', `others:${project} ${me ?? ''}`, () =>
      [...(world.team.presence.get(projectRoom(project))?.values() ?? [])]
        .filter((present) => present.member !== me)
        .sort((a, b) => a.name.localeCompare(b.name)),
    ),
  );
}

const statesOf = (present: Present): readonly PresenceState[] => present.devices ?? [present.state];

/** Names of others in a project of whom one of the places that they look at fits. */
function useNames(project: string, fits: (at: PresenceState) => boolean | undefined): readonly string[] {
  return useOthers(project)
    .filter((present) => statesOf(present).some(fits))
    .map((present) => present.name);
}

/** Names of others who are answering this question now. */
export function useAnswering(project: string, question: string): string {
  return useNames(project, (at) => at.approval === question || at.permission === question).join(', ');
}

/** Names of others who write a message now. */
export function useTyping(project: string): string {
  return useNames(project, (at) => at.typing).join(', ');
}

/** Names of others who have a file open. */
export function useHavingOpen(project: string, file: string): readonly string[] {
  return useNames(project, (at) => at.file === file);
}

// What this window tells: where its route is, and what the person does there.
let route: { project?: string; state: PresenceState } = { state: {} };
let doing: { project: string; state: PresenceState } | undefined;
let told: string | undefined;
let unsaved = false;

function tell(): void {
  const project = doing?.project ?? route.project;
  if (told !== undefined && told !== project) tellPresence(projectRoom(told), undefined);
  told = project;
  if (project === undefined) return;
  const state: PresenceState = route.project === project ? { ...route.state } : {};
  if (unsaved && state.file !== undefined) state.unsaved = true;
  tellPresence(projectRoom(project), { ...state, ...doing?.state });
}

/** Names of others who have changes of a file that they did not save. */
export function useUnsaved(project: string, file: string): readonly string[] {
  return useNames(project, (at) => at.file === file && at.unsaved);
}

/** Tells the others whether this person has changes that are not saved. */
export function tellUnsaved(now: boolean): void {
  if (unsaved === now) return;
  unsaved = now;
  tell();
}

/** By what a workflow that is being edited is known to others. */
export const workflowFile = (workflow: string) => `.signalbox/workflows/${workflow}.yaml`;

/** Tells the others where this person is. */
export function useTellRoute(at: Route): void {
  const project = 'project' in at ? at.project : undefined;
  const run = at.name === 'run' ? at.run : undefined;
  const step = at.name === 'run' ? at.step : undefined;
  const file = at.name === 'workflow' ? workflowFile(at.workflow) : undefined;
  useEffect(() => {
    const state: PresenceState = {
      ...(run === undefined ? {} : { run }),
      ...(step === undefined ? {} : { step }),
      ...(file === undefined ? {} : { file }),
    };
    route = { ...(project === undefined ? {} : { project }), state };
    tell();
  }, [project, run, step, file]);
}

/** For a card with a question: others see that this person is about to answer it. */
export function answering(project: string, kind: 'approval' | 'permission', id: string) {
  const begin = () => {
    if (doing?.state[kind] === id) return;
    doing = { project, state: { [kind]: id } };
    tell();
  };
  const end = () => {
    if (doing?.state[kind] !== id) return;
    doing = undefined;
    tell();
  };
  return { onPointerEnter: begin, onPointerLeave: end, onFocus: begin, onBlur: end };
}

// Another host must not hear of it, and this one not of what is done there.
beforeSwitch(() => {
  if (told !== undefined) tellPresence(projectRoom(told), undefined);
  told = undefined;
  doing = undefined;
  route = { state: {} };
  unsaved = false;
  clearTimeout(typingEnds);
  typed = 0;
});

let typed = 0;
let typingEnds: ReturnType<typeof setTimeout> | undefined;

export function typing(project: string, now: boolean): void {
  clearTimeout(typingEnds);
  if (!now) {
    typed = 0;
    if (doing?.state.typing) {
      doing = undefined;
      tell();
    }
    return;
  }
  typingEnds = setTimeout(() => typing(project, false), TYPING_MS);
  if (performance.now() - typed < TYPING_MS / 2) return;
  typed = performance.now();
  doing = { project, state: { typing: true } };
  tell();
}

/** The oldest first. */
export function useChat(project: string): readonly ChatMessage[] {
  return useTopic(`chat:${project}`, () =>
    derive(`chat:${project}`, `chat:${project}`, () =>
      [...(world.team.chats.get(project)?.values() ?? [])]
        .map((dated) => dated.value)
        .sort((a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1)),
    ),
  );
}

/** Messages of others after the place up to which this person has read. */
export function useUnreadChat(project: string): number {
  const me = useLink().member;
  const read = useTopic('notices', () => world.team.marks.get(project));
  return useTopic(`chat:${project}`, () => unreadChat(project, read, me));
}

function unreadChat(project: string, read: ReadMark | undefined, me: string | undefined, of: World = world): number {
  if (read === undefined) return 0;
  let unread = 0;
  for (const { value } of of.team.chats.get(project)?.values() ?? [])
    if (value.created_at > read.at && value.author !== me && !value.deleted) unread += 1;
  return unread;
}

/** Messages of all projects of a host that this person has not read. */
export function unreadOf({ world: of, link }: Session): number {
  let unread = 0;
  for (const project of of.team.chats.keys())
    unread += unreadChat(project, of.team.marks.get(project), link.member, of);
  return unread;
}

/** Says that everything of a project up to now was seen, on all devices of this person. */
export function markRead(project: string): void {
  const place = placeOf(projectRoom(project));
  if (!place || document.visibilityState !== 'visible') return;
  const read = world.team.marks.get(project);
  if (read !== undefined && read.seq >= place.seq) return;
  call('mark.set', { project, cursor: place.cursor }).then(
    ({ mark }) => {
      world.team.mark(mark);
      show();
    },
    () => undefined,
  );
}

const LOOK_MS = 4_000;

/** Who looks at a project's pages is not away from it. Messages that nobody has looked at stay unread. */
export function useReadHere(at: Route): void {
  const project = 'project' in at ? at.project : undefined;
  const me = useLink().member;
  useEffect(() => {
    if (project === undefined) return;
    const timer = setInterval(() => {
      if (unreadChat(project, world.team.marks.get(project), me) === 0) markRead(project);
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, [project, me]);
}

/** A page of older messages; whether there are still older ones. */
export async function readOlderChat(project: string, before: string): Promise<boolean> {
  const page = await call('chat.list', { project, before });
  world.team.chat(project, page.messages, 0);
  show();
  return page.more;
}

/** Messages that are read at once while one is looked for, and how many of these pages at most: more than that are not held. */
const SOUGHT_PAGE = 100;
const SOUGHT_PAGES = 20;

/**
 * Reads from the newest message back until `message` is here. `far`: it is so far back that it is not held, `gone`: there is
 * none. From page to page and not from what is held, in which a message that was changed may stand alone.
 */
export async function seekChat(project: string, message: string): Promise<'here' | 'far' | 'gone'> {
  let before: string | undefined;
  for (let n = 0; n < SOUGHT_PAGES; n += 1) {
    const page = await call('chat.list', { project, limit: SOUGHT_PAGE, ...(before === undefined ? {} : { before }) });
    world.team.chat(project, page.messages, 0);
    show();
    if (page.messages.some(({ id }) => id === message))
      return world.team.chats.get(project)?.has(message) ? 'here' : 'far';
    before = page.messages[0]?.id;
    if (!page.more || before === undefined) return 'gone';
  }
  return 'far';
}

/** What is for this person and was not read, the newest first. */
export function useNotices(): readonly Notice[] {
  return useTopic('notices', () =>
    derive('notices', 'notices', () => [...world.team.notices.values()].sort((a, b) => b.at - a.at)),
  );
}

export async function readNotices(ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await call('notice.read', { ids: [...ids] });
}

/** Each connection with its last measurements; empty until the host has told of them. */
export function useConnections(): readonly Heard[] {
  return useTopic('connections', () =>
    world.team.measuredAt === undefined
      ? NONE
      : derive('connections', 'connections', () => [...world.team.connections.values()]),
  );
}
