import type { Transport } from './transport';
import { websocket } from './websocket';

/** Whether this page is the desktop app's window. */
export const isDesktop = '__TAURI_INTERNALS__' in window;

/** The build with a made-up host, for looking at screens; never part of a release. */
export const isDemo = import.meta.env.MODE === 'demo';

/** Finds the way to a host once; the returned function makes one connection attempt. Only the desktop has several. */
export async function findTransport(host: string | undefined): Promise<() => Transport> {
  if (isDesktop) {
    const { ipc } = await import('./ipc');
    return () => ipc(host);
  }
  if (import.meta.env.MODE === 'demo') return (await import('./fake')).fake;
  return websocket;
}

export async function openExternal(url: string): Promise<void> {
  if (isDesktop) await (await import('./ipc')).openExternal(url);
  else window.open(url, '_blank', 'noopener,noreferrer');
}

/** The system's folder dialog; `undefined` in a browser, which cannot see the host's folders. */
export const pickFolder: (() => Promise<string | null>) | undefined = isDesktop
  ? async () => (await import('./ipc')).pickFolder()
  : undefined;

/** Lets a person keep a text as a file: a download in a browser, the system's dialog in the desktop app. */
export async function saveText(name: string, text: string): Promise<void> {
  if (isDesktop) {
    await (await import('./ipc')).saveText(name, text);
    return;
  }
  const url = URL.createObjectURL(new Blob([text], { type: 'application/octet-stream' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads it after this turn.
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 60_000);
}
