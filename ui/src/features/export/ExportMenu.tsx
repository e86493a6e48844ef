import type { Run } from '../../platform/protocol';
import { saveText } from '../../platform/environment';
import { Menu } from '../../shared/Menu';
import { Button } from '../../shared/parts';
import { useAction } from '../../shared/useAction';

/** A run as one file. */
export function ExportMenu({ run }: { run: Run }) {
  const save = useAction(
    async (kind: 'html' | 'jsonl') => {
      // Nobody waits for this who only looks at a run.
      const { asLines, asPage, eventsOf } = await import('./record');
      const events = await eventsOf(run.id);
      const text = kind === 'html' ? await asPage(events) : asLines(events);
      await saveText(`${run.workflow}-${String(run.number)}.${kind}`, text);
    },
    { toast: true },
  );
  return (
    <Menu
      trigger={
        <Button icon="download" disabled={save.pending} data-testid="export-run">
          {save.pending ? 'Exporting…' : 'Export'}
        </Button>
      }
      entries={[
        {
          label: 'As a page',
          about: 'Plays the run again anywhere, without a host',
          testid: 'export-html',
          onSelect: () => void save.run('html'),
        },
        {
          label: 'As JSON lines',
          about: 'Every event, for programs',
          testid: 'export-jsonl',
          onSelect: () => void save.run('jsonl'),
        },
      ]}
    />
  );
}
