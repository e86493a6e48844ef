import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import type { Browser, Page } from '@playwright/test';
import { Host } from './host.ts';

const PICTURES = fileURLToPath(new URL('../../target/screenshots/', import.meta.url));

const GATE = `signalbox: 1
name: gate
steps:
  build: { kind: command, run: "echo built" }
  ask: { kind: approval, needs: [build], question: "Ship it?", who: { roles: [operator, owner] } }
  ship: { kind: command, needs: [ask], run: "echo shipped" }
`;

let host: Host;

test.beforeAll(async () => {
  mkdirSync(PICTURES, { recursive: true });
  host = new Host({ gate: GATE });
  await host.start();
});

test.afterAll(async () => {
  await host.dispose();
});

interface Token {
  token: string;
}

/** A page of somebody who is logged in. */
async function person(browser: Browser, name: string, role: string): Promise<{ page: Page; token: string }> {
  const { token } = await host.call<Token>('token.create', { name, role });
  return { page: await open(browser, await host.loginLink('/', token)), token };
}

async function open(browser: Browser, link: string): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 860 } })).newPage();
  await page.goto(link);
  await ready(page);
  return page;
}

async function ready(page: Page): Promise<void> {
  await page.waitForFunction(() => document.documentElement.dataset['ready'] === 'true');
}

/** Within the page, as a person clicks: nothing is loaded anew. */
async function toProject(page: Page, tab?: string): Promise<void> {
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'shop' }).click();
  if (tab !== undefined) await page.getByTestId(`tab-${tab}`).click();
}

test('people see each other, talk, and do not answer the same question at once', async ({ browser }) => {
  test.setTimeout(120_000);
  const ada = await open(browser, await host.loginLink('/'));
  const { page: grace, token } = await person(browser, 'grace', 'operator');
  const { page: viewer } = await person(browser, 'vera', 'viewer');

  // Who is here.
  await toProject(ada);
  await toProject(grace);
  await expect(ada.getByTestId('people')).toHaveAttribute('aria-label', /grace is here/);
  await expect(ada.getByTestId('people')).toHaveAttribute('aria-label', /vera is here/);

  // A message that names somebody waits in their inbox, and is read on all their devices at once.
  await ada.getByTestId('tab-chat').click();
  await ada.getByTestId('chat-text').fill('Shall we ship, @gra');
  await ada.getByRole('group', { name: 'Name somebody' }).getByRole('button', { name: '@grace' }).click();
  await ada.getByTestId('chat-send').click();
  await expect(ada.getByTestId('chat-message')).toContainText('Shall we ship, @grace');
  await expect(grace.getByTestId('badge-inbox')).toHaveText('1');
  await grace.getByTestId('nav-inbox').click();
  await expect(grace.getByTestId('notices')).toContainText('Shall we ship');
  await grace.screenshot({ path: join(PICTURES, 'team-inbox.png') });
  await grace
    .getByTestId('notices')
    .getByRole('link', { name: /named you/ })
    .click();
  await expect(grace.getByTestId('chat-message')).toContainText('Shall we ship');
  await expect(grace.getByTestId('badge-inbox')).toBeHidden();

  // Others see that somebody writes; who may only look may not.
  await grace.getByTestId('chat-text').pressSequentially('Yes, when the');
  await expect(ada.getByTestId('chat-typing')).toHaveText('grace is writing…');
  await grace.getByTestId('chat-text').fill('Yes, when the tests are green <b>bold</b>');
  await grace.getByTestId('chat-send').click();
  await expect(ada.getByTestId('chat-message').nth(1)).toContainText('<b>bold</b>');
  await expect(ada.getByTestId('chat-typing')).toHaveText('');
  await ada.screenshot({ path: join(PICTURES, 'team-chat.png') });
  await toProject(viewer, 'chat');
  await expect(viewer.getByTestId('chat')).toContainText('operators and owners write');
  await expect(viewer.getByTestId('chat-message')).toHaveCount(2);

  // A message can be changed and taken back by who wrote it.
  await grace.getByTestId('chat-message').nth(1).hover();
  await grace.getByTestId('chat-message').nth(1).getByRole('button', { name: 'Edit' }).click();
  await grace.getByTestId('chat-text').fill('Yes, now');
  await grace.getByTestId('chat-send').click();
  await expect(ada.getByTestId('chat-message').nth(1)).toContainText('Yes, now (edited)');

  // A question: one sees that the other is at it; the answer closes it everywhere.
  const project = (await host.call<{ projects: { id: string }[] }>('project.list')).projects[0]?.id;
  const { run } = await host.call<{ run: string }>('run.start', { project, workflow: 'gate' });
  await ada.getByTestId('nav-inbox').click();
  await grace.getByTestId('nav-inbox').click();
  const card = (page: Page) => page.locator('.approval');
  await expect(card(ada)).toContainText('Ship it?');
  await card(grace).hover();
  await expect(card(ada)).toContainText('grace is answering…');
  await ada.screenshot({ path: join(PICTURES, 'team-answering.png') });
  await grace.getByTestId('approve').click();
  await expect(card(ada)).toBeHidden();
  await expect
    .poll(async () => (await host.call<{ run: { conclusion?: string } }>('run.get', { run })).run.conclusion)
    .toBe('success');

  // Two who have one file open know of each other.
  for (const page of [ada, grace]) {
    await toProject(page, 'workflows');
    await page.getByTestId('workflow-gate').getByRole('link').first().click();
  }
  await expect(ada.getByTestId('also-open')).toHaveText('grace has it open too');

  // What happened while somebody was away is a list when they come back.
  await toProject(grace, 'chat');
  await expect(grace.getByTestId('chat-message')).toHaveCount(2);
  await expect.poll(async () => (await host.call<{ items: unknown[] }>('away.list', {}, token)).items.length).toBe(0);
  await grace.context().close();
  await toProject(ada, 'chat');
  await ada.getByTestId('chat-text').fill('@grace it is out');
  await ada.getByTestId('chat-send').click();
  await expect(ada.getByTestId('chat-message').nth(2)).toContainText('it is out');
  const back = await open(browser, await host.loginLink('/', token));
  await expect(back.getByTestId('away')).toContainText('1 mention of you');
  await expect(back.getByTestId('badge-inbox')).toHaveText('1');
  await back.screenshot({ path: join(PICTURES, 'team-away.png') });
  await back.getByTestId('away').getByRole('button', { name: 'Got it' }).click();
  await expect(back.getByTestId('away')).toBeHidden();
  await ada.getByTestId('nav-team').click();
  await expect(ada.getByTestId('members')).toContainText('grace');
  await ada.screenshot({ path: join(PICTURES, 'team-members.png') });

  // A role that is taken away is gone at once.
  await ada.getByTestId('member-vera').getByRole('button', { name: 'Change…' }).click();
  await ada.getByTestId('member-revoke').click();
  await expect(ada.getByTestId('revoke-dialog')).toContainText('closes its connections now');
  await ada.getByTestId('revoke-sure').click();
  await expect(viewer.getByTestId('light').or(viewer.getByTestId('unreachable')).first()).toBeVisible();
  await expect(ada.getByTestId('member-vera')).toContainText('may not come in any more');
});

test('a host is shared by its owner, and an invitation is made', async ({ browser }) => {
  const ada = await open(browser, await host.loginLink('/'));
  await ada.getByTestId('nav-team').click();
  await expect(ada.getByTestId('sharing')).toContainText('Only this machine reaches the host');
  await host.call('share.start', { bind: '127.0.0.1', port: 0 });
  await ada.reload();
  await ready(ada);
  await expect(ada.getByTestId('sharing')).toContainText('Others reach it at');
  await ada.getByTestId('invite').click();
  await ada.getByTestId('invite-make').click();
  const link = await ada.getByTestId('invite-link').inputValue();
  expect(link).toMatch(/^https:\/\/.*\/join#/);
  await expect(ada.getByAltText('The link as a QR code')).toBeVisible();
  await ada.screenshot({ path: join(PICTURES, 'team-invite.png') });
  await ada.getByRole('button', { name: 'Done' }).click();
  await expect(ada.getByTestId('invites').getByRole('listitem')).toHaveCount(1);
  await ada.screenshot({ path: join(PICTURES, 'team-sharing.png') });
  await ada.getByTestId('share-stop').click();
  await expect(ada.getByTestId('share-start')).toBeVisible();
});

test('messages written faster than the host answers all arrive, in order; a bad address leaves the page connected', async ({
  browser,
}) => {
  const { page } = await person(browser, 'ida', 'operator');
  await toProject(page, 'chat');
  const wanted = Array.from({ length: 30 }, (_, n) => `quick ${String(n)}`);
  for (const text of wanted) {
    await page.getByTestId('chat-text').fill(text);
    await page.getByTestId('chat-text').press('Enter');
  }
  const project = (await host.call<{ projects: { id: string }[] }>('project.list')).projects[0]?.id;
  await expect
    .poll(async () => {
      const { messages } = await host.call<{ messages: { text: string }[] }>('chat.list', { project, limit: 100 });
      return messages.map(({ text }) => text).filter((text) => text.startsWith('quick '));
    })
    .toEqual(wanted);
  await expect(page.getByTestId('chat-unsent')).toBeHidden();
  await expect(page.getByTestId('chat-message').last()).toContainText('quick 29');
  await expect(page.getByTestId('chat-message').last()).toBeInViewport();

  await page.goto(`${host.address.url}/projects/${String(project)}/runs/R_01M8`);
  await expect(page.getByText('This page is not here')).toBeVisible();
  await page.getByTestId('nav-projects').click();
  await expect(page.getByTestId('light')).toContainText('Live');
});

test('a link leads to an old message, and says so if it is gone', async ({ browser }) => {
  const project = (await host.call<{ projects: { id: string }[] }>('project.list')).projects[0]?.id;
  const post = (text: string) => host.call<{ message: { id: string } }>('chat.post', { project, text });
  const { message } = await post('what this is all about');
  // More than two pages of the chat.
  for (let n = 0; n < 120; n += 1) {
    const sent = () => post(`later ${String(n)}`).then(() => true);
    // A member has so many calls a second.
    await expect.poll(() => sent().catch(() => false)).toBe(true);
  }
  const { page } = await person(browser, 'lena', 'viewer');
  await page.goto(`${host.address.url}/projects/${String(project)}/chat#${message.id}`);
  const found = page.locator(`#${message.id}`);
  await expect(found).toContainText('what this is all about');
  await expect(found).toBeInViewport();
  await expect(found).toBeFocused();
  await page.screenshot({ path: join(PICTURES, 'chat-link.png') });
  // What comes meanwhile moves nothing.
  await post('the newest');
  await expect(page.getByTestId('chat-message').last()).toContainText('the newest');
  await expect(found).toBeInViewport();

  await page.goto(`${host.address.url}/projects/${String(project)}/chat#c_00000000000000000000`);
  await page.reload();
  await expect(page.getByTestId('chat')).toContainText('is not here any more');
  await expect(page.getByTestId('chat-message').last()).toContainText('the newest');
});
