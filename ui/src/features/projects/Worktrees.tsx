import { useState } from 'react';
import type { WorktreeInfo } from '../../platform/protocol';
import { call, useLink, useStale } from '../../store/client';
import { useRun } from '../../store/read';
import { to } from '../../store/route';
import { Dialog } from '../../shared/Dialog';
import { count } from '../../shared/format';
import { Button, Link, Loading } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import { useQuery } from '../../shared/useQuery';
import { useTick } from '../../shared/useTick';

const POLL_MS = 20_000;

/** Folders in which agents worked, each with a branch of its own, and what is nowhere else. */
export function Worktrees({ project }: { project: string }) {
  const [changed, setChanged] = useState(0);
  const tick = useTick(POLL_MS);
  const { data, error, loading } = useQuery('worktree.list', { project }, `${tick} ${String(changed)}`);
  const [asked, setAsked] = useState<WorktreeInfo>();
  return (
    <section className="panel" aria-label="Worktrees" data-testid="worktrees">
      <header>
        <h2 className="grow">Worktrees</h2>
        {data && data.worktrees.length > 0 && <span className="badge num">{data.worktrees.length}</span>}
      </header>
      {loading ? (
        <div className="body">
          <Loading lines={2} label="Loading worktrees" />
        </div>
      ) : error !== undefined && !data ? (
        <div className="body">
          <Problem error={error} kind="warning" />
        </div>
      ) : !data || data.worktrees.length === 0 ? (
        <p className="body soft">None. An agent’s step gets a folder and a branch of its own; they are listed here.</p>
      ) : (
        <ul>
          {data.worktrees.map((tree) => (
            <Row
              key={tree.branch}
              project={project}
              tree={tree}
              onRemove={() => setAsked(tree)}
              onMerged={() => setChanged((n) => n + 1)}
            />
          ))}
        </ul>
      )}
      {asked && (
        <Remove
          project={project}
          tree={asked}
          onClose={() => setAsked(undefined)}
          onRemoved={() => setChanged((n) => n + 1)}
        />
      )}
    </section>
  );
}

interface RowProps {
  project: string;
  tree: WorktreeInfo;
  onRemove: () => void;
  onMerged: () => void;
}

function Row({ project, tree, onRemove, onMerged }: RowProps) {
  const merge = useAction(async () => {
    await call('worktree.merge', { project, branch: tree.branch });
    onMerged();
  });
  const link = useLink();
  const stale = useStale();
  const run = useRun(tree.run ?? '');
  const held = holds(tree);
  return (
    <li className="secret" data-testid={`worktree-${tree.branch}`}>
      <div className="grow worktree-name">
        <p className="mono cut" title={tree.folder}>
          {tree.branch}
        </p>
        <p className="muted cut">
          {tree.run !== undefined && (
            <Link className="text" to={to.run(project, tree.run)}>
              {run ? `${run.workflow} #${String(run.number)}` : tree.run}
            </Link>
          )}
          {tree.missing && ' its folder is gone'}
        </p>
      </div>
      <span className="badge" data-tone={held === undefined ? 'idle' : 'wait'}>
        {held ?? 'nothing of its own'}
      </span>
      {held !== undefined && !tree.missing && (
        <Button
          size="small"
          disabled={stale || tree.active || merge.pending || link.role === 'viewer'}
          title={tree.active ? 'Its run is not done' : 'Merge it into the branch that is checked out'}
          aria-label={`Merge ${tree.branch}`}
          data-testid={`merge-${tree.branch}`}
          onClick={() => void merge.run()}
        >
          Merge
        </Button>
      )}
      <Button
        size="small"
        kind="quiet"
        icon="trash"
        disabled={stale || tree.active || link.role === 'viewer'}
        title={tree.active ? 'Its run is not done' : undefined}
        aria-label={`Remove ${tree.branch}`}
        onClick={onRemove}
      >
        Remove
      </Button>
      <Problem error={merge.error} />
    </li>
  );
}

function holds(tree: WorktreeInfo): string | undefined {
  const parts = [
    tree.changes > 0 && `${count(tree.changes, 'changed file')}`,
    tree.commits > 0 && `${count(tree.commits, 'commit')}`,
  ].filter((part) => typeof part === 'string');
  return parts.length > 0 ? parts.join(', ') : undefined;
}

function Remove({
  project,
  tree,
  onClose,
  onRemoved,
}: {
  project: string;
  tree: WorktreeInfo;
  onClose: () => void;
  onRemoved: () => void;
}) {
  const held = holds(tree);
  const remove = useAction(async () => {
    await call('worktree.remove', { project, branch: tree.branch, discard: held !== undefined });
    onRemoved();
    onClose();
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title="Remove this worktree?"
      about={<span className="mono">{tree.branch}</span>}
      testid="remove-worktree"
      footer={
        <>
          <Button onClick={onClose}>Keep it</Button>
          <Button
            kind="danger"
            disabled={remove.pending}
            data-testid="remove-worktree-confirm"
            onClick={() => void remove.run()}
          >
            {held === undefined ? 'Remove' : 'Remove, and lose it all'}
          </Button>
        </>
      }
    >
      <div className="stack">
        <p>
          {held === undefined
            ? 'Nothing is lost: all that was done in it is on another branch.'
            : `It holds what is nowhere else, and what will be lost: ${held}.`}
        </p>
        <p className="mono soft" style={{ overflowWrap: 'anywhere' }}>
          {tree.folder}
        </p>
        <Problem error={remove.error} />
      </div>
    </Dialog>
  );
}
