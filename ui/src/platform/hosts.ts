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

const KEY = 'signalbox.host';

/** The host that this window shows; `undefined`: the one of this computer. Only the desktop app has a choice. */
export const shownHost: string | undefined = isDesktop ? (localStorage.getItem(KEY) ?? undefined) : undefined;

/**
 * Shows another host. The page begins anew: nothing of one host may be taken for a state of the other.
 */
export function showHost(id: string | undefined): void {
  if (id === undefined) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, id);
  location.replace('/');
}

export async function listHosts(): Promise<JoinedHost[]> {
  return isDesktop ? (await import('./ipc')).listHosts() : [];
}

export async function joinHost(url: string, token: string, name: string): Promise<Joined> {
  return (await import('./ipc')).joinHost(url, token, name);
}

export async function forgetHost(id: string): Promise<void> {
  await (await import('./ipc')).forgetHost(id);
}
