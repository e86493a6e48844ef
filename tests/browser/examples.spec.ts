import { readFileSync } from 'node:fs';
import { expect, test } from '@playwright/test';
import { Host } from './host.ts';

const host = new Host({ hello: 'signalbox: 1\nname: hello\nsteps:\n  a: { kind: command, run: "echo hello" }\n' });
test.beforeAll(() => host.start());
test.afterAll(() => host.stop());

test('the browser example of docs/protocol.md works as it stands there', async ({ page }) => {
  const text = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');
  const example = text.split('<!-- example: browser -->')[1]?.split('```')[1]?.replace(/^js\n/, '') ?? '';
  expect(example).toContain('new WebSocket');
  const call = async (method: string) => {
    const response = await fetch(`${host.address.url}/api/v1/call/${method}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${host.address.token}` },
      body: '{}',
    });
    return (await response.json()) as { code: string; projects: { id: string }[] };
  };
  const { code } = await call('login_code.create');
  await page.goto(`${host.address.url}/healthz`);
  // The session's cookie, as the login screen gets it.
  await page.evaluate((code) => fetch('/api/v1/login', { method: 'POST', body: JSON.stringify({ code }) }), code);
  await expect.poll(async () => (await call('project.list')).projects.length).toBe(1);
  const project = (await call('project.list')).projects[0]?.id ?? '';
  const conclusion: unknown = await page.evaluate(`(${example.trim()})(${JSON.stringify(project)})`);
  expect(conclusion).toBe('success');
});
