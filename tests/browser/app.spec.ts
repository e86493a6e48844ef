import { expect, test } from '@playwright/test';
import type { Page } from '@playwright/test';
import { Host } from './host.ts';

const WORKFLOWS = {
  hello: `signalbox: 1
name: hello
steps:
  greet:
    kind: command
    run: |
      echo hello from greet
      printf '\\033[31mred\\033[0m\\n10%%\\r100%%\\n'
  count: { kind: command, needs: [greet], run: "seq 1 3000" }
  last: { kind: command, needs: [count], run: "echo done" }
`,
  fails: `signalbox: 1
name: fails
steps:
  fine: { kind: command, run: "echo fine" }
  boom: { kind: command, needs: [fine], run: "echo about to fail; exit 3" }
  never: { kind: command, needs: [boom], run: "echo never" }
`,
  asks: `signalbox: 1
name: asks
inputs:
  goal: { type: string, required: true }
steps:
  before: { kind: command, run: "echo before" }
  decide: { kind: approval, needs: [before], question: "Shall it go on?", who: { roles: [operator, owner], self_approval: true } }
  after: { kind: command, needs: [decide], run: "echo after" }
`,
  slow: `signalbox: 1
name: slow
steps:
  wait: { kind: command, run: "for i in $(seq 1 600); do echo tick $i; sleep 0.1; done" }
`,
  broken: `signalbox: 1
name: broken
steps:
  a: { kind: command, comand: "echo" }
`,
};

/** A gate that stays shut, and 400 steps that wait behind it. */
function wide(): string {
  const lines = ['signalbox: 1', 'name: wide', 'steps:', '  gate: { kind: command, run: "sleep 600" }'];
  for (let column = 0; column < 40; column += 1)
    for (let row = 0; row < 10; row += 1) {
      const needs =
        column === 0
          ? 'gate'
          : `s${String(column - 1)}_${String(row)}, s${String(column - 1)}_${String((row + 1) % 10)}`;
      lines.push(`  s${String(column)}_${String(row)}: { kind: command, needs: [${needs}], run: "true" }`);
    }
  return `${lines.join('\n')}\n`;
}

let host: Host;

test.beforeAll(async () => {
  host = new Host({ ...WORKFLOWS, wide: wide() });
  await host.start();
});

test.afterAll(async () => {
  await host.dispose();
});

async function enter(page: Page, path = '/'): Promise<void> {
  await page.goto(await host.loginLink(path));
  await ready(page);
}

async function ready(page: Page): Promise<void> {
  await page.waitForFunction(() => document.documentElement.dataset['ready'] === 'true');
}

/** Fails the test for any error of the page, which a person would only see as "it does not work". */
function watch(page: Page): string[] {
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && /Content.Security|Refused|Uncaught/.test(message.text()))
      problems.push(message.text());
  });
  return problems;
}

async function press(page: Page, workflow: string): Promise<void> {
  await page.goto(`${host.address.url}/projects/shop/workflows`);
  await ready(page);
  await page.getByTestId(`run-workflow-${workflow}`).click();
}

test('a page without a login asks for a code; a wrong one is told, a right one lets in', async ({ page }) => {
  await page.goto(`${host.address.url}/inbox`);
  await page.getByTestId('login-input').fill('wrong-code');
  await page.getByTestId('login-submit').click();
  await expect(page.getByRole('alert')).not.toBeEmpty();
  const { code } = await host.call<{ code: string }>('login_code.create');
  await page.getByTestId('login-input').fill(code);
  await page.getByTestId('login-submit').click();
  await expect(page.getByTestId('view-inbox')).toBeVisible();
});

test('a link logs in at once, and its code leaves the address', async ({ page }) => {
  const problems = watch(page);
  await enter(page);
  expect(page.url()).not.toContain('code=');
  await expect(page.getByTestId('project-shop')).toBeVisible();
  await expect(page.getByTestId('light')).toHaveAttribute('data-phase', 'live');
  expect(problems).toEqual([]);
});

test('Run goes straight to the run, every step ends, and its log can be read and searched', async ({ page }) => {
  const problems = watch(page);
  await enter(page);
  await press(page, 'hello');
  await expect(page).toHaveURL(/\/projects\/shop\/runs\/r_/);
  for (const step of ['greet', 'count', 'last'])
    await expect(page.getByTestId(`node-${step}`)).toHaveAttribute('data-state', 'success');
  await expect(page.getByTestId('run-header')).toHaveAttribute('data-state', 'success');

  await page.getByTestId('node-greet').click();
  await expect(page.getByTestId('log')).toContainText('hello from greet');
  await expect(page.locator('.log-text', { hasText: '100%' }).first()).not.toContainText('10%1');
  await expect(page.locator('.a-f1', { hasText: 'red' })).toBeVisible();

  await page.getByTestId('node-count').click();
  await expect(page.locator('.log-text', { hasText: /^3000$/ })).toBeVisible();
  await page.keyboard.press('/');
  await page.keyboard.type('1234');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('log-matches')).toContainText('1 of 1');
  await expect(page.locator('[data-line="1233"]')).toContainText('1234');
  expect(problems).toEqual([]);
});

test('a failure comes to the front by itself, with the end of its log', async ({ page }) => {
  await enter(page);
  await press(page, 'fails');
  await expect(page.getByTestId('run-header')).toHaveAttribute('data-state', 'failed');
  await expect(page.getByTestId('step-panel')).toContainText('boom');
  await expect(page.getByTestId('failure')).toContainText('exit code 3');
  await expect(page.getByTestId('log')).toContainText('about to fail');
  await expect(page.getByTestId('node-never')).toHaveAttribute('data-state', 'omitted');
});

test('a question is answered, and closes in every window at once', async ({ page, context }) => {
  await enter(page);
  await press(page, 'asks');
  await page.getByTestId('field-goal').fill('a better shop');
  await page.getByTestId('run-submit').click();
  await expect(page.getByTestId('node-decide')).toHaveAttribute('data-state', 'waiting_input');
  await expect(page.getByTestId('badge-inbox')).toHaveText('1');

  const other = await context.newPage();
  await other.goto(`${host.address.url}/inbox`);
  await expect(other.getByText('Shall it go on?').first()).toBeVisible();
  const run = page.url();
  await page.getByTestId('nav-inbox').click();
  await expect(page.getByText('Shall it go on?').first()).toBeVisible();
  await page.keyboard.press('a');
  await expect(page.getByTestId('inbox-empty')).toBeVisible();
  await expect(other.getByTestId('inbox-empty')).toBeVisible();
  await expect(other.getByTestId('settled')).toContainText('Approved');
  await page.goto(run);
  await expect(page.getByTestId('node-after')).toHaveAttribute('data-state', 'success');
});

test('a question on the screen has its buttons in view and no notice over it, on a phone too', async ({ page }) => {
  await enter(page);
  await press(page, 'asks');
  await page.getByTestId('field-goal').fill('a question in sight');
  await page.getByTestId('run-submit').click();
  await expect(page.getByTestId('approve')).toBeInViewport({ ratio: 1 });
  // Sooner than it would go away by itself.
  await expect(page.getByTestId('toast-approval')).toHaveCount(0, { timeout: 3_000 });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto(page.url());
  await expect(page.getByTestId('step-list')).toBeVisible();
  await expect(page.getByTestId('approve')).toBeInViewport({ ratio: 1 });
  await page.getByTestId('reject').click();
  await expect(page.getByTestId('approve')).toHaveCount(0);
});

test('the inputs of a run are asked for, checked and remembered', async ({ page }) => {
  await enter(page);
  await press(page, 'asks');
  await page.getByTestId('run-submit').click();
  await expect(page.getByTestId('run-dialog')).toContainText('This is needed');
  await page.getByTestId('field-goal').fill('remember me');
  await page.getByTestId('run-submit').click();
  await expect(page).toHaveURL(/runs\/r_/);
  await press(page, 'asks');
  await expect(page.getByTestId('field-goal')).toHaveValue('remember me');
});

test('a broken workflow says where, and cannot be run', async ({ page }) => {
  await enter(page, '/projects/shop/workflows');
  await expect(page.getByTestId('workflow-broken')).toContainText(/Line \d/);
  await expect(page.getByTestId('run-workflow-broken')).toBeDisabled();
  await page.goto(`${host.address.url}/projects/shop/workflows/broken`);
  await expect(page.getByTestId('diagnostics')).toContainText('comand');
});

test('a cancelled run ends, and a retry runs it again', async ({ page }) => {
  await enter(page);
  await press(page, 'slow');
  await expect(page.getByTestId('log')).toContainText('tick 3');
  await page.getByTestId('cancel-run').click();
  await expect(page.getByTestId('run-header')).toHaveAttribute('data-state', 'cancelled', { timeout: 20_000 });
  await page.getByTestId('retry-run').click();
  await page.getByRole('menuitem', { name: /Run all steps again/ }).click();
  await expect(page.getByTestId('run-header')).toHaveAttribute('data-state', 'running');
  await page.getByTestId('cancel-run').click();
  await expect(page.getByTestId('run-header')).toHaveAttribute('data-state', 'cancelled', { timeout: 20_000 });
});

test('a large diagram seen from afar is one picture, on which a step is found and chosen', async ({ page }) => {
  const problems = watch(page);
  await enter(page);
  await press(page, 'wide');
  await expect(page.getByTestId('node-gate')).toHaveAttribute('data-state', 'running');
  const graph = page.getByTestId('graph');
  const picture = page.getByTestId('graph-far');
  await expect(picture).toHaveCount(0);

  // Zoomed out under a step that has the keyboard, the diagram has it then.
  await page.getByTestId('node-gate').focus();
  await page.locator('.react-flow__pane').hover({ position: { x: 200, y: 20 } });
  await page.keyboard.down('Control');
  for (let n = 0; n < 30; n += 1) await page.mouse.wheel(0, 100);
  await page.keyboard.up('Control');
  await expect(picture).toBeVisible();
  await expect(graph).toBeFocused();

  await page.getByRole('button', { name: 'Show the whole diagram' }).click();
  await expect(page.locator('.signal')).toHaveCount(0);
  await expect(page.locator('.react-flow__edge')).toHaveCount(0);
  // The gate is at work, all others wait.
  const pixels = (name: string) =>
    picture.evaluate((element, name) => {
      const canvas = element as HTMLCanvasElement;
      const wanted = getComputedStyle(canvas).getPropertyValue(name).trim();
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
      let found = 0;
      for (let at = 0; at < data.length; at += 4) {
        const [red, green, blue] = data.subarray(at, at + 3);
        const colour = [red, green, blue].map((part) => part!.toString(16).padStart(2, '0')).join('');
        if (`#${colour}` === wanted && data[at + 3] === 255) found += 1;
      }
      return found;
    }, name);
  expect(await pixels('--active')).toBeGreaterThan(3);
  expect(await pixels('--idle')).toBeGreaterThan(400);
  expect(await pixels('--bad')).toBe(0);

  // At rest, all of it is in sight, so its middle is a column of steps or the tracks between two.
  const place = () =>
    page.locator('.react-flow__viewport').evaluate((element) => (element as HTMLElement).style.transform);
  await expect(async () => {
    const before = await place();
    const around = (await graph.boundingBox())!;
    const painted = (await picture.boundingBox())!;
    expect(painted.x).toBeGreaterThanOrEqual(around.x);
    expect(painted.x + painted.width).toBeLessThanOrEqual(around.x + around.width);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    expect(await place()).toBe(before);
  }).toPass();
  const box = (await picture.boundingBox())!;
  const pane = page.locator('.react-flow__pane[title^="s"]');
  const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  for (let n = 0; n < 20 && (await pane.count()) === 0; n += 1) await page.mouse.move((at.x += 1), at.y);
  await expect(pane).toHaveAttribute('title', /^s\d+_\d: Not started$/);
  await expect(pane).toHaveCSS('cursor', 'pointer');

  // A drag ends over the step that it began on, and chooses nothing.
  const before = await place();
  await page.mouse.down();
  await page.mouse.move(at.x - 40, at.y + 15, { steps: 4 });
  await page.mouse.up();
  expect(await place()).not.toBe(before);
  await page.mouse.move(at.x - 39, at.y + 15);
  await page.mouse.move(at.x - 40, at.y + 15);
  await expect(pane).toHaveAttribute('title', /^s\d+_\d: Not started$/);
  expect(page.url()).not.toContain('step=');
  const key = (await pane.getAttribute('title'))!.split(':')[0]!;
  await page.mouse.click(at.x - 40, at.y + 15);
  await expect(page).toHaveURL(new RegExp(`step=${key}$`));

  await expect(async () => {
    await page.getByRole('button', { name: 'Zoom in' }).click();
    await expect(page.getByTestId(`node-${key}`)).toHaveAttribute('aria-pressed', 'true', { timeout: 500 });
  }).toPass();
  await expect(picture).toHaveCount(0);
  expect(problems).toEqual([]);
  await host.call('run.cancel', { run: /r_\w+/.exec(page.url())![0] });
});

test('a host that dies leaves the view, greyed, and comes back complete without a reload', async ({ page }) => {
  await enter(page);
  await press(page, 'hello');
  await expect(page.getByTestId('run-header')).toHaveAttribute('data-state', 'success');
  await page.evaluate(() => Object.assign(window, { sameDocument: true }));

  await host.kill();
  await expect(page.getByTestId('stale-banner')).toContainText('last known data');
  await expect(page.getByTestId('node-greet')).toBeVisible();
  await expect(page.getByTestId('retry-run')).toBeDisabled();

  await host.start();
  await expect(page.getByTestId('stale-banner')).toHaveCount(0, {
    timeout: 30_000,
  });
  await expect(page.getByTestId('light')).toHaveAttribute('data-phase', 'live');
  expect(await page.evaluate(() => 'sameDocument' in window)).toBe(true);
  await press(page, 'hello');
  await expect(page.getByTestId('run-header')).toHaveAttribute('data-state', 'success');
});

test('the keyboard reaches every place', async ({ page }) => {
  await enter(page);
  for (const [keys, view] of [
    ['i', 'inbox'],
    ['a', 'activity'],
    ['s', 'system'],
    ['p', 'projects'],
  ] as const) {
    await page.keyboard.press('g');
    await page.keyboard.press(keys);
    await expect(page.getByTestId(`view-${view}`)).toBeVisible();
  }
  await page.keyboard.press('Control+k');
  await page.keyboard.type('settings');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('view-settings')).toBeVisible();
  await page.keyboard.press('?');
  await expect(page.getByTestId('help')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('help')).toHaveCount(0);
});
