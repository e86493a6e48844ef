import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from '@playwright/test';
import type { AxeResults } from 'axe-core';
import { Host } from './host';

const BIN = resolve(import.meta.dirname, process.env.SIGNALBOX_BIN ?? '../../target/debug/signalbox');

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SHIP = `signalbox: 1
name: ship
steps:
  build: { kind: command, run: "echo '</script><b>hostile</b>'; sleep 0.5; seq 1 6000" }
  test: { kind: command, needs: [build], run: "sleep 0.4; echo all green; exit 3" }
`;

test('a run is exported as one page, which plays it again without host or network', async ({ page, context }) => {
  const host = new Host({ ship: SHIP });
  try {
    await host.start();
    const { projects } = await host.call<{ projects: { id: string }[] }>('project.list');
    const { run } = await host.call<{ run: string }>('run.start', { project: projects[0]?.id, workflow: 'ship' });
    await expect
      .poll(async () => (await host.call<{ run: { status: string } }>('run.get', { run })).run.status)
      .toBe('done');
    const file = join(host.folder, 'ship.html');
    execFileSync(BIN, ['export', run, '--out', file, '--data-dir', host.data], { stdio: 'pipe' });
    // The page of the run gives the same file.
    await page.goto(await host.loginLink(`/projects/${String(projects[0]?.id)}/runs/${run}`));
    const download = page.waitForEvent('download');
    await page.getByTestId('export-run').click();
    await page.getByTestId('export-html').click();
    const saved = await (await download).path();
    expect((await download).suggestedFilename()).toBe('ship-1.html');
    const recorded = (path: string) =>
      JSON.parse(/id="recording"[^>]*>([^<]*)</.exec(readFileSync(path, 'utf8'))?.[1] ?? '') as Record<string, unknown>;
    expect(recorded(saved)).toEqual({ ...recorded(file), host_version: undefined });
    await host.kill('SIGTERM');

    await context.setOffline(true);
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    await page.goto(pathToFileURL(file).href);
    await expect(page.getByRole('heading', { name: 'ship #1' })).toBeVisible();
    await expect(page.locator('#outcome')).toContainText('failed');
    const steps = page.getByRole('navigation', { name: 'Steps' });
    // The step that failed is in front.
    await expect(steps.getByRole('button', { name: /test/ })).toHaveAttribute('aria-current', 'true');
    await expect(page.locator('#panel')).toContainText('all green');
    await expect(page.locator('#panel')).toContainText('exit code 3');
    await page.screenshot({ path: '../../target/screenshots/export.png', fullPage: true });
    await page.evaluate(AXE);
    const found = await page.evaluate(() =>
      (window as unknown as { axe: { run: () => Promise<AxeResults> } }).axe.run(),
    );
    expect(found.violations.map((each) => each.id)).toEqual([]);

    await steps.getByRole('button', { name: /build/ }).click();
    const log = page.locator('#panel pre').last();
    await expect(log).toContainText('</script><b>hostile</b>');
    await expect(log).toContainText('\n6000');
    await expect(page.locator('#panel b')).toHaveCount(0);

    // Back to a moment at which the first step was running, and from there to the end.
    const moment = page.getByRole('slider', { name: 'Moment of the run' });
    const middle = Number(await moment.getAttribute('max')) * 0.4;
    await moment.fill(String(Math.round(middle)));
    await expect(steps.getByRole('button', { name: /build/ })).toContainText('running');
    await expect(steps.getByRole('button', { name: /test/ })).toContainText('waits');
    await page.getByLabel('Speed').selectOption('4');
    await page.getByRole('button', { name: 'Play' }).click();
    await expect(page.getByRole('button', { name: 'Pause' })).toBeVisible();
    await expect(steps.getByRole('button', { name: /test/ })).toContainText('failed');
    await expect(page.getByRole('button', { name: 'Play' })).toBeVisible();

    await steps.getByRole('button', { name: 'All events' }).click();
    await page.getByRole('searchbox').fill('"completion"');
    await expect(page.locator('.raw')).toContainText('1 events');
    expect(problems).toEqual([]);
  } finally {
    await host.dispose();
  }
});
