import { useState } from 'react';
import { pickFolder } from '../../platform/environment';
import { call, useShownHost } from '../../store/client';
import { navigate, to } from '../../store/route';
import { Dialog } from '../../shared/Dialog';
import { Button } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';

export function OpenProject({ onClose }: { onClose: () => void }) {
  const host = useShownHost();
  const [path, setPath] = useState('');
  const [trust, setTrust] = useState(false);
  const open = useAction(async () => {
    const { project } = await call('project.open', { path: path.trim(), trust });
    onClose();
    navigate(to.project(project.id, 'workflows'));
  });
  const pick = useAction(async () => {
    const folder = await pickFolder?.();
    if (folder) setPath(folder);
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title="Open a folder"
      about="A project is a folder on the host, usually a git repository. Its workflows are the files in .signalbox/workflows."
      testid="open-project"
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="primary"
            type="submit"
            form="open-form"
            disabled={open.pending || path.trim() === ''}
            data-testid="open-submit"
          >
            Open
          </Button>
        </>
      }
    >
      <form
        id="open-form"
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (path.trim() !== '') void open.run();
        }}
      >
        <div className="field">
          <label className="label" htmlFor="open-path">
            Folder on the host
          </label>
          <div className="row">
            <input
              id="open-path"
              className="input mono"
              value={path}
              placeholder="/home/you/project"
              autoComplete="off"
              spellCheck={false}
              data-testid="open-path"
              onChange={(event) => setPath(event.target.value)}
            />
            {/* The system's dialog shows this computer's folders: they mean nothing to a host elsewhere. */}
            {pickFolder && host === undefined && (
              <Button icon="folder" onClick={() => void pick.run()}>
                Choose…
              </Button>
            )}
          </div>
          <span className="about">An absolute path.</span>
        </div>
        <label className="check">
          <input type="checkbox" checked={trust} onChange={(event) => setTrust(event.target.checked)} />
          <span>
            Trust it: its triggers, and programs that its own settings name, may act. You can run its workflows by hand
            either way.
          </span>
        </label>
        <Problem error={open.error ?? pick.error} />
      </form>
    </Dialog>
  );
}
