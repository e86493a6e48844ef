/** Notifications of a browser. The desktop app shows its own. */

/** A call that a button of a notification stands for. */
export interface Choice {
  label: string;
  method: string;
  params: unknown;
}

export interface Note {
  /** One notification for each, over all pages of this host. */
  tag: string;
  title: string;
  text: string;
  /** Where a click leads. */
  path: string;
  choices?: readonly Choice[];
}

/** `none`: this browser offers none here. */
export type Permission = 'granted' | 'denied' | 'default' | 'none';

export function permission(): Permission {
  return 'Notification' in window && window.isSecureContext ? Notification.permission : 'none';
}

/** Asks the person; to be called from a click of theirs, since browsers refuse it otherwise. */
export async function askPermission(): Promise<Permission> {
  if (permission() === 'none') return 'none';
  const answer = await Notification.requestPermission();
  if (answer === 'granted') await worker();
  return answer;
}

let registered: Promise<ServiceWorkerRegistration | undefined> | undefined;

/**
 * The worker that buttons need. `undefined`: the browser has none here, or does not trust the host's certificate, which
 * a person may click away for a page but not for a worker.
 */
export function worker(): Promise<ServiceWorkerRegistration | undefined> {
  registered ??= register();
  return registered;
}

async function register(): Promise<ServiceWorkerRegistration | undefined> {
  if (!('serviceWorker' in navigator)) return undefined;
  try {
    await navigator.serviceWorker.register('/sw.js');
    return await navigator.serviceWorker.ready;
  } catch {
    return undefined;
  }
}

/** Hears where a click on a notification leads. */
export function onNoteOpened(open: (path: string) => void): () => void {
  if (!('serviceWorker' in navigator)) return () => undefined;
  const heard = (event: MessageEvent<{ kind?: string; path?: string }>) => {
    if (event.data.kind === 'open' && event.data.path?.startsWith('/')) open(event.data.path);
  };
  navigator.serviceWorker.addEventListener('message', heard);
  return () => navigator.serviceWorker.removeEventListener('message', heard);
}

const plain = new Map<string, Notification>();

/** Shows a notification; `open` is called when it is clicked and there is no worker. */
export async function showNote(note: Note, open: (path: string) => void): Promise<void> {
  const { tag, title, text, path, choices = [] } = note;
  const options = { tag, body: text, icon: '/favicon.svg' };
  const registration = await worker();
  if (registration) {
    const actions = choices.slice(0, 2).map(({ label }, index) => ({ action: String(index), title: label }));
    const calls = Object.fromEntries(choices.map(({ method, params }, index) => [String(index), { method, params }]));
    await registration.showNotification(title, { ...options, actions, data: { path, calls } } as NotificationOptions);
    return;
  }
  const shown = new Notification(title, options);
  plain.set(tag, shown);
  shown.onclick = () => {
    window.focus();
    open(path);
    shown.close();
  };
  shown.onclose = () => plain.delete(tag);
}

/** Takes a notification back: it was answered elsewhere. */
export async function withdrawNote(tag: string): Promise<void> {
  plain.get(tag)?.close();
  const registration = await worker();
  for (const shown of (await registration?.getNotifications({ tag })) ?? []) shown.close();
}

const ASK_MS = 250;

interface Question {
  kind: 'who-looks' | 'looks';
  id: string;
}

/** Whether somebody looks at another page of this host in this browser: then they see it there. */
export class OtherPages {
  readonly #channel = 'BroadcastChannel' in window ? new BroadcastChannel('signalbox') : undefined;

  constructor() {
    this.#channel?.addEventListener('message', (event: MessageEvent<Question>) => {
      if (event.data.kind === 'who-looks' && document.visibilityState === 'visible' && document.hasFocus())
        this.#channel?.postMessage({ kind: 'looks', id: event.data.id } satisfies Question);
    });
  }

  looked(): Promise<boolean> {
    const channel = this.#channel;
    if (!channel) return Promise.resolve(false);
    const id = crypto.randomUUID();
    return new Promise((resolve) => {
      const heard = (event: MessageEvent<Question>) => {
        if (event.data.kind === 'looks' && event.data.id === id) done(true);
      };
      const timer = setTimeout(() => done(false), ASK_MS);
      const done = (found: boolean) => {
        clearTimeout(timer);
        channel.removeEventListener('message', heard);
        resolve(found);
      };
      channel.addEventListener('message', heard);
      channel.postMessage({ kind: 'who-looks', id } satisfies Question);
    });
  }

  close(): void {
    this.#channel?.close();
  }
}
