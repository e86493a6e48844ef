import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import type { Page } from '@playwright/test';
import { Host } from './host.ts';

const PICTURES = fileURLToPath(new URL('../../target/screenshots/', import.meta.url));
const LARGE = { width: 1440, height: 900 };
/** Twelve agents, one after another, on a machine that does other things as well. */
const STORY_MS = 300_000;
const STEP_MS = 90_000;

const SHORT = `signalbox: 1
name: short
env: { REHEARSAL_SCRIPT: "\${{ project.path }}/.signalbox/short.yaml" }
goal_check: { statement: A file that nobody writes, accept: [{ file_exists: never.txt }] }
steps:
  build: { kind: agent, agent: { id: rehearsal }, prompt: "Build it" }
  land: { kind: git, needs: [build], action: merge, from: build, message: Build }
`;
const LONG = `signalbox: 1
name: long
env: { REHEARSAL_SCRIPT: "\${{ project.path }}/.signalbox/short.yaml" }
steps:
  build: { kind: agent, agent: { id: rehearsal }, prompt: "Write many files" }
`;
const FILES = 400;
const SCRIPT = `scenes:
  - when: Write many files
    do:
      - say: "These are the very first words."
${Array.from({ length: FILES }, (_, n) => `      - write: { path: many/${String(n)}.txt, text: "${String(n)}\\n" }`).join('\n')}
      - say: "These are the last."
  - when: Build it
    do:
      - say: "I write a file."
      - write: { path: made.txt, text: "made\\n" }
      - usage: { input: 1200, output: 80, usd: 0.01, context_used: 1200, context_size: 200000 }
`;

let host: Host;

test.beforeAll(async () => {
  mkdirSync(PICTURES, { recursive: true });
  host = new Host({ short: SHORT, long: LONG });
  host.template('generate-app');
  writeFileSync(join(host.project, '.signalbox', 'short.yaml'), SCRIPT);
  host.commit();
  await host.start();
});

test.afterAll(async () => {
  await host.dispose();
});

async function ready(page: Page): Promise<void> {
  await page.waitForFunction(() => document.documentElement.dataset['ready'] === 'true');
}

async function enter(page: Page, path: string): Promise<void> {
  await page.goto(await host.loginLink(path));
  await ready(page);
}

async function picture(page: Page, name: string, both = false): Promise<void> {
  await page.screenshot({ path: join(PICTURES, `agents-${name}.png`) });
  if (!both) return;
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.screenshot({ path: join(PICTURES, `agents-${name}-dark.png`) });
  await page.emulateMedia({ colorScheme: 'light' });
}

test('twelve stages by an agent: its question and its result are answered, a check corrects it, and all of it lands', async ({
  page,
}) => {
  test.setTimeout(STORY_MS);
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  await page.setViewportSize(LARGE);
  await enter(page, '/projects/shop/workflows');
  await page.getByTestId('run-workflow-generate-app').click();
  await page.getByTestId('field-idea').fill('A list of things to do');
  await picture(page, 'start');
  await page.getByTestId('run-submit').click();
  await expect(page.getByTestId('node-requirements')).toBeVisible();

  // The agent asks before it runs a command.
  const question = page.getByRole('article', { name: 'List the files of the project' });
  await expect(question).toBeVisible({ timeout: STEP_MS });
  await expect(page.getByTestId('badge-inbox')).toHaveText('1');
  await expect(page.getByTestId('node-requirements').getByTestId('agent-tag')).toContainText('Rehearsal');
  await picture(page, 'permission', true);
  await question.getByRole('button').first().click();
  await expect(question).toBeHidden();

  // A person says whether its result will do.
  await expect(page.getByTestId('node-approve_requirements')).toHaveAttribute('data-state', 'waiting_input', {
    timeout: STEP_MS,
  });
  await picture(page, 'approval');
  await page.getByTestId('node-requirements').click();
  await expect(page.getByTestId('transcript')).toContainText('Four requirements, each checkable.');
  await page.getByTestId('node-approve_requirements').click();
  await page.getByTestId('approve').click();

  // What it says and what it changes, while others are at work.
  await expect(page.getByTestId('node-architecture')).toHaveAttribute('data-state', 'success', { timeout: STEP_MS });
  // The diagram follows whoever works; the list has every step in reach.
  await page.getByTestId('run-tab-steps').click();
  await page.getByTestId('step-architecture').click();
  await expect(page.getByTestId('transcript')).toContainText('Three parts: a store');
  await picture(page, 'middle', true);
  await page.getByTestId('agent-tab-changes').click();
  await expect(page.getByTestId('changes')).toContainText('docs/architecture.md');
  await expect(page.getByTestId('changes')).toContainText('keeps entries; knows nothing of people');
  await picture(page, 'changes');
  await page.getByTestId('agent-tab-file').click();
  await expect(page.getByTestId('files').getByRole('button', { name: 'Follow the agent' })).toHaveAttribute('aria-pressed', 'true');
  await expect(page.getByTestId('file-text')).toContainText('keeps entries; knows nothing of people');
  await expect(page.locator('.code-added').first()).toBeVisible();
  await picture(page, 'file', true);
  await page.getByTestId('agent-tab-transcript').click();

  // The tests fail at first; the agent is told, and does it better.
  await expect(page.getByTestId('step-tests')).toHaveAttribute('data-state', 'success', { timeout: STEP_MS });
  await page.getByTestId('step-tests').click();
  const transcript = page.getByTestId('transcript');
  await expect(transcript).toContainText('requirement 4 has no test');
  const correction = transcript.locator('.entry-correction').first();
  await correction.scrollIntoViewIfNeeded();
  await expect(correction).toBeVisible();
  await picture(page, 'correction', true);

  await expect(page.getByTestId('run-header')).toHaveAttribute('data-state', 'success', { timeout: STEP_MS });
  await expect(page.getByTestId('run-goal')).toHaveText(/reached/);
  await expect(page.getByTestId('run-usage')).toContainText('$');
  await page.getByTestId('run-tab-outcome').click();
  await expect(page.getByTestId('goal')).toHaveAttribute('data-passed', 'true');
  await expect(page.getByTestId('goal')).toContainText('A list of things to do');
  await expect(page.getByTestId('commits')).toContainText('Generate: A list of things to do');
  await picture(page, 'end', true);

  // Who comes later sees the same, from the snapshot and the log.
  await page.reload();
  await ready(page);
  await expect(page.getByTestId('goal')).toHaveAttribute('data-passed', 'true');
  await expect(page.getByTestId('commits')).toContainText('Generate: A list of things to do');
  await page.getByTestId('run-tab-steps').click();
  await page.getByTestId('step-tests').click();
  await expect(transcript.locator('.entry-correction')).toHaveCount(1);
  await expect(transcript).toContainText('The check is right: requirement 4 has no test.');
  expect(problems).toEqual([]);
});

test('a goal that is not reached is a risk, which is acknowledged and resolved; its worktree tells what it holds', async ({
  page,
}) => {
  test.setTimeout(STORY_MS);
  await page.setViewportSize(LARGE);
  await enter(page, '/projects/shop/workflows');
  await page.getByTestId('run-workflow-short').click();
  await expect(page.getByTestId('run-header')).toHaveAttribute('data-state', 'failed', { timeout: STEP_MS });
  await page.getByTestId('run-risks').click();
  await expect(page.getByTestId('goal')).toHaveAttribute('data-passed', 'false');
  await picture(page, 'failure', true);

  await page.getByTestId('nav-projects').click();
  await expect(page.getByTestId('project-risks')).toBeVisible();
  await page.getByTestId('nav-inbox').click();
  const risks = page.getByTestId('risks').getByRole('article');
  await expect(risks).toHaveCount(1);
  await expect(risks).toContainText('never.txt');
  await picture(page, 'risk', true);
  await risks.getByTestId('acknowledge').click();
  await expect(risks.getByTestId('acknowledge')).toBeHidden();
  await expect(page.getByTestId('badge-inbox')).toBeHidden();
  await risks.getByTestId('resolve').click();
  await expect(page.getByTestId('inbox-empty')).toBeVisible();

  await page.goto(`${host.address.url}/projects/shop/settings`);
  await ready(page);
  const tree = page.getByTestId('worktrees').getByRole('listitem').filter({ hasText: 'short #' });
  await expect(tree).toContainText('1 ');
  await picture(page, 'worktrees');
  await tree.getByRole('button', { name: /^Remove/ }).click();
  await expect(page.getByTestId('remove-worktree')).toContainText('will be lost');
  await picture(page, 'worktree-remove');
  await page.getByTestId('remove-worktree-confirm').click();
  await expect(tree).toHaveCount(0);
});

test('a long story is read back to its first words, and an older attempt has its changes', async ({ page }) => {
  test.setTimeout(STORY_MS);
  const { run } = await host.call<{ run: string }>('run.start', { project: 'shop', workflow: 'long' });
  const ended = (attempts: number) =>
    expect
      .poll(
        async () => {
          const { steps } = await host.call<{ steps: { status: string; attempts?: unknown[] }[] }>('run.get', { run });
          return steps.map((step) => [step.status, step.attempts?.length]);
        },
        { timeout: STEP_MS },
      )
      .toEqual([['done', attempts]]);
  await ended(1);
  await page.setViewportSize(LARGE);
  await enter(page, `/projects/shop/runs/${run}?step=build`);
  const transcript = page.getByTestId('transcript');
  await expect(transcript).toContainText('These are the last.');
  // What is above comes page by page; a person at the end sees nothing of it.
  await expect(transcript).toHaveAttribute('aria-busy', 'false');
  await expect(async () => {
    await transcript.evaluate((element) => element.scrollTo(0, 0));
    await expect(transcript).toContainText('These are the very first words.', { timeout: 1_000 });
  }).toPass();

  await host.call('run.retry', { run, scope: 'step', step: 'build' });
  await ended(2);
  await page.goto(`${host.address.url}/projects/shop/runs/${run}?step=build&attempt=1`);
  await ready(page);
  await page.getByTestId('agent-tab-changes').click();
  await expect(page.getByTestId('changes')).toContainText('many/0.txt');
});

test('agents are listed, and one that is there answers', async ({ page }) => {
  await page.setViewportSize(LARGE);
  await enter(page, '/agents');
  await expect(page.getByTestId('agent-rehearsal')).toContainText('Installed');
  await page.getByTestId('test-agent-rehearsal').click();
  await expect(page.getByTestId('agent-tested')).toContainText('It answers');
  await picture(page, 'agents', true);
});
