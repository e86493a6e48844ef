import type { GraphStep, Project, Run, Step, StepConclusion, StepKind, StepStatus, WorkflowReply } from '../protocol';

/** Made-up data of the demo build. Nothing of it is in a release. */
export const START = Date.now();
const MIN = 60_000;

export const projects: Project[] = [
  {
    id: 'checkout',
    name: 'checkout',
    path: '/home/ada/src/checkout',
    trusted: true,
    open: true,
    opened_at: START - 9e8,
  },
  { id: 'website', name: 'website', path: '/home/ada/src/website', trusted: false, open: true, opened_at: START - 8e8 },
  {
    id: 'empty',
    name: 'firmware',
    path: '/home/ada/src/a-very-long-folder-name/that/does/not/fit/firmware',
    trusted: true,
    open: true,
    opened_at: START - 7e8,
  },
];

const TEXT = `signalbox: 1
name: ship-feature
description: Plan, build in parallel, verify, land after a person says yes.
inputs:
  goal:   { type: string, required: true, multiline: true }
  stacks: { type: array, items: string, default: [api, web, worker] }
  level:  { type: enum, values: [patch, minor, major], default: minor }
  dry_run: { type: boolean, default: false }
steps:
  plan:
    kind: agent
    agent: { id: claude, mode: plan }
    prompt: "Goal: \${{ inputs.goal }}"
  approve_plan:
    kind: approval
    needs: [plan]
  build:
    kind: agent
    needs: [approve_plan]
    matrix: { axes: { stack: "\${{ inputs.stacks }}" }, max_parallel: 2 }
  lint:
    kind: command
    needs: [plan]
    run: npm run lint
  test:
    kind: command
    needs: [build]
    run: make test
  review:
    kind: agent
    needs: [build, lint]
  land:
    kind: git
    needs: [test, review]
    action: merge
  tell: { kind: notify, needs: [land], if: "\${{ always() }}" }
`;

const graph = (rows: [string, string, StepKind, string[], number, boolean?][]): GraphStep[] =>
  rows.map(([id, title, kind, needs, line, matrix]) => ({ id, title, kind, needs, line, matrix: matrix ?? false }));

export const SHIP = graph([
  ['plan', 'Plan the change', 'agent', [], 10],
  ['approve_plan', 'Approve the plan', 'approval', ['plan'], 14],
  ['build', 'Build', 'agent', ['approve_plan'], 17, true],
  ['lint', 'Lint', 'command', ['plan'], 21],
  ['test', 'Run the tests', 'command', ['build'], 25],
  ['review', 'Review by another model', 'agent', ['build', 'lint'], 29],
  ['land', 'Land on main', 'git', ['test', 'review'], 32],
  ['tell', 'Tell the team', 'notify', ['land'], 36],
]);

export const workflows = new Map<string, WorkflowReply>([
  [
    'ship-feature',
    {
      workflow: {
        name: 'ship-feature',
        file: '.signalbox/workflows/ship-feature.yaml',
        description: 'Plan, build in parallel, verify, land after a person says yes.',
        valid: true,
        steps: 8,
        inputs: [
          {
            name: 'goal',
            kind: 'string',
            required: true,
            multiline: true,
            values: [],
            description: 'What should be true when it is done',
          },
          {
            name: 'stacks',
            kind: 'array',
            required: false,
            multiline: false,
            values: [],
            default: ['api', 'web', 'worker'],
          },
          {
            name: 'level',
            kind: 'enum',
            required: false,
            multiline: false,
            values: ['patch', 'minor', 'major'],
            default: 'minor',
          },
          { name: 'dry_run', kind: 'boolean', required: false, multiline: false, values: [], default: false },
        ],
        diagnostics: [],
      },
      text: TEXT,
      hash: 'h1',
      graph: SHIP,
    },
  ],
  [
    'nightly',
    {
      workflow: {
        name: 'nightly',
        file: '.signalbox/workflows/nightly.yaml',
        description: 'Every test on every platform.',
        valid: true,
        steps: 42,
        inputs: [],
        diagnostics: [
          {
            severity: 'warning',
            code: 'timeout',
            message: 'no step has a time limit',
            hint: 'add defaults.timeout',
            line: 3,
            column: 1,
          },
        ],
      },
      text: 'signalbox: 1\nname: nightly\nsteps:\n  all: { kind: command, run: make }\n',
      hash: 'h2',
      graph: graph([['all', 'all', 'command', [], 4]]),
    },
  ],
  [
    'release',
    {
      workflow: {
        name: 'release',
        file: '.signalbox/workflows/release.yaml',
        valid: false,
        steps: 0,
        inputs: [],
        diagnostics: [
          {
            severity: 'error',
            code: 'unknown_step',
            message: 'step "publish" needs "buidl", which does not exist',
            hint: 'did you mean "build"?',
            line: 9,
            column: 13,
          },
          {
            severity: 'error',
            code: 'unknown_key',
            message: 'unknown key "comand"',
            hint: 'expected one of: kind, run, needs, if, timeout',
            line: 6,
            column: 5,
          },
        ],
      },
      text: 'signalbox: 1\nname: release\nsteps:\n  build:\n    kind: command\n    comand: make\n  publish:\n    kind: command\n    needs: [buidl]\n    run: npm publish\n',
      hash: 'h3',
      graph: [],
    },
  ],
]);

export interface FakeRun {
  run: Run;
  steps: Map<string, Step>;
  /** Lines of a step's log, made on demand by number. */
  logs: Map<string, { total: number; live: boolean }>;
}

export const runs = new Map<string, FakeRun>();

let numbers = 100;

export function makeRun(
  project: string,
  workflow: string,
  rows: { key: string; id: string; title: string; kind: StepKind; needs: string[] }[],
  change: Partial<Run> = {},
): FakeRun {
  numbers += 1;
  const id = change.id ?? `r_demo${String(numbers).padStart(6, '0')}`;
  const run: Run = {
    id,
    number: numbers,
    project,
    workflow,
    plan: 'p',
    status: 'running',
    generation: 1,
    actor: 'ada',
    created_at: Date.now(),
    progress: 0,
    steps_total: rows.length,
    steps_done: 0,
    inputs: { goal: 'Customers can pay by invoice', stacks: ['api', 'web', 'worker'] },
    ...change,
  };
  run.id = id;
  const steps = new Map(
    rows.map((row, index): [string, Step] => [row.key, { run: id, ...row, index, status: 'blocked', generation: 1 }]),
  );
  const made = { run, steps, logs: new Map() };
  runs.set(id, made);
  return made;
}

export const shipRows = (stacks = ['api', 'web', 'worker']) =>
  SHIP.flatMap((step) => {
    const needs = step.needs.flatMap((need) => (need === 'build' ? stacks.map((stack) => `build[${stack}]`) : [need]));
    return step.matrix
      ? stacks.map((stack) => ({ key: `${step.id}[${stack}]`, id: step.id, title: step.title, kind: step.kind, needs }))
      : [{ key: step.id, id: step.id, title: step.title, kind: step.kind, needs }];
  });

export function finish(
  fake: FakeRun,
  key: string,
  conclusion: StepConclusion,
  from: number,
  took: number,
  more: Partial<Step> = {},
  lines = 240,
): void {
  const step = fake.steps.get(key);
  if (!step) return;
  const none = conclusion === 'omitted' || conclusion === 'skipped';
  Object.assign(step, {
    status: 'done',
    conclusion,
    ...(none
      ? {}
      : {
          started_at: from,
          ended_at: from + took,
          attempts: [
            {
              number: 1,
              started_at: from,
              ended_at: from + took,
              conclusion,
              exit_code: conclusion === 'success' ? 0 : 1,
            },
          ],
        }),
    ...more,
  });
  if (!none) fake.logs.set(key, { total: lines, live: false });
}

export function begin(fake: FakeRun, key: string, status: StepStatus, from: number, lines = 60): void {
  const step = fake.steps.get(key);
  if (!step) return;
  Object.assign(step, { status, started_at: from, attempts: [{ number: 1, started_at: from }] });
  fake.logs.set(key, { total: lines, live: true });
}

export function past(): void {
  for (let i = 0; i < 9; i += 1) {
    const at = START - (20 - i) * 47 * MIN;
    const old = makeRun('checkout', i % 3 === 0 ? 'nightly' : 'ship-feature', shipRows(), {
      status: 'done',
      conclusion: i === 4 ? 'cancelled' : 'success',
      created_at: at,
      started_at: at + 800,
      ended_at: at + 6 * MIN + i * 9_000,
      progress: 1,
      steps_done: 10,
    });
    for (const key of old.steps.keys()) finish(old, key, 'success', at, 40_000);
  }
  const at = START - 26 * MIN;
  const failed = makeRun('checkout', 'ship-feature', shipRows(), {
    id: 'r_demofailed',
    status: 'done',
    conclusion: 'failed',
    created_at: at,
    started_at: at + 500,
    ended_at: at + 7 * MIN,
    progress: 0.9,
    steps_done: 10,
    current_step: 'test',
    reason: 'Run the tests failed with exit code 2',
  });
  finish(failed, 'plan', 'success', at, 62_000, {
    outputs: { summary: 'Add an invoice payment method behind a flag', units: 4 },
    artifacts: [{ path: 'plan.md', hash: 'ab12', bytes: 4812, media_type: 'text/markdown' }],
  });
  finish(failed, 'approve_plan', 'success', at + 62_000, 45_000);
  for (const [i, stack] of ['api', 'web', 'worker'].entries())
    finish(failed, `build[${stack}]`, 'success', at + 110_000 + i * 12_000, 95_000);
  finish(failed, 'lint', 'success', at + 62_000, 14_000);
  finish(failed, 'review', 'success', at + 230_000, 71_000);
  finish(
    failed,
    'test',
    'failed',
    at + 330_000,
    84_000,
    {
      reason: 'All attempts failed',
      retries: 1,
      attempts: [
        {
          number: 1,
          started_at: at + 230_000,
          ended_at: at + 305_000,
          conclusion: 'timed_out',
          cause: 'stall',
          message: 'Silent for 15 minutes',
        },
        {
          number: 2,
          started_at: at + 330_000,
          ended_at: at + 414_000,
          conclusion: 'failed',
          cause: 'command',
          exit_code: 2,
          message: 'make test ended with exit code 2: 3 of 418 tests failed',
        },
      ],
    },
    1_204_331,
  );
  finish(failed, 'land', 'omitted', at, 0, { reason: 'test did not succeed' });
  finish(failed, 'tell', 'success', at + 415_000, 900);

  const big = makeRun(
    'website',
    'nightly',
    Array.from({ length: 1000 }, (_, i) => ({
      key: `s${String(i)}`,
      id: `s${String(i)}`,
      title: `Shard ${String(i)}`,
      kind: 'command' as const,
      needs: i < 25 ? [] : [`s${String(i - 25)}`, ...(i % 7 === 0 ? [`s${String(i - 24)}`] : [])],
    })),
    {
      id: 'r_demobigrun',
      created_at: START - 5 * MIN,
      started_at: START - 5 * MIN,
      current_step: 's400',
      steps_done: 400,
      progress: 0.4,
    },
  );
  for (let i = 0; i < 400; i += 1)
    finish(
      big,
      `s${String(i)}`,
      i % 61 === 60 ? 'skipped' : 'success',
      START - 5 * MIN + i * 300,
      4000 + (i % 9) * 700,
    );
  for (let i = 400; i < 425; i += 1) begin(big, `s${String(i)}`, 'running', START - 9_000);
  const ten = makeRun(
    'website',
    'browsers',
    [
      { key: 'prepare', id: 'prepare', title: 'Prepare', kind: 'command', needs: [] },
      ...Array.from({ length: 10 }, (_, i) => ({
        key: `shard[${String(i)}]`,
        id: 'shard',
        title: 'Shard',
        kind: 'command' as const,
        needs: ['prepare'],
      })),
      { key: 'report', id: 'report', title: 'Report', kind: 'command', needs: ['shard[0]'] },
    ],
    {
      id: 'r_demotenfold',
      status: 'done',
      conclusion: 'crashed',
      created_at: START - 40 * MIN,
      started_at: START - 40 * MIN,
      ended_at: START - 30 * MIN,
      progress: 1,
      steps_done: 12,
      reason: 'The host stopped while Report ran',
    },
  );
  finish(ten, 'prepare', 'success', START - 40 * MIN, 8_000);
  for (let i = 0; i < 10; i += 1)
    finish(ten, `shard[${String(i)}]`, i === 6 ? 'failed' : 'success', START - 39 * MIN, 20_000 + i * 300);
  finish(ten, 'report', 'crashed', START - 38 * MIN, 185_000);
  const matrix = makeRun(
    'website',
    'browsers',
    [
      { key: 'prepare', id: 'prepare', title: 'Prepare', kind: 'command', needs: [] },
      ...Array.from({ length: 60 }, (_, i) => ({
        key: `shard[${String(i)}]`,
        id: 'shard',
        title: 'Shard',
        kind: 'command' as const,
        needs: ['prepare'],
      })),
      {
        key: 'report',
        id: 'report',
        title: 'Report',
        kind: 'command',
        needs: Array.from({ length: 60 }, (_, i) => `shard[${String(i)}]`),
      },
    ],
    {
      id: 'r_demomatrix',
      created_at: START - 2 * MIN,
      started_at: START - 2 * MIN,
      progress: 0.6,
      steps_done: 38,
      current_step: 'shard[38]',
    },
  );
  finish(matrix, 'prepare', 'success', START - 2 * MIN, 8_000);
  for (let i = 0; i < 40; i += 1)
    finish(
      matrix,
      `shard[${String(i)}]`,
      i === 13 || i === 31 ? 'failed' : 'success',
      START - 110_000 + i * 400,
      20_000 + i * 300,
      i === 13 || i === 31 ? { reason: 'exit code 1' } : {},
    );
  for (let i = 40; i < 46; i += 1) begin(matrix, `shard[${String(i)}]`, 'running', START - 9_000);
}

const ESC = '\u001b[';

export function lineText(step: string, n: number, total: number): string {
  if (step === 'test' && n >= total - 9) {
    return (
      [
        `${ESC}31mFAIL${ESC}0m src/invoice/${ESC}1mtotals.test.ts${ESC}0m`,
        `  ${ESC}31m✗${ESC}0m rounds half to even ${ESC}2m(4 ms)${ESC}0m`,
        `    expected ${ESC}32m"12.34"${ESC}0m, received ${ESC}31m"12.35"${ESC}0m`,
        '      at src/invoice/totals.ts:88:14',
        '',
        `${ESC}1mTests:${ESC}0m ${ESC}31m3 failed${ESC}0m, ${ESC}32m415 passed${ESC}0m, 418 total`,
        `${ESC}1mTime:${ESC}0m  82.114 s`,
        'make: *** [Makefile:41: test] Error 1',
        `${ESC}38;5;208mcommand ended with exit code 2${ESC}0m`,
      ][n - (total - 9)] ?? ''
    );
  }
  if (n % 47 === 5)
    return `${ESC}33mwarning${ESC}0m: unused variable ${ESC}1m\`rate\`${ESC}0m in ${ESC}4msrc/pricing/mod_${String(n)}.rs${ESC}0m`;
  if (n % 61 === 9) return `fetch  12%\rfetch  58%\rfetch 100% ${ESC}32mdone${ESC}0m`;
  if (n % 97 === 20)
    return `${ESC}44;97m INFO ${ESC}0m ${ESC}38;2;255;128;0mtruecolour${ESC}0m a rather long line that goes on and on to show what wrapping does with it: ${'lorem ipsum dolor sit amet '.repeat(9)}`;
  return `${ESC}32m   Compiling${ESC}0m unit_${String(n)} v0.${String(n % 90)}.${String(n % 7)} (${step})`;
}
