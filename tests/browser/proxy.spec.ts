import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import { Host, sleep } from './host.ts';

const HERE = dirname(fileURLToPath(import.meta.url));
const PROGRAM = ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/bin/nginx'].find((file) => existsSync(file));
const HELLO = 'signalbox: 1\nname: hello\nsteps:\n  greet: { kind: command, run: "echo hello" }\n';

let host: Host;
let nginx: ChildProcess | undefined;
let port: number;

/** A port that was free a moment ago. */
async function free(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const found = (server.address() as AddressInfo).port;
  await new Promise((done) => server.close(done));
  return found;
}

/** The recipe of docs/reverse-proxy.md, with other addresses and without its certificate. */
function recipe(): string {
  const page = readFileSync(join(HERE, '../../docs/reverse-proxy.md'), 'utf8');
  const block = page.split('```nginx\n')[1]?.split('```')[0] ?? '';
  const lines = block.split('\n').filter((line) => !line.trimStart().startsWith('ssl_'));
  return lines
    .join('\n')
    .replace('listen 443 ssl;', `listen 127.0.0.1:${String(port)};`)
    .replace('http://127.0.0.1:7117', host.address.url);
}

test.beforeAll(async () => {
  test.skip(PROGRAM === undefined && process.env.CI === undefined, 'nginx is not here');
  port = await free();
  host = new Host({ hello: HELLO });
  // The recipe hands on the name without its port; pages name it with one.
  host.env = { SIGNALBOX_HOST_ALLOWED_HOSTS: `localhost,localhost:${String(port)}` };
  await host.start();
  const folder = join(host.folder, 'nginx');
  mkdirSync(folder);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
    .join('\n');
  const log = join(folder, 'error.log');
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off;\nmaster_process off;\npid ${folder}/pid;\nerror_log ${log};\nevents {}\nhttp {\n${temporary}\naccess_log off;\n${recipe()}}\n`,
  );
  nginx = spawn(PROGRAM ?? 'nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder, '-e', log], { stdio: 'ignore' });
  for (;;) {
    if (nginx.exitCode !== null) throw new Error(`nginx ended: ${readFileSync(log, 'utf8')}`);
    const answer = await fetch(`http://localhost:${String(port)}/healthz`).catch(() => undefined);
    if (answer?.ok) break;
    await sleep(50);
  }
});
test.afterAll(async () => {
  nginx?.kill();
  await host.dispose();
});

test('the page, EventSource and WebSocket of a browser miss nothing behind nginx', async ({ page }) => {
  const origin = `http://localhost:${String(port)}`;
  const link = await host.loginLink();
  await page.goto(link.replace(host.address.url, origin));
  await expect(page.getByText('shop').first()).toBeVisible();
  const { projects } = await host.call<{ projects: { id: string }[] }>('project.list');
  const project = projects[0]?.id ?? '';
  const publish = (n: number) => host.call<{ cursor: string }>('event.publish', { project, type: 'x_n', data: n });

  // The session's cookie is all that lets them in: pages have no other way.
  await page.evaluate((id) => {
    const seen: Record<'events' | 'socket', unknown[]> = { events: [], socket: [] };
    const ready: string[] = [];
    Object.assign(window, { seen, ready });
    const take = (of: 'events' | 'socket', text: string) => {
      const frame = JSON.parse(text) as { type: string; data: unknown };
      if (frame.type === 'synced') ready.push(of);
      if (frame.type === 'x_n') seen[of].push(frame.data);
    };
    // A browser comes back by itself when the stream ends, but never after a 502, which a proxy says while there is no host.
    const follow = (after: string) => {
      let last = after;
      const source = new EventSource(`/api/v1/projects/${id}/events?after=${after}`);
      source.onmessage = ({ data, lastEventId }: MessageEvent<string>) => {
        last = lastEventId || last;
        take('events', data);
      };
      source.onerror = () => {
        if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(last), 500);
      };
    };
    follow('');
    const socket = new WebSocket(`ws://${location.host}/api/v1/ws`, 'signalbox.v1');
    const client = { name: 'page', version: '1' };
    socket.onopen = () => socket.send(JSON.stringify({ type: 'hello', v: 1, client, rooms: [`project/${id}/**`] }));
    socket.onmessage = ({ data }: MessageEvent<string>) => take('socket', data);
  }, project);
  type Seen = { seen: Record<'events' | 'socket', unknown[]>; ready: string[] };
  const state = () => page.evaluate(() => (window as unknown as Seen & Window).seen);
  await expect.poll(() => page.evaluate(() => (window as unknown as Seen & Window).ready.length)).toBe(2);
  for (const n of [1, 2, 3, 4, 5]) await publish(n);
  await expect.poll(state).toEqual({ events: [1, 2, 3, 4, 5], socket: [1, 2, 3, 4, 5] });

  // The host dies: the page's EventSource comes back through the proxy, with its last id.
  await host.kill();
  await host.start();
  await publish(6);
  await expect.poll(async () => (await state()).events, { timeout: 60_000 }).toEqual([1, 2, 3, 4, 5, 6]);
});
