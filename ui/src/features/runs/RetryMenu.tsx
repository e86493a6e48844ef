import type { RetryDefinition, RetryScope, Run } from '../../platform/protocol';
import { call } from '../../store/client';
import { Button } from '../../shared/parts';
import { Menu } from '../../shared/Menu';
import type { MenuEntry } from '../../shared/Menu';
import { useAction } from '../../shared/useAction';
import { hasFailed } from './actions';

/** Tries a finished run again; finished steps that are not named keep their results and logs. */
export function RetryMenu({ run, disabled }: { run: Run; disabled: boolean }) {
  const retry = useAction(
    (scope: RetryScope, definition: RetryDefinition) => call('run.retry', { run: run.id, scope, definition }),
    { toast: true },
  );
  const entry = (label: string, about: string, scope: RetryScope, definition: RetryDefinition): MenuEntry => ({
    label,
    about,
    onSelect: () => void retry.run(scope, definition),
  });
  const failed = hasFailed(run);
  const entries: (MenuEntry | 'line')[] = [
    ...(failed ? [entry('Retry what failed', 'Finished steps keep their results', 'failed', 'pinned')] : []),
    entry('Run all steps again', 'By the definition it was started with', 'all', 'pinned'),
    'line',
    ...(failed
      ? [entry('Retry what failed, latest file', 'By the workflow file as it is now', 'failed', 'latest')]
      : []),
    entry('Run all again, latest file', 'By the workflow file as it is now', 'all', 'latest'),
  ];
  return (
    <Menu
      trigger={
        <Button icon="retry" disabled={disabled || retry.pending} data-testid="retry-run">
          Retry
        </Button>
      }
      entries={entries}
    />
  );
}

/** Tries one step again, alone or with what follows. */
export function StepRetry({ run, step, disabled }: { run: Run; step: string; disabled: boolean }) {
  const retry = useAction(
    (scope: RetryScope, definition: RetryDefinition) => call('run.retry', { run: run.id, scope, step, definition }),
    { toast: true },
  );
  if (run.status !== 'done') return null;
  const entries: (MenuEntry | 'line')[] = [
    {
      label: 'Retry this step',
      about: 'The others keep their results',
      onSelect: () => void retry.run('step', 'pinned'),
    },
    {
      label: 'Retry from here',
      about: 'This step and what follows it',
      onSelect: () => void retry.run('from', 'pinned'),
    },
    'line',
    {
      label: 'Retry from here, latest file',
      about: 'By the workflow file as it is now',
      onSelect: () => void retry.run('from', 'latest'),
    },
  ];
  return (
    <Menu
      trigger={
        <Button size="small" icon="retry" disabled={disabled || retry.pending} data-testid="retry-step">
          Retry
        </Button>
      }
      entries={entries}
    />
  );
}
