import type {
  ActivityEntry,
  Approval,
  CallError,
  ClientFrame,
  EventData,
  QueueState,
  Run,
  SecretInfo,
  ServerFrame,
  Snapshot,
  Step,
} from '../protocol';
import { START, begin, finish, lineText, makeRun, past, projects, runs, shipRows, workflows } from './data';
import type { FakeRun } from './data';

export const LIMITS = {
  frame_bytes: 65_536,
  event_bytes: 262_144,
  outbound_bytes: 1_048_576,
  rooms: 128,
  hello_ms: 10_000,
  calls_per_second: 100,
  connections_per_member: 0,
  connections: 64,
  replay_events: 10_000,
};

interface Logged {
  room: string;
  frame: ServerFrame;
  seq: number;
}

/** A host in memory that speaks the protocol: log, rooms, resume, and runs that go on by themselves. */
export class FakeHost {
  readonly epoch = 'demo0001';
  #log: Logged[] = [];
  #seq = 0;
  readonly #last = new Map<string, number>();
  readonly #listeners = new Set<(room: string, frame: ServerFrame) => void>();
  readonly #approvals = new Map<string, Approval>();
  #activity: ActivityEntry[] = [];
  readonly #secrets = new Map<string, SecretInfo>([
    ['DEPLOY_KEY', { name: 'DEPLOY_KEY', workflows: ['release', 'ship-feature'], source: 'keychain' }],
    ['NPM_TOKEN', { name: 'NPM_TOKEN', workflows: ['release'] }],
    ['SLACK_WEBHOOK', { name: 'SLACK_WEBHOOK', workflows: ['nightly'], source: 'environment' }],
  ]);
  readonly #queue: QueueState = { paused: false, runs: [] };

  constructor() {
    past();
    const now = makeRun('checkout', 'ship-feature', shipRows(), {
      id: 'r_demolive01',
      created_at: START - 95_000,
      started_at: START - 94_000,
      current_step: 'build[api]',
      steps_done: 3,
      progress: 0.3,
    });
    finish(now, 'plan', 'success', START - 94_000, 41_000, { outputs: { summary: 'Invoice payments' } });
    finish(now, 'approve_plan', 'success', START - 53_000, 20_000);
    finish(now, 'lint', 'success', START - 53_000, 12_000);
    begin(now, 'build[api]', 'running', START - 33_000);
    begin(now, 'build[web]', 'running', START - 30_000);
    const waits = makeRun('checkout', 'ship-feature', shipRows(['api']), {
      id: 'r_demowaits1',
      status: 'waiting_input',
      created_at: START - 400_000,
      started_at: START - 399_000,
      current_step: 'approve_plan',
      steps_done: 2,
      progress: 0.25,
      actor: 'grace',
    });
    finish(waits, 'plan', 'success', START - 399_000, 60_000);
    finish(waits, 'lint', 'success', START - 339_000, 12_000);
    begin(waits, 'approve_plan', 'waiting_input', START - 339_000, 0);
    this.#ask(waits, 'approve_plan', 'Does this plan fit the goal?');
    const queued = makeRun('checkout', 'ship-feature', shipRows(['api']), {
      status: 'queued',
      queue_position: 1,
      group: 'ship-checkout',
      reason: 'waits for run #112',
    });
    const queued2 = makeRun('checkout', 'ship-feature', shipRows(['web']), {
      status: 'queued',
      queue_position: 2,
      group: 'ship-checkout',
      reason: 'waits for run #112',
    });
    this.#queue.runs = [queued, queued2].map(({ run }) => ({
      run: run.id,
      group: 'ship-checkout',
      reason: 'its group ship-checkout runs one at a time',
    }));
    for (const [i, [kind, priority, text]] of (
      [
        ['run_started', 'low', 'ada started ship-feature #101'],
        ['run_completed', 'normal', 'nightly #107 succeeded in 6m 12s'],
        ['run_completed', 'high', 'ship-feature #110 failed: 3 of 418 tests failed'],
        ['approval_requested', 'high', 'ship-feature #112 asks: Does this plan fit the goal?'],
      ] as const
    ).entries()) {
      this.#activity.push({
        seq: i + 1,
        ts: START - (5 - i) * 400_000,
        data: {
          kind,
          priority,
          actor: i === 0 ? 'ada' : 'engine',
          text,
          project: 'checkout',
          run: i === 2 ? 'r_demofailed' : 'r_demowaits1',
        },
      });
    }
    this.#seq = 10;
    setInterval(() => this.#tick(), 400);
  }

  get head(): number {
    return this.#seq;
  }

  listen(listener: (room: string, frame: ServerFrame) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  headOf(room: string): number {
    return this.#last.get(room) ?? 0;
  }

  since(rooms: ReadonlySet<string>, seq: number): ServerFrame[] {
    return this.#log.filter((each) => each.seq > seq && rooms.has(each.room)).map((each) => each.frame);
  }

  snapshot(room: string): Snapshot | undefined {
    if (room === 'host')
      return {
        of: 'host',
        version: '0.1.0-demo',
        projects,
        members: [
          { id: 'm_demo0001', name: 'ada', role: 'owner' },
          { id: 'm_demo0002', name: 'grace', role: 'operator' },
        ],
        health: [
          { service: 'log', health: 'ok' },
          { service: 'engine', health: 'ok' },
          { service: 'websocket', health: 'ok' },
          { service: 'disk', health: 'degraded', detail: 'less than 10% is free' },
        ],
        system: {
          cpu: 0.42,
          memory_used: 6.4e9,
          memory_total: 25e9,
          disk_free: 21e9,
          disk_total: 500e9,
          active_runs: 3,
          active_steps: 27,
        },
      };
    if (room === 'activity') return { of: 'activity', entries: this.#activity };
    const [kind, id = ''] = room.split('/');
    const project = projects.find((each) => each.id === id);
    if (kind === 'project' && project) {
      const mine = [...runs.values()]
        .filter(({ run }) => run.project === id)
        .sort((a, b) => b.run.number - a.run.number);
      return {
        of: 'project',
        project,
        runs: mine.map(({ run, steps }) => ({ run, steps: [...steps.values()] })),
        queue: id === 'checkout' ? this.#queue : { paused: false, runs: [] },
        approvals: [...this.#approvals.values()].filter((each) => each.project === id && each.state === 'open'),
        permissions: [],
        risks: [],
      };
    }
    const fake = runs.get(id);
    return kind === 'run' && fake
      ? {
          of: 'run',
          run: fake.run,
          steps: [...fake.steps.values()],
          logs: [],
          sessions: [],
          usage: [],
          diffs: [],
          transcript: [],
          cursor: `${this.epoch}.${String(this.#seq)}`,
        }
      : undefined;
  }

  call(method: string, params: Record<string, unknown>): unknown {
    const fake = runs.get(String(params['run']));
    switch (method) {
      case 'project.list':
        return { projects };
      case 'project.open':
        return { project: projects[0] };
      case 'project.trust': {
        const at = projects.findIndex((each) => each.id === params['project']);
        const was = projects[at] ?? fail('not_found', 'there is no such project');
        const project = { ...was, trusted: params['trusted'] === true };
        projects[at] = project;
        this.#emit('host', { type: 'project_updated', data: project });
        return { project };
      }
      case 'secret.list':
        return params['project'] === 'checkout'
          ? { secrets: [...this.#secrets.values()] }
          : {
              secrets: [{ name: 'BROWSER_FARM', workflows: ['browsers'] }],
              keychain_error: 'no secret service answers on the session bus',
            };
      case 'secret.set':
      case 'secret.remove': {
        const secret =
          this.#secrets.get(String(params['name'])) ?? fail('not_found', 'no workflow asks for such a secret');
        const { source, ...rest } = secret;
        this.#secrets.set(secret.name, method === 'secret.set' ? { ...rest, source: 'keychain' } : rest);
        return method === 'secret.set' ? {} : { removed: source === 'keychain' };
      }
      case 'workflow.list':
        return {
          workflows: params['project'] === 'checkout' ? [...workflows.values()].map((each) => each.workflow) : [],
        };
      case 'workflow.get':
        return workflows.get(String(params['workflow'])) ?? fail('not_found', 'there is no such workflow');
      case 'workflow.validate':
        return {
          ...workflows.get('ship-feature'),
          workflow: {
            ...workflows.get('ship-feature')?.workflow,
            diagnostics: String(params['text']).includes('oops')
              ? [
                  {
                    severity: 'error',
                    code: 'unknown_key',
                    message: 'unknown key "oops"',
                    hint: 'expected one of: kind, needs, run',
                    line: 12,
                    column: 5,
                  },
                ]
              : [],
          },
        };
      case 'workflow.save':
        return this.#save(params);
      case 'run.start': {
        const started = makeRun(String(params['project']), String(params['workflow']), shipRows(), {
          started_at: Date.now(),
          current_step: 'plan',
        });
        begin(started, 'plan', 'running', Date.now(), 0);
        this.#runChanged(started);
        return { run: started.run.id, number: started.run.number, cursor: `${this.epoch}.${String(this.#seq)}` };
      }
      case 'run.cancel': {
        if (!fake) return fail('not_found', 'there is no such run');
        const ended = params['force'] === true;
        fake.run = {
          ...fake.run,
          status: ended ? 'done' : 'cancelling',
          ...(ended ? { conclusion: 'cancelled' as const, ended_at: Date.now() } : {}),
        };
        this.#runChanged(fake);
        return { run: fake.run, steps: [...fake.steps.values()] };
      }
      case 'run.list':
        return { runs: [], more: false };
      case 'run.log':
        return this.#page(fake, params);
      case 'run.log_search':
        return this.#search(fake, params);
      case 'approval.list':
        return { approvals: [...this.#approvals.values()] };
      case 'approval.answer': {
        const approval = this.#approvals.get(String(params['approval']));
        if (approval?.state !== 'open') return fail('conflict', 'somebody else answered this already');
        const yes = params['decision'] === 'approve';
        const settled: Approval = {
          ...approval,
          state: yes ? 'approved' : 'rejected',
          resolved_at: Date.now(),
          answers: [{ actor: 'ada', decision: yes ? 'approve' : 'reject', at: Date.now() }],
        };
        this.#approvals.set(approval.id, settled);
        this.#emit(`project/${approval.project}`, { type: 'approval_resolved', data: settled });
        return { approval: settled };
      }
      case 'agent.list':
        return {
          agents: [
            { id: 'rehearsal', name: 'Rehearsal', rehearsal: true, installed: true, version: '0.1.0-demo' },
            {
              id: 'claude',
              name: 'Claude Code',
              installed: false,
              missing: 'Claude Code is not installed on this host',
              install: 'npm install -g @agentclientprotocol/claude-agent-acp',
            },
          ],
        };
      case 'agent.test':
        return { ok: true, message: 'Rehearsal 0.1.0-demo answers', took_ms: 40 };
      case 'run.transcript':
        return { events: [], more: false };
      case 'run.diff':
        return { attempt: 1, files: [] };
      case 'blob.text':
      case 'run.file':
        return fail('not_found', 'the demonstration has no files');
      case 'worktree.list':
      case 'worktree.remove':
        return { worktrees: [] };
      case 'event.search':
        return { events: [], cursor: `${this.epoch}.${String(this.#seq)}`, more: false };
      case 'login_code.create':
        return { code: 'QK7M-2XTD-9WRA', url: 'http://127.0.0.1:7117/#code=QK7M-2XTD-9WRA' };
      case 'connection.list':
        return {
          connections: [
            {
              id: 1,
              member: 'm_demo0001',
              member_name: 'ada',
              transport: 'websocket',
              address: '127.0.0.1:51442',
              client: 'signalbox-ui 0.1.0',
              connected_at: START,
              rooms: ['host', 'activity', 'project/checkout'],
              round_trip_ms: 2,
              sent_seq: this.#seq,
              lag: 0,
              events: 412,
              bytes: 812_331,
              joined: 'snapshot',
            },
            {
              id: 2,
              member: 'm_demo0002',
              member_name: 'grace',
              transport: 'sse',
              address: '192.168.1.20:40112',
              client: 'curl/8.5',
              connected_at: START - 8e6,
              rooms: ['project/checkout'],
              sent_seq: this.#seq - 1310,
              lag: 1310,
              events: 99_412,
              bytes: 61_812_331,
              joined: 'resumed',
            },
          ],
        };
      case 'system.status':
        return {
          status: 'degraded',
          version: '0.1.0-demo',
          started_at: START - 9e6,
          data_dir: '/home/ada/.local/share/signalbox',
          url: 'http://127.0.0.1:7117',
          services: [],
          log: { epoch: this.epoch, head: this.#seq, oldest: 1, bytes: 48_112_333, durability: 'process', schema: 1 },
          connections: 2,
          active_runs: 3,
          slots: 8,
          limits: LIMITS,
        };
      default:
        return fail('not_found', `the demo does not know ${method}`);
    }
  }

  /** The first save of each file meets somebody else's change. */
  #save(params: Record<string, unknown>): unknown {
    const name = String(params['workflow']);
    const was = workflows.get(name) ?? fail('not_found', 'there is no such workflow');
    if (!was.hash.endsWith('-theirs')) {
      const text = was.text
        .replace('run: make test', 'run: make test-all\n    timeout: 20m')
        .replace(/^description/m, '# Ask grace first.\ndescription');
      workflows.set(name, { ...was, text, hash: `${was.hash}-theirs` });
    }
    const now = workflows.get(name) ?? was;
    if (params['base_hash'] !== now.hash)
      return fail('conflict', 'the file changed since it was read; nothing was written', {
        text: now.text,
        hash: now.hash,
      });
    const saved = { ...now, text: String(params['text']) };
    workflows.set(name, saved);
    return saved;
  }

  #page(fake: FakeRun | undefined, params: Record<string, unknown>): unknown {
    const step = String(params['step']);
    const log = fake?.logs.get(step) ?? { total: 0, live: false };
    const limit = Number(params['limit'] ?? 1000);
    const offset = params['offset'] === undefined ? Math.max(0, log.total - limit) : Number(params['offset']);
    const lines = [];
    for (let n = offset; n < Math.min(log.total, offset + limit); n += 1)
      lines.push({ n, stream: n % 29 === 3 ? 'stderr' : 'stdout', text: lineText(step, n, log.total) });
    return {
      attempt: params['attempt'] ?? 1,
      lines,
      total_lines: log.total,
      total_bytes: log.total * 64,
      live: log.live,
    };
  }

  #search(fake: FakeRun | undefined, params: Record<string, unknown>): unknown {
    const step = String(params['step']);
    const total = fake?.logs.get(step)?.total ?? 0;
    const query = String(params['query']).toLowerCase();
    const matches = [];
    let found = 0;
    for (let n = 0; n < Math.min(total, 200_000); n += 1) {
      const text = lineText(step, n, total);
      if (!text.toLowerCase().includes(query)) continue;
      found += 1;
      if (matches.length < 10_000) matches.push({ n, stream: 'stdout', text });
    }
    return { attempt: 1, matches, total: found, total_lines: total };
  }

  #ask(fake: FakeRun, step: string, question: string): void {
    const { run } = fake;
    const approval: Approval = {
      id: `a_demo${String(this.#approvals.size + 1).padStart(6, '0')}`,
      project: run.project,
      run: run.id,
      run_number: run.number,
      workflow: run.workflow,
      step,
      question,
      show: {
        'plan.md':
          '# Invoice payments\n\n1. Add the method behind a flag\n2. Migrate totals to decimal\n3. Tests for rounding\n\nRisk: the worker still rounds half up.',
      },
      form: [
        { name: 'note', kind: 'string', title: 'Note to the agent', multiline: true },
        { name: 'priority', kind: 'enum', values: ['low', 'high'], default: 'low' },
      ],
      roles: ['operator', 'owner'],
      min: 1,
      self_approval: true,
      state: 'open',
      opened_at: Date.now() - 200_000,
      due_at: Date.now() + 3_400_000,
    };
    this.#approvals.set(approval.id, approval);
    const held = fake.steps.get(step);
    if (held) fake.steps.set(step, { ...held, approval: approval.id });
  }

  #emit(room: string, data: EventData, more: { run?: string; step?: string } = {}): void {
    this.#seq += 1;
    const frame = {
      seq: this.#seq,
      prev: this.headOf(room),
      cursor: `${this.epoch}.${String(this.#seq)}`,
      room,
      ts: Date.now(),
      actor: 'engine',
      ...more,
      ...structuredClone(data),
    } as ServerFrame;
    this.#last.set(room, this.#seq);
    this.#log.push({ room, frame, seq: this.#seq });
    if (this.#log.length > 5_000) this.#log = this.#log.slice(-4_000);
    for (const listener of this.#listeners) listener(room, frame);
  }

  #runChanged(fake: FakeRun): void {
    const steps = [...fake.steps.values()];
    const done = steps.filter((step) => step.status === 'done').length;
    const run: Run = {
      ...fake.run,
      generation: fake.run.generation + 1,
      steps_done: done,
      progress: done / steps.length,
    };
    fake.run = run;
    this.#emit(`project/${run.project}`, { type: 'run_updated', data: run }, { run: run.id });
  }

  #stepChanged(fake: FakeRun, step: Step): void {
    this.#emit(
      `project/${fake.run.project}`,
      { type: step.status === 'done' ? 'step_completed' : 'step_updated', data: step },
      { run: fake.run.id, step: step.key },
    );
  }

  /** Many pieces of log at once, for measuring. */
  flood(pieces: number): void {
    const fake = runs.get('r_demolive01');
    const log = fake?.logs.get('build[api]');
    if (!fake || !log) return;
    for (let i = 0; i < pieces; i += 1) {
      const text = Array.from({ length: 20 }, (_, n) => `${lineText('build[api]', log.total + n, 1e9)}\n`).join('');
      this.#emit(
        `run/${fake.run.id}`,
        {
          type: 'log',
          data: {
            step: 'build[api]',
            attempt: 1,
            stream: 'stdout',
            offset: log.total * 64,
            line: log.total,
            lines: 20,
            text,
          },
        },
        { run: fake.run.id },
      );
      log.total += 20;
    }
  }

  /** Steps print, end after a while, and those that may begin do. */
  #tick(): void {
    for (const fake of runs.values()) {
      if (fake.run.status !== 'running' || fake.run.project !== 'checkout') continue;
      for (const step of fake.steps.values()) {
        if (step.status !== 'running') continue;
        const log = fake.logs.get(step.key) ?? { total: 0, live: true };
        const text = Array.from({ length: 3 }, (_, i) => `${lineText(step.key, log.total + i, 1e9)}\n`).join('');
        this.#emit(
          `run/${fake.run.id}`,
          {
            type: 'log',
            data: {
              step: step.key,
              attempt: 1,
              stream: 'stdout',
              offset: log.total * 64,
              line: log.total,
              lines: 3,
              text,
            },
          },
          { run: fake.run.id },
        );
        log.total += 3;
        if (Date.now() - (step.started_at ?? 0) > (fake.run.id === 'r_demolive01' ? 120_000 : 4_000)) {
          finish(fake, step.key, 'success', step.started_at ?? 0, Date.now() - (step.started_at ?? 0), {}, log.total);
          this.#stepChanged(fake, step);
          this.#runChanged(fake);
        }
      }
      for (const step of fake.steps.values()) {
        if (step.status !== 'blocked' || !step.needs.every((need) => fake.steps.get(need)?.status === 'done')) continue;
        begin(fake, step.key, 'running', Date.now(), 0);
        fake.run = { ...fake.run, current_step: step.key };
        this.#stepChanged(fake, step);
        this.#runChanged(fake);
      }
      if ([...fake.steps.values()].every((step) => step.status === 'done')) {
        fake.run = { ...fake.run, status: 'done', conclusion: 'success', ended_at: Date.now() };
        this.#runChanged(fake);
      }
    }
  }
}

export class FakeFailure extends Error {
  constructor(readonly detail: CallError) {
    super(detail.message);
  }
}

function fail(code: CallError['code'], message: string, details?: CallError['details']): never {
  throw new FakeFailure(details === undefined ? { code, message } : { code, message, details });
}

export type Call = Extract<ClientFrame, { type: 'call' }>;
