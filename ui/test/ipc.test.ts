import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ServerFrame } from '../src/platform/protocol';

type Callback = (message: unknown) => void;

/** The shell's side of the bridge, as Tauri 2 offers it to a page. */
function bridge() {
  const callbacks: Callback[] = [];
  const calls: { command: string; args: Record<string, unknown> }[] = [];
  const internals = {
    transformCallback: (callback: Callback) => callbacks.push(callback) - 1,
    unregisterCallback: () => undefined,
    invoke: async (command: string, args: Record<string, unknown>): Promise<unknown> => {
      calls.push({ command, args });
      return command === 'stream_open' ? 7 : null;
    },
  };
  return { internals, callbacks, calls };
}

describe('the desktop window', () => {
  let shell: ReturnType<typeof bridge>;
  beforeEach(() => {
    shell = bridge();
    vi.stubGlobal('window', { __TAURI_INTERNALS__: shell.internals });
  });
  afterEach(() => vi.unstubAllGlobals());

  test('opens a stream, takes batches in order, sends frames with its id, closes', async () => {
    const { ipc } = await import('../src/platform/ipc');
    const batches: ServerFrame[][] = [];
    let opened = false;
    const transport = ipc();
    transport.open({
      open: () => {
        opened = true;
      },
      frames: (batch) => batches.push(batch),
      close: () => undefined,
    });
    await vi.waitFor(() => expect(opened).toBe(true));
    shell.callbacks[0]?.({ index: 0, message: [{ type: 'ping', head: 1, sent: 1 }] });
    expect(batches).toEqual([[{ type: 'ping', head: 1, sent: 1 }]]);
    transport.send({ type: 'credit', batches: 1 });
    transport.close();
    expect(shell.calls.map((call) => call.command)).toEqual(['stream_open', 'stream_send', 'stream_close']);
    expect(shell.calls[1]?.args).toEqual({ id: 7, frame: { type: 'credit', batches: 1 } });
    shell.callbacks[0]?.({ index: 1, message: [{ type: 'ping', head: 2, sent: 2 }] });
    expect(batches).toHaveLength(1);
  });

  test('a shell that refuses is a lost connection, not a hang', async () => {
    shell.internals.invoke = async () => Promise.reject(new Error('not allowed'));
    const { ipc } = await import('../src/platform/ipc');
    const closed = new Promise<string>((resolve) => {
      ipc().open({ open: () => undefined, frames: () => undefined, close: (_, reason) => resolve(reason) });
    });
    expect(await closed).toContain('not allowed');
  });
});
