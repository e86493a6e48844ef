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
`;

let host: Host;

test.beforeAll(async () => {
  mkdirSync(PICTURES, { recursive: true });
  host = new Host({ gate: GATE });
  await host.start();
});
test.afterAll(async () => host.dispose());

async function editor(browser: Browser, token?: string): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 860 } })).newPage();
  await page.goto(await host.loginLink('/projects/shop/workflows/gate', token));
  await expect(page.locator('.cm-content').first()).toContainText('echo built');
  return page;
}

async function write(page: Page, text: string): Promise<void> {
  await page.locator('.cm-content').first().click();
  await page.keyboard.press('Control+End');
  await page.keyboard.type(text);
}

test('who edits the same workflow sees unsaved changes of others, and newer versions as they are saved', async ({
  browser,
}) => {
  const { token } = await host.call<{ token: string }>('token.create', { name: 'grace', role: 'operator' });
  const ada = await editor(browser);
  const grace = await editor(browser, token);
  await expect(ada.getByTestId('also-open')).toContainText('grace has it open too');

  // Nothing of Ada's is at stake: she sees the newest at once.
  await write(grace, '# by grace\n');
  await expect(ada.getByTestId('also-unsaved')).toContainText('grace has changes that are not saved');
  await grace.keyboard.press('Control+s');
  await expect(ada.getByTestId('newer-loaded')).toContainText('grace saved a newer version');
  await expect(ada.locator('.cm-content').first()).toContainText('# by grace');
  await expect(ada.getByTestId('also-unsaved')).toBeHidden();

  // Now she has changes of her own: she is told, and compares before she saves.
  await write(ada, '# by ada\n');
  await expect(grace.getByTestId('also-unsaved')).toContainText('has changes that are not saved');
  await write(grace, '# again by grace\n');
  await grace.keyboard.press('Control+s');
  await expect(ada.getByTestId('conflict')).toContainText('grace saved a newer version');
  await expect(ada.getByTestId('conflict')).toContainText('Your text is still here');
  await ada.getByTestId('compare-toggle').click();
  await expect(ada.getByTestId('compare')).toContainText('# again by grace');
  await ada.screenshot({ path: join(PICTURES, 'editing-together.png') });
  await ada.getByTestId('keep-mine').click();
  await expect(ada.getByTestId('conflict')).toBeHidden();
  // Grace had nothing unsaved: what Ada kept is what she sees.
  await expect(grace.getByTestId('newer-loaded')).toBeVisible();
  await expect(grace.locator('.cm-content').first()).toContainText('# by ada');
  await expect(grace.locator('.cm-content').first()).not.toContainText('# again by grace');

  // Another way: what the other one saved is taken.
  await write(ada, '# a second time by ada\n');
  await write(grace, '# the last word\n');
  await grace.keyboard.press('Control+s');
  await ada.getByTestId('take-theirs').click();
  await expect(ada.locator('.cm-content').first()).toContainText('# the last word');
  await expect(ada.locator('.cm-content').first()).not.toContainText('# a second time by ada');
  await expect(ada.getByTestId('conflict')).toBeHidden();
});
