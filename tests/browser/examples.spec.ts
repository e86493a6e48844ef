import { readFileSync } from 'node:fs';
import { expect, test } from '@playwright/test';
import { Host } from './host.ts';

const host = new Host({
  hello: 'signalbox: 1\nname: hello\nsteps:\n  a: { kind: command, run: "echo hello" }\n',
});
test.beforeAll(() => host.start());
test.afterAll(() => host.dispose());

test('the browser example of docs/protocol.md works as it stands there', async ({ page }) => {
  const text = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');
  const after = text.split('<!-- example: browser -->')[1] ?? '';
  const example = after.split('```')[1]?.replace(/^js\n/, '').trim() ?? '';
  expect(example).toContain('new WebSocket');
  const { code } = await host.call<{ code: string }>('login_code.create');
  // Any page of the host, without the UI: the session's cookie, got as the login screen gets it.
  await page.goto(`${host.address.url}/healthz`);
  await page.evaluate((code) => fetch('/api/v1/login', { method: 'POST', body: JSON.stringify({ code }) }), code);
  const projects = async () => (await host.call<{ projects: { id: string }[] }>('project.list')).projects;
  await expect.poll(async () => (await projects()).length).toBe(1);
  const project = (await projects())[0]?.id ?? '';
  const conclusion: unknown = await page.evaluate(`(${example})(${JSON.stringify(project)})`);
  expect(conclusion).toBe('success');
});
