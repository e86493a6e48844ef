// Screenshots of every screen of the demo build, light and dark, wide and narrow: `node scripts/look.mjs OUT [FILTER]`.
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

const out = process.argv[2] ?? 'look';
const filter = process.argv[3] ?? '';
mkdirSync(out, { recursive: true });

const run = (id, rest = '') => `/projects/checkout/runs/${id}${rest}`;
const screens = {
  projects: ['/'],
  project: ['/projects/checkout'],
  workflows: ['/projects/checkout/workflows'],
  queue: ['/projects/checkout/queue'],
  untrusted: ['/projects/website'],
  runLive: [run('r_demolive01')],
  runFailed: [run('r_demofailed')],
  timeline: [run('r_demofailed', '?tab=timeline')],
  steps: [run('r_demofailed', '?tab=steps&step=plan')],
  log: [run('r_demofailed', '?step=test&attempt=2#L600000')],
  big: ['/projects/website/runs/r_demobigrun'],
  matrix: ['/projects/website/runs/r_demomatrix'],
  inbox: ['/inbox'],
  activity: ['/activity'],
  system: ['/system'],
  settings: ['/settings'],
  workflow: ['/projects/checkout/workflows/ship-feature'],
  broken: ['/projects/checkout/workflows/release'],
  conflict: [
    '/projects/checkout/workflows/ship-feature',
    async (page) => {
      await page.getByTestId('editor').click();
      await page.keyboard.press('Control+Home');
      await page.keyboard.type('# mine\n');
      await page.getByTestId('save-workflow').click();
      await page.getByTestId('compare').waitFor();
    },
  ],
  waits: [run('r_demowaits1', '?step=approve_plan')],
  missing: ['/nowhere'],
  dialog: ['/projects/checkout/workflows', async (page) => page.getByTestId('run-workflow-ship-feature').click()],
  palette: ['/', async (page) => page.keyboard.press('Control+k')],
  help: ['/', async (page) => page.keyboard.press('?')],
  stale: ['/projects/checkout', async (page) => page.evaluate(() => window.signalboxDemo.drop())],
  search: [
    run('r_demofailed', '?step=test&attempt=2'),
    async (page) => {
      await page.getByTestId('log-search').fill('unit_600');
      await page.keyboard.press('Enter');
      await page.waitForTimeout(700);
    },
  ],
};

const { url, close } = await serve('dist-demo');
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const sizes = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
for (const scheme of ['light', 'dark']) {
  for (const [size, viewport] of Object.entries(sizes)) {
    const context = await browser.newContext({ viewport, colorScheme: scheme });
    for (const [name, [path, act]] of Object.entries(screens)) {
      const label = `${name}-${size}-${scheme}`;
      if (!label.includes(filter)) continue;
      const page = await context.newPage();
      page.on('pageerror', (error) => console.log(label, 'PAGE ERROR', error.message));
      page.on('console', (message) => {
        if (message.type() === 'error') console.log(label, message.text());
      });
      await page.goto(url + path);
      try {
        await page.waitForFunction(() => document.documentElement.dataset.ready === 'true', undefined, {
          timeout: 15000,
        });
        await page.waitForTimeout(700);
        await act?.(page);
        await page.waitForTimeout(400);
      } catch (error) {
        console.log(label, 'FAILED', error.message.split('\n')[0]);
      }
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (over > 0) console.log(label, 'overflows by', over);
      await page.screenshot({ path: `${out}/${label}.png` });
      await page.close();
    }
    await context.close();
  }
}
await browser.close();
close();
