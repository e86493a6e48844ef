import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRequire } from 'node:module';
import { expect, test } from '@playwright/test';
import type { Page } from '@playwright/test';
import type { AxeResults } from 'axe-core';
import { Host } from './host.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PHONE = { width: 390, height: 844 };
const WIDE = { width: 1280, height: 800 };

const WORKFLOWS = {
  fails: `signalbox: 1
name: fails
steps:
  fine: { kind: command, run: "printf '\\\\033[31mred\\\\033[32mgreen\\\\033[0m\\\\n'; seq 1 200" }
  boom: { kind: command, needs: [fine], run: "echo about to fail; exit 3" }
  never: { kind: command, needs: [boom], run: "echo never" }
`,
  asks: `signalbox: 1
name: asks
description: Asks before it goes on.
inputs:
  goal: { type: string, required: true, multiline: true }
  level: { type: enum, values: [patch, minor], default: minor }
  dry: { type: boolean, default: false }
steps:
  decide: { kind: approval, question: "Shall it go on?", who: { roles: [operator, owner], self_approval: true } }
  after: { kind: command, needs: [decide], run: "echo after" }
`,
  agent: `signalbox: 1
name: agent
env: { REHEARSAL_SCRIPT: "\${{ project.path }}/.signalbox/play.yaml" }
goal_check: { statement: A file that nobody writes, accept: [{ file_exists: never.txt }] }
steps:
  build: { kind: agent, agent: { id: rehearsal }, prompt: "Build it" }
  land: { kind: git, needs: [build], action: merge, from: build, message: Build }
`,
  broken: `signalbox: 1
name: broken
steps:
  a: { kind: command, comand: "echo" }
`,
};

const PLAY = `scenes:
  - when: Build it
    do:
      - think: "What is to be built?"
      - plan: [{ text: "Write a file", status: in_progress }]
      - say: "I write **a file**."
      - write: { path: made.txt, text: "made\\n" }
      - run: { command: "cat made.txt" }
      - usage: { input: 1200, output: 80, usd: 0.01, context_used: 1200, context_size: 200000 }
`;

interface Started {
  run: string;
}

interface Screen {
  path: string;
  /** What is there once the screen is complete. */
  shows: string;
  act?: (page: Page) => Promise<void>;
}

let host: Host;
let screens: Record<string, Screen>;

const file = () => join(host.project, '.signalbox', 'workflows', 'fails.yaml');

/** Types a line, changes the file behind the editor's back, and saves. */
async function conflict(page: Page): Promise<void> {
  await page.getByTestId('editor').click();
  await page.keyboard.press('Control+Home');
  await page.keyboard.type('# mine\n');
  writeFileSync(file(), `# theirs ${String(Date.now())}\n${WORKFLOWS.fails}`);
  await page.getByTestId('save-workflow').click();
  await expect(page.getByTestId('compare')).toContainText('# theirs');
}

test.beforeAll(async () => {
  host = new Host(WORKFLOWS);
  writeFileSync(join(host.project, '.signalbox', 'play.yaml'), PLAY);
  host.commit();
  await host.start();
  const failed = await host.call<Started>('run.start', { project: 'shop', workflow: 'fails' });
  const asks = await host.call<Started>('run.start', { project: 'shop', workflow: 'asks', inputs: { goal: 'a shop' } });
  const agent = await host.call<Started>('run.start', { project: 'shop', workflow: 'agent' });
  for (const [started, state] of [
    [failed, 'done'],
    [agent, 'done'],
    [asks, 'waiting_input'],
  ] as const)
    await expect
      .poll(async () => (await host.call<{ run: { status: string } }>('run.get', { run: started.run })).run.status)
      .toBe(state);
  const run = (started: Started, rest = '') => `/projects/shop/runs/${started.run}${rest}`;
  screens = {
    projects: { path: '/', shows: 'project-shop' },
    runs: { path: '/projects/shop', shows: 'runs' },
    workflows: { path: '/projects/shop/workflows', shows: 'workflow-broken' },
    queue: { path: '/projects/shop/queue', shows: 'queue' },
    'project settings': { path: '/projects/shop/settings', shows: 'project-settings' },
    diagram: { path: run(failed, '?tab=graph'), shows: 'node-boom' },
    timeline: { path: run(failed, '?tab=timeline'), shows: 'timeline' },
    steps: { path: run(failed, '?tab=steps'), shows: 'step-boom' },
    failure: { path: run(failed, '?step=boom'), shows: 'failure' },
    'log line': { path: run(failed, '?step=fine&attempt=1#L1'), shows: 'log' },
    'run that asks': { path: run(asks, '?step=decide'), shows: 'approve' },
    'run that asks, no step chosen': { path: run(asks), shows: 'approve' },
    'retry menu': {
      path: run(failed),
      shows: 'run-header',
      act: async (page) => {
        await page.getByTestId('retry-run').click();
        await expect(page.getByRole('menuitem').first()).toBeVisible();
      },
    },
    transcript: {
      path: run(agent, '?tab=steps&step=build'),
      shows: 'agent-tab-transcript',
      act: async (page) => {
        // The tab is kept for the next agent that is looked at.
        await page.getByTestId('agent-tab-transcript').click();
        await expect(page.getByTestId('transcript')).toContainText('I write a file.');
      },
    },
    changes: {
      path: run(agent, '?step=build'),
      shows: 'agent-tab-changes',
      act: async (page) => {
        await page.getByTestId('agent-tab-changes').click();
        await expect(page.getByTestId('changes')).toContainText('made.txt');
      },
    },
    outcome: { path: run(agent, '?tab=outcome'), shows: 'goal' },
    'inbox with a risk': { path: '/inbox', shows: 'risks' },
    agents: { path: '/agents', shows: 'agent-rehearsal' },
    team: { path: '/team', shows: 'members' },
    chat: { path: '/projects/shop/chat', shows: 'chat' },
    worktrees: { path: '/projects/shop/settings', shows: 'worktrees' },
    inbox: { path: '/inbox', shows: 'approve' },
    activity: { path: '/activity', shows: 'feed' },
    system: { path: '/system', shows: 'connections' },
    settings: { path: '/settings', shows: 'view-settings' },
    editor: { path: '/projects/shop/workflows/asks', shows: 'editor' },
    'editor with problems': { path: '/projects/shop/workflows/broken', shows: 'diagnostics' },
    conflict: { path: '/projects/shop/workflows/fails', shows: 'editor', act: conflict },
    'run dialog': {
      path: '/projects/shop/workflows',
      shows: 'run-workflow-asks',
      act: async (page) => {
        await page.getByTestId('run-workflow-asks').click();
        await expect(page.getByTestId('run-dialog')).toBeVisible();
      },
    },
    palette: {
      path: '/',
      shows: 'project-shop',
      act: async (page) => {
        await page.keyboard.press('Control+k');
        await expect(page.getByTestId('palette')).toBeVisible();
      },
    },
    help: {
      path: '/',
      shows: 'project-shop',
      act: async (page) => {
        await page.keyboard.press('?');
        await expect(page.getByTestId('help')).toBeVisible();
      },
    },
    nowhere: { path: '/nowhere', shows: 'not-here' },
  };
});

test.afterAll(async () => {
  await host.dispose();
});

async function enter(page: Page): Promise<void> {
  await page.goto(await host.loginLink());
  await ready(page);
}

async function ready(page: Page): Promise<void> {
  await page.waitForFunction(() => document.documentElement.dataset['ready'] === 'true');
}

async function open(page: Page, screen: Screen): Promise<void> {
  // A text that was not saved asks before the page is left; nothing here is worth keeping.
  await page.goto(`${host.address.url}${screen.path}`);
  await ready(page);
  await expect(page.getByTestId(screen.shows).first()).toBeVisible();
  await screen.act?.(page);
}

/** What axe calls serious or critical, one line each. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: { run: (context: unknown, options: unknown) => Promise<AxeResults> } }).axe.run(
      // The dialog library's focus guards hold no focus: they hand it on, which axe cannot see.
      { exclude: [['[data-base-ui-focus-guard]']] },
      { resultTypes: ['violations'] },
    ),
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map((node) => `${id}: ${node.target.join(' ')} ${node.any[0]?.message ?? node.all[0]?.message ?? ''}`),
    );
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe finds nothing serious on any screen, wide or on a phone: ${colorScheme}`, async ({ browser }) => {
    test.setTimeout(240_000);
    for (const viewport of [WIDE, PHONE]) {
      const context = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' });
      const page = await context.newPage();
      page.on('dialog', (dialog) => void dialog.accept());
      await page.goto(`${host.address.url}/`);
      await expect(page.getByTestId('login-input')).toBeVisible();
      expect.soft(await violations(page), `login, ${String(viewport.width)}`).toEqual([]);
      await enter(page);
      for (const [name, screen] of Object.entries(screens)) {
        await open(page, screen);
        expect.soft(await violations(page), `${name}, ${String(viewport.width)}`).toEqual([]);
      }
      await context.close();
    }
  });
}

test('on a phone nothing is wider than the screen, and what a finger hits is 40 px', async ({ browser }) => {
  test.setTimeout(120_000);
  const context = await browser.newContext({ viewport: PHONE, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.on('dialog', (dialog) => void dialog.accept());
  await enter(page);
  for (const [name, screen] of Object.entries(screens)) {
    await open(page, screen);
    const found = await page.evaluate(() => {
      // Text has lines of its own height; a timeline's bar is as long as the time it shows, and its row can be hit.
      const skipped = '.cm-editor, .log-rows, .react-flow__node, .timeline-lane, .skip';
      const small = [...document.querySelectorAll('button, a[href], input, select, summary, [role="option"]')]
        .filter((element) => element.closest(skipped) === null)
        .map((element) => ({ element, box: (element.closest('label') ?? element).getBoundingClientRect() }))
        .filter(({ box }) => box.width > 0 && (box.height < 39 || box.width < 39))
        .map(({ element, box }) => {
          const what = element.getAttribute('aria-label') ?? element.textContent;
          return `${what}: ${String(Math.round(box.width))} x ${String(Math.round(box.height))}`;
        });
      const over = document.documentElement.scrollWidth - innerWidth;
      return over > 0 ? [...small, `wider than the screen by ${String(over)}`] : small;
    });
    expect.soft(found, name).toEqual([]);
  }
  await context.close();
});

test('J and K move the focus, Enter opens, and no button loses its Enter', async ({ page }) => {
  await enter(page);
  const row = () => page.evaluate(() => document.activeElement?.hasAttribute('data-row') ?? false);
  for (const path of ['/', '/projects/shop', '/projects/shop/workflows', '/activity']) {
    await open(page, { path, shows: path === '/activity' ? 'feed' : path === '/' ? 'project-shop' : 'workflow-fails' });
    await page.keyboard.press('j');
    await expect.poll(row).toBe(true);
    const first = await page.evaluate(() => document.activeElement?.textContent);
    await page.keyboard.press('j');
    expect(await page.evaluate(() => document.activeElement?.textContent)).not.toBe(first);
    await page.keyboard.press('k');
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe(first);
    expect(
      await page.evaluate(() => getComputedStyle(document.activeElement ?? document.body).outlineStyle),
      `the focus is seen on ${path}`,
    ).toBe('solid');
  }
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/projects\/shop/);

  await open(page, { path: '/projects/shop', shows: 'run-workflow-asks' });
  await page.getByTestId('run-workflow-asks').focus();
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('run-dialog')).toBeVisible();
});

test('help, the palette and the places are a key away from every screen', async ({ page }) => {
  test.setTimeout(120_000);
  page.on('dialog', (dialog) => void dialog.accept());
  await enter(page);
  const plain = Object.entries(screens).filter(([, screen]) => screen.act === undefined);
  for (const [name, screen] of plain) {
    await open(page, screen);
    await page.keyboard.press('?');
    await expect(page.getByTestId('help'), `help on ${name}`).toBeVisible();
    await page.keyboard.press('Escape');
    await expect(page.getByTestId('help')).toHaveCount(0);
    // The first button of the screen would do something at the next Enter, and a select would eat the next letter.
    await expect(page.locator('#main'), `the focus after help on ${name}`).toBeFocused();
    await page.keyboard.press('Control+k');
    await expect(page.getByTestId('palette'), `palette on ${name}`).toBeVisible();
    await page.keyboard.press('Escape');
    await expect(page.getByTestId('palette')).toHaveCount(0);
    await expect(page.locator('#main'), `the focus after the palette on ${name}`).toBeFocused();
    await page.keyboard.press('g');
    await page.keyboard.press('s');
    await expect(page.getByTestId('view-system'), `G S on ${name}`).toBeVisible();
  }
  // From within the editor's text a letter is text, but the palette opens.
  await open(page, { path: '/projects/shop/workflows/asks', shows: 'editor' });
  await page.getByTestId('editor').click();
  await page.keyboard.press('Control+k');
  await expect(page.getByTestId('palette')).toBeVisible();
});

test('A and R answer the question in front: on its run, and the one that J chose in the inbox', async ({ page }) => {
  const ask = async (goal: string) => {
    const { run } = await host.call<Started>('run.start', { project: 'shop', workflow: 'asks', inputs: { goal } });
    return run;
  };
  const conclusion = async (run: string) =>
    (await host.call<{ run: { conclusion?: string } }>('run.get', { run })).run.conclusion;
  await enter(page);

  const rejected = await ask('rejected on its run');
  await open(page, { path: `/projects/shop/runs/${rejected}`, shows: 'approve' });
  await page.keyboard.press('r');
  await expect.poll(() => conclusion(rejected)).not.toBe(undefined);
  expect(await conclusion(rejected)).not.toBe('success');

  await ask('another that waits');
  await open(page, { path: '/inbox', shows: 'approve' });
  const cards = page.locator('article[data-testid^="approval-"]');
  await expect(cards).toHaveCount(2);
  const second = await cards.nth(1).getAttribute('data-testid');
  await page.keyboard.press('j');
  await expect(cards.nth(1)).toBeFocused();
  await page.keyboard.press('a');
  await expect(page.getByTestId(second ?? '')).toHaveCount(0);
  await expect(cards).toHaveCount(1);
});

test('with reduced motion nothing moves', async ({ browser }) => {
  const context = await browser.newContext({ viewport: WIDE, reducedMotion: 'reduce' });
  const page = await context.newPage();
  await enter(page);
  for (const name of ['diagram', 'run that asks', 'runs']) {
    await open(page, screens[name] as Screen);
    await expect
      .poll(() => page.evaluate(() => document.getAnimations().filter((each) => each.playState === 'running').length))
      .toBe(0);
  }
  await context.close();
});

test('a refused save shows both texts; mine, theirs and a copy of mine are each one button', async ({ browser }) => {
  const context = await browser.newContext({ viewport: WIDE });
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const page = await context.newPage();
  const edit = async () => {
    writeFileSync(file(), WORKFLOWS.fails);
    await page.goto('about:blank');
    await open(page, screens.conflict as Screen);
  };
  page.on('dialog', (dialog) => void dialog.accept());
  await enter(page);

  await edit();
  await expect(page.getByTestId('compare')).toContainText('# mine');
  expect(readFileSync(file(), 'utf8')).toContain('# theirs');
  await page.getByTestId('copy-mine').click();
  await expect(page.getByTestId('conflict')).toContainText('Copied.');
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain('# mine');

  await page.getByTestId('take-theirs').click();
  await expect(page.getByTestId('conflict')).toHaveCount(0);
  await expect(page.getByTestId('editor')).toContainText('# theirs');
  await page.getByTestId('editor').click();
  await page.keyboard.press('Control+z');
  await expect(page.getByTestId('editor')).toContainText('# mine');
  expect(readFileSync(file(), 'utf8')).toContain('# theirs');

  await edit();
  // A second change, after the comparison was made, is never overwritten unseen.
  writeFileSync(file(), `# later\n${WORKFLOWS.fails}`);
  await page.getByTestId('keep-mine').click();
  await expect(page.getByTestId('compare')).toContainText('# later');
  expect(readFileSync(file(), 'utf8')).toContain('# later');
  await page.getByTestId('keep-mine').click();
  await expect(page.getByTestId('conflict')).toHaveCount(0);
  expect(readFileSync(file(), 'utf8')).toContain('# mine');
  expect(readFileSync(file(), 'utf8')).not.toContain('# later');
  await context.close();
});
