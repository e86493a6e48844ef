import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const BIN = resolve(HERE, process.env.SIGNALBOX_BIN ?? '../../target/debug/signalbox');
const START_MS = 30_000;
const STOP_MS = 10_000;

export interface Address {
  url: string;
  token: string;
  pid: number;
}

/** A real host with a project of its own, in a folder that goes away with it. */
export class Host {
  readonly folder = mkdtempSync(join(tmpdir(), 'signalbox-browser-'));
  readonly project = join(this.folder, 'shop');
  readonly data = join(this.folder, 'data');
  address!: Address;
  output = '';
  /** More of its environment. */
  env: Record<string, string> = {};
  #child: ChildProcess | undefined;
  /** The port of the first start: a restart must come back where the page looks for it. */
  #listen = '127.0.0.1:0';

  constructor(workflows: Record<string, string>) {
    const folder = join(this.project, '.signalbox', 'workflows');
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of Object.entries(workflows)) writeFileSync(join(folder, `${name}.yaml`), text);
  }

  /** Makes the project a git repository with all that is in it now. */
  commit(): void {
    const git = (...args: string[]) => execFileSync('git', ['-C', this.project, ...args], { stdio: 'pipe' });
    if (!existsSync(join(this.project, '.git'))) git('init', '-q', '-b', 'main');
    git('config', 'user.name', 'Ada');
    git('config', 'user.email', 'ada@example.org');
    git('add', '-A');
    git('commit', '-qm', 'Everything');
  }

  /** Writes a template of the product into the project. */
  template(name: string): void {
    execFileSync(BIN, ['init', this.project, '--template', name], { stdio: 'pipe' });
  }

  async start(): Promise<void> {
    const file = join(this.data, 'host.json');
    rmSync(file, { force: true });
    const child = spawn(BIN, ['serve', '--listen', this.#listen, '--data-dir', this.data, '--project', this.project], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        SIGNALBOX_CONFIG_DIR: join(this.folder, 'config'),
        ...this.env,
      },
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (text: Buffer) => {
        this.output += text.toString();
      });
    const until = Date.now() + START_MS;
    for (;;) {
      if (child.exitCode !== null) throw new Error(`the host ended with ${String(child.exitCode)}:\n${this.output}`);
      if (existsSync(file)) {
        try {
          const address = JSON.parse(readFileSync(file, 'utf8')) as Address;
          if ((await fetch(`${address.url}/healthz`)).ok) {
            this.address = address;
            this.#listen = new URL(address.url).host;
            return;
          }
        } catch {
          // Half written, or not listening yet.
        }
      }
      if (Date.now() > until) throw new Error(`the host did not start within ${String(START_MS)} ms:\n${this.output}`);
      await sleep(50);
    }
  }

  async call<T>(method: string, params: unknown = {}, token = this.address.token): Promise<T> {
    const answer = await fetch(`${this.address.url}/api/v1/call/${method}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify(params),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method}: ${String(answer.status)} ${text}`);
    return JSON.parse(text) as T;
  }

  /** A link that logs a browser in, as the owner or as whoever has the token. */
  async loginLink(path = '/', token = this.address.token): Promise<string> {
    const { code } = await this.call<{ code: string }>('login_code.create', {}, token);
    return `${this.address.url}${path}#code=${encodeURIComponent(code)}`;
  }

  /** Ends it without a goodbye, as a power cut would. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((done) => child.once('exit', () => done()));
    child.kill(signal);
    await Promise.race([ended, sleep(STOP_MS)]);
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }

  async dispose(): Promise<void> {
    await this.kill('SIGTERM');
    rmSync(this.folder, {
      recursive: true,
      force: true,
      maxRetries: 5,
      retryDelay: 200,
    });
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
