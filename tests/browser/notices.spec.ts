import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import type { BrowserContext, Page } from '@playwright/test';
import { Host } from './host.ts';

const PICTURES = fileURLToPath(new URL('../../target/screenshots/', import.meta.url));

const GATE = `signalbox: 1
name: gate
steps:
  ask: { kind: approval, question: "Ship it?", who: { roles: [operator, owner], self_approval: true } }
  ship: { kind: command, needs: [ask], run: "echo shipped" }
`;

let host: Host;

test.beforeAll(async () => {
  mkdirSync(PICTURES, { recursive: true });
  host = new Host({ gate: GATE });
  await host.start();
});
test.afterAll(async () => host.dispose());

async function enter(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  // A window that nobody looks at: Chromium without a screen says of each of its pages that it is looked at.
  await page.addInitScript(() => Object.assign(document, { hasFocus: () => false }));
  await page.goto(await host.loginLink('/'));
  await page.waitForFunction(() => document.documentElement.dataset['ready'] === 'true');
  return page;
}

interface Shown {
  title: string;
  tag: string;
  actions: string[];
}

/** The notifications that this browser shows for the host. */
function shown(page: Page): Promise<Shown[]> {
  return page.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    const notes = (await registration.getNotifications()) as (Notification & { actions?: { title: string }[] })[];
    return notes.map(({ title, tag, actions = [] }) => ({ title, tag, actions: actions.map((each) => each.title) }));
  });
}

/** Takes a button of the first notification, as the system tells the browser. */
async function press(context: BrowserContext, action: string): Promise<void> {
  const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'));
  await worker.evaluate(async (wanted) => {
    const scope = globalThis as unknown as {
      registration: { getNotifications(): Promise<unknown[]> };
      NotificationEvent: new (type: string, init: object) => Event;
      dispatchEvent(event: Event): boolean;
    };
    const [notification] = await scope.registration.getNotifications();
    scope.dispatchEvent(new scope.NotificationEvent('notificationclick', { notification, action: wanted }));
  }, action);
}

const status = async (run: string) =>
  (await host.call<{ run: { status: string; conclusion?: string } }>('run.get', { run })).run;

test('a question is one notification over all pages, can be answered by its button, and goes when it is answered', async ({
  browser,
}) => {
  const context = await browser.newContext();
  await context.grantPermissions(['notifications'], { origin: host.address.url });
  const page = await enter(context);
  const other = await enter(context);
  await page.getByTestId('nav-settings').click();
  await expect(page.getByTestId('notifications')).toHaveAttribute('data-state', 'granted');
  await expect(page.getByTestId('notifications-buttons')).toHaveAttribute('data-state', 'yes');

  const { run } = await host.call<{ run: string }>('run.start', { project: 'shop', workflow: 'gate' });
  await expect(page.getByTestId('badge-inbox')).toHaveText('1');
  await expect(other.getByTestId('badge-inbox')).toHaveText('1');
  await expect.poll(() => shown(page)).toMatchObject([{ title: 'Ship it?', actions: ['Approve', 'Reject'] }]);
  await press(context, '0');
  await expect.poll(() => status(run)).toMatchObject({ status: 'done', conclusion: 'success' });
  await expect.poll(() => shown(page)).toEqual([]);

  // Answered elsewhere, it is taken back.
  const second = await host.call<{ run: string }>('run.start', { project: 'shop', workflow: 'gate' });
  await expect.poll(async () => (await shown(page)).length).toBe(1);
  const { approvals } = await host.call<{ approvals: { id: string; run: string }[] }>('approval.list', {});
  const approval = approvals.find((each) => each.run === second.run)?.id;
  await host.call('approval.answer', { approval, decision: 'reject' });
  await expect.poll(() => shown(page)).toEqual([]);
  await context.close();
});

test('without permission nothing is asked before a person clicks', async ({ browser }) => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.addInitScript(() => {
    Object.assign(window, { asked: 0 });
    Object.defineProperty(Notification, 'permission', { get: () => 'default' });
    Notification.requestPermission = () => {
      Object.assign(window, { asked: 1 });
      return Promise.resolve('denied');
    };
  });
  await page.goto(await host.loginLink('/settings'));
  await expect(page.getByTestId('notifications')).toHaveAttribute('data-state', 'default');
  expect(await page.evaluate('asked')).toBe(0);
  await page.getByTestId('notifications-on').click();
  await expect(page.getByTestId('notifications')).toHaveAttribute('data-state', 'denied');
  expect(await page.evaluate('asked')).toBe(1);
  await context.close();
});

test('quiet hours hold on every device, hold notifications back, and one tells of them afterwards', async ({
  browser,
}) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 1000 } });
  await context.grantPermissions(['notifications'], { origin: host.address.url });
  const page = await enter(context);
  const elsewhere = await enter(await browser.newContext());
  await page.getByTestId('nav-settings').click();
  await expect(page.getByTestId('notifications-buttons')).toHaveAttribute('data-state', 'yes');
  await page.getByTestId('mute-hour').click();
  await expect(page.getByTestId('quiet-now')).toContainText('Quiet until');
  await expect(elsewhere.getByTestId('quiet-mark')).toContainText('Quiet until');

  await page.getByTestId('quiet-on').check();
  await page.getByTestId('quiet-from').fill('23:30');
  await page.getByTestId('quiet-to').fill('06:15');
  await page.getByTestId('quiet-zone').selectOption('Europe/Berlin');
  await page.getByTestId('quiet-sun').uncheck();
  await page.getByTestId('quiet-save').click();
  await expect(page.getByTestId('quiet-save')).toBeHidden();
  await page.screenshot({ path: join(PICTURES, 'quiet-hours.png') });
  const { profile } = await host.call<{ profile: { quiet: object; muted_until: number } }>('profile.get', {});
  expect(profile.quiet).toEqual({
    from: '23:30',
    to: '06:15',
    days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat'],
    time_zone: 'Europe/Berlin',
  });
  expect(profile.muted_until).toBeGreaterThan(Date.now());

  // Asked while it is quiet: in the inbox at once, but no notification.
  const { run } = await host.call<{ run: string }>('run.start', { project: 'shop', workflow: 'gate' });
  await expect(page.getByTestId('badge-inbox')).toHaveText('1');
  expect(await shown(page)).toEqual([]);
  await page.getByTestId('quiet-on').click();
  await page.getByTestId('unmute').click();
  await expect(elsewhere.getByTestId('quiet-mark')).toBeHidden();
  await expect.poll(() => shown(page), { timeout: 20_000 }).toMatchObject([{ title: '1 question waits for you' }]);
  await host.call('run.cancel', { run });
  await context.close();
});

test('a certificate that the browser does not trust allows no buttons, and the settings say so', async ({
  browser,
}) => {
  await host.call('share.start', { bind: '127.0.0.1', port: 0 });
  const { link } = await host.call<{ link: string }>('invite.create', { role: 'operator' });
  // As somebody who clicked the warning away: good for the page, not for a worker.
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  await context.grantPermissions(['notifications'], { origin: new URL(link).origin });
  const page = await context.newPage();
  await page.addInitScript(() => {
    const shown: string[] = [];
    class Note extends EventTarget {
      static permission = 'granted';
      constructor(title: string) {
        super();
        shown.push(title);
      }
      close() {
        shown.pop();
      }
    }
    Object.assign(document, { hasFocus: () => false });
    Object.assign(window, { shown, Notification: Note });
  });
  await page.goto(link);
  await page.getByTestId('join-name').fill('Ada');
  await page.getByTestId('join-submit').click();
  await page.getByTestId('nav-settings').click();
  await expect(page.getByTestId('notifications-buttons')).toHaveAttribute('data-state', 'no');
  await expect(page.getByTestId('notifications-buttons')).toContainText("does not trust the host's certificate");
  // It tells of questions all the same, and takes back what was answered.
  const { run } = await host.call<{ run: string }>('run.start', { project: 'shop', workflow: 'gate' });
  await expect.poll(() => page.evaluate('shown')).toEqual(['Ship it?']);
  await host.call('run.cancel', { run });
  await expect.poll(() => page.evaluate('shown')).toEqual([]);
  await host.call('share.stop', {});
  await context.close();
});
