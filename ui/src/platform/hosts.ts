import { isDesktop } from './environment';

/** A host elsewhere that this desktop has joined. */
export interface JoinedHost {
  /** Its address. */
  id: string;
  name: string;
  /** Who this desktop is there. */
  member: string;
}

export interface Joined {
  host: JoinedHost;
  /** Why its token is not kept beyond this run of the app. */
  not_kept: string | null;
}

/** What a link or a notification asks the window for. */
export type Wish =
  /** Show this path of a host; no host: the one of this computer. */
  | { kind: 'open'; host?: string; path: string }
  /** Join a host with the link of an invitation. */
  | { kind: 'join'; link: string }
  /** A link that is not followed, and why. */
  | { kind: 'refused'; message: string };

const KEY = 'signalbox.host';

/** The host that was shown last; `undefined`: the one of this computer. Only the desktop app has a choice. */
export function lastShown(): string | undefined {
  return isDesktop ? (localStorage.getItem(KEY) ?? undefined) : undefined;
}

/** The next start begins with this host. */
export function rememberShown(id: string | undefined): void {
  if (id === undefined) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, id);
}

export async function listHosts(): Promise<JoinedHost[]> {
  return isDesktop ? (await import('./ipc')).listHosts() : [];
}

export async function joinHost(url: string, token: string, name: string): Promise<Joined> {
  return (await import('./ipc')).joinHost(url, token, name);
}

export async function renameHost(id: string, name: string): Promise<void> {
  await (await import('./ipc')).renameHost(id, name);
}

export async function forgetHost(id: string): Promise<void> {
  await (await import('./ipc')).forgetHost(id);
}

/** Hears what links and notifications ask for, also what came before the page was there. */
export async function hearWishes(heard: (wish: Wish) => void): Promise<void> {
  if (isDesktop) await (await import('./ipc')).hearWishes(heard);
}
