import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, connect, type Server, type Socket as Tcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import WebSocket from 'ws';
import { CallFailed, Client, type Options, type SignalboxEvent, type State } from '../src/index.js';

const binary = process.env['SIGNALBOX_BIN'];
const clean: (() => void)[] = [];

afterEach(() => {
  for (const step of clean.splice(0).reverse()) step();
});

interface Host {
  url: string;
  token: string;
  project: string;
  child: ChildProcess;
  data: string;
}

async function start(data: string, folder: string): Promise<Host> {
  if (!binary) throw new Error('SIGNALBOX_BIN names the binary: run this with `cargo xtask programs`');
  const env = { ...process.env, SIGNALBOX_DATA_DIR: data, SIGNALBOX_CONFIG_DIR: join(data, 'config') };
  const child = spawn(binary, ['serve', '--listen', '127.0.0.1:0', '--project', folder], { env, stdio: 'ignore' });
  clean.push(() => child.kill('SIGKILL'));
  const file = await vi.waitFor(
    () => {
      const file = JSON.parse(readFileSync(join(data, 'host.json'), 'utf8')) as { url: string; token: string; pid: number };
      if (file.pid !== child.pid || !file.url) throw new Error('not yet');
      return file;
    },
    { timeout: 30_000 },
  );
  const project = await vi.waitFor(
    async () => {
      const headers = { authorization: `Bearer ${file.token}` };
      const answer = await fetch(`${file.url}/api/v1/call/project.list`, { method: 'POST', headers, body: '{}' });
      const { projects } = (await answer.json()) as { projects: { id: string }[] };
      if (!projects[0]) throw new Error('not yet');
      return projects[0].id;
    },
    { timeout: 30_000 },
  );
  return { url: file.url, token: file.token, project, child, data };
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'signalbox-client-'));
  clean.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Passes bytes on, so that a connection can be cut where neither end expects it. */
async function proxy(target: string): Promise<{ url: string; cut(): void }> {
  const open = new Set<Tcp>();
  const { port, hostname } = new URL(target);
  const server: Server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [from, to] of [[near, far], [far, near]] as const) {
      open.add(from);
      from.on('data', (bytes) => to.write(bytes));
      from.on('error', () => to.destroy());
      from.on('close', () => (open.delete(from), to.destroy()));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  clean.push(() => server.close());
  const address = server.address() as { port: number };
  return { url: `http://127.0.0.1:${address.port}`, cut: () => open.forEach((socket) => socket.destroy()) };
}

function follow(host: Host, more: Partial<Options> = {}) {
  const events: SignalboxEvent[] = [];
  const states: State[] = [];
  const client = new Client({
    url: host.url,
    token: host.token,
    rooms: [`project/${host.project}/**`],
    webSocket: WebSocket as unknown as NonNullable<Options['webSocket']>,
    onEvent: (event) => events.push(event),
    onState: (state) => states.push(state),
    random: () => 0.1,
    ...more,
  });
  clean.push(() => client.close());
  const numbers = () => events.filter((event) => event.type === 'x_n').map((event) => event.data);
  const live = () => vi.waitFor(() => expect(states.at(-1)?.phase).toBe('live'), { timeout: 30_000 });
  return { client, events, states, numbers, live };
}

test('a client that is cut off again and again has every event once and in order', { timeout: 120_000 }, async () => {
  const host = await start(folder(), folder());
  // The proxy's name is not the host's: a client names whom it calls, so it may be what was asked for only by address.
  const between = await proxy(host.url);
  class Through extends WebSocket {
    constructor(url: string, protocol: string) {
      super(url, protocol, { headers: { host: new URL(host.url).host } });
    }
  }
  const view = follow({ ...host, url: between.url }, { webSocket: Through as unknown as NonNullable<Options['webSocket']> });
  await view.live();
  const direct = follow(host);
  await direct.live();
  for (let n = 0; n < 40; n += 1) {
    await direct.client.call('event.publish', { project: host.project, type: 'x_n', data: n });
    if (n % 10 === 5) between.cut();
  }
  const all = Array.from({ length: 40 }, (_, n) => n);
  await vi.waitFor(() => expect(view.numbers()).toEqual(all), { timeout: 60_000 });
  expect(view.states.filter((state) => state.phase === 'waiting').length).toBeGreaterThanOrEqual(1);
});

test('it comes back after the host was killed, and a call with a key is done once', { timeout: 120_000 }, async () => {
  const [data, project] = [folder(), folder()];
  const host = await start(data, project);
  const first = follow(host);
  await first.live();
  await first.client.call('event.publish', { project: host.project, type: 'x_n', data: 1 });
  await vi.waitFor(() => expect(first.numbers()).toEqual([1]), { timeout: 30_000 });
  const cursor = first.client.cursor;
  host.child.kill('SIGKILL');
  await vi.waitFor(() => expect(first.states.at(-1)?.phase).toBe('waiting'), { timeout: 30_000 });
  const again = await start(data, project);
  const next = follow(again, { ...(cursor ? { resume: cursor } : {}) });
  await next.live();
  const once = () => next.client.call('event.publish', { project: host.project, type: 'x_n', data: 2 }, 'the-key');
  expect(await once()).toEqual(await once());
  await vi.waitFor(() => expect(next.numbers()).toEqual([2]), { timeout: 30_000 });
});

test('refusals are told, and what is final is final', { timeout: 60_000 }, async () => {
  const host = await start(folder(), folder());
  const view = follow(host);
  await view.live();
  await expect(view.client.call('project.get', { project: 'nothing' })).rejects.toThrow(CallFailed);
  const seen: string[] = [];
  const other = follow(host, { onEphemeral: (frame) => frame.type === 'presence' && seen.push(frame.state?.file ?? '') });
  await other.live();
  view.client.presence(`project/${host.project}`, { file: 'a.ts' });
  await vi.waitFor(() => expect(seen).toContain('a.ts'), { timeout: 30_000 });
  const wrong = follow(host, { token: 'wrong' });
  await vi.waitFor(() => expect(wrong.states.at(-1)).toMatchObject({ phase: 'closed', code: 4500 }), { timeout: 30_000 });
});
