import { Channel, invoke } from '@tauri-apps/api/core';
import type { Joined, JoinedHost, Wish } from './hosts';
import type { ClientFrame, ServerFrame } from './protocol';
import type { Transport, TransportHandlers } from './transport';

/** The desktop window's way to a host, the one in the same process or one that was joined: batches over one ordered channel. */
export function ipc(host?: string): Transport {
  let id: number | undefined;
  let handlers: TransportHandlers | undefined;
  const early: ClientFrame[] = [];
  const fail = (error: unknown) => {
    const target = handlers;
    handlers = undefined;
    target?.close(4000, String(error));
  };
  const post = (frame: ClientFrame) => {
    invoke('stream_send', { id, frame }).catch(fail);
  };
  return {
    credit: true,
    open(target) {
      handlers = target;
      const channel = new Channel<ServerFrame[]>();
      channel.onmessage = (batch) => handlers?.frames(batch);
      invoke<number>('stream_open', { channel, host }).then((opened) => {
        id = opened;
        if (!handlers) {
          void invoke('stream_close', { id });
          return;
        }
        handlers.open();
        for (const frame of early.splice(0)) post(frame);
      }, fail);
    },
    send(frame) {
      if (id === undefined) early.push(frame);
      else post(frame);
    },
    close() {
      handlers = undefined;
      if (id !== undefined) invoke('stream_close', { id }).catch(() => undefined);
    },
  };
}

export async function openExternal(url: string): Promise<void> {
  await invoke('open_external', { url });
}

export async function pickFolder(): Promise<string | null> {
  return invoke<string | null>('pick_folder');
}

export async function saveText(name: string, text: string): Promise<void> {
  await invoke<boolean>('save_text', { name, text });
}

export async function listHosts(): Promise<JoinedHost[]> {
  return invoke<JoinedHost[]>('host_list');
}

export async function joinHost(url: string, token: string, name: string): Promise<Joined> {
  return invoke<Joined>('host_join', { url, token, name });
}

export async function renameHost(id: string, name: string): Promise<void> {
  await invoke('host_rename', { id, name });
}

export async function hearWishes(heard: (wish: Wish) => void): Promise<void> {
  const channel = new Channel<Wish>();
  channel.onmessage = heard;
  await invoke('wishes', { channel });
}

export async function forgetHost(id: string): Promise<void> {
  await invoke('host_forget', { id });
}
