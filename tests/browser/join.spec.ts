import { expect, test } from '@playwright/test';
import { Host } from './host.ts';

const WORKFLOWS = {
  hello: `signalbox: 1
name: hello
steps:
  greet: { kind: command, run: "echo hello" }
`,
};

let host: Host;

// The certificate is one that the host made: nobody vouches for it.
test.use({ ignoreHTTPSErrors: true });
test.beforeAll(async () => {
  host = new Host(WORKFLOWS);
  await host.start();
});
test.afterAll(async () => host.dispose());

test('somebody follows an invitation, and is in', async ({ page }) => {
  await host.call('share.start', { bind: '127.0.0.1', port: 0 });
  const { link, code } = await host.call<{ link: string; code: string }>('invite.create', { role: 'operator' });
  await page.goto(link);
  await expect(page.getByTestId('view-join')).toBeVisible();
  // The code is out of the address at once, and no way leads back to it.
  expect(page.url()).toBe(`${new URL(link).origin}/join`);
  expect(await page.evaluate(() => history.length)).toBeLessThanOrEqual(2);
  await page.getByTestId('join-name').fill('engine');
  await page.getByTestId('join-submit').click();
  await expect(page.getByTestId('join-problem')).toContainText('this program itself');
  await page.getByTestId('join-name').fill('Ada');
  await page.getByTestId('join-submit').click();
  await expect(page.getByTestId('view-join')).toBeHidden();
  await expect(page.getByText('shop').first()).toBeVisible();
  // The screen is the one that anybody begins with, not the one of the link.
  await expect(page.getByTestId('view-projects')).toBeVisible();
  expect(page.url()).not.toContain(code);
  const { members } = await host.call<{ members: { name: string }[] }>('member.list', {});
  expect(members.map((member) => member.name)).toContain('Ada');
  // It stays in when the page is loaded anew, and scripts cannot read what lets it in.
  expect(await page.evaluate(() => document.cookie)).toBe('');
  await page.reload();
  await expect(page.getByText('shop').first()).toBeVisible();
});

test('an invitation that was used says so', async ({ page }) => {
  const sharing = await host.call<{ urls: string[] }>('share.start', {});
  const { link, code } = await host.call<{ link: string; code: string }>('invite.create', { role: 'viewer' });
  const used = await page.request.post(`${sharing.urls[0] ?? ''}/api/v1/join`, { data: { code, name: 'Bea' } });
  expect(used.status()).toBe(200);
  await page.goto(link);
  await page.getByTestId('join-name').fill('Cem');
  await page.getByTestId('join-submit').click();
  await expect(page.getByTestId('join-problem')).toContainText('used already');
  await expect(page.getByTestId('join-submit')).toBeDisabled();
});
