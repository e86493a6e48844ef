import { useEffect, useState } from 'react';
import type { FileDiff, ToolDiff } from '../../platform/protocol';
import { blobText } from '../../store/blobs';
import type { Past } from '../../store/history';
import { remember } from '../../store/preferences';
import { transcriptOf, useFilesVersion } from '../../store/read';
import { count } from '../../shared/format';
import { Icon } from '../../shared/Icon';
import { Button, Loading } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { DiffRows, useSplitDiff } from './DiffRows';
import { FILE } from './looks';
import { extent, hunksBetween, parsePatch } from './patch';
import './agents.css';

/** Files listed at once. */
const FILES = 100;
/** A file with more changed lines is closed at first; so is every file where there are many. */
const LARGE = 300;
const MANY = 20;

/** What differs from the base commit, as git sees it. */
export function DiffView({
  run,
  step,
  attempt,
  working,
  known,
}: {
  run: string;
  step: string;
  attempt: number;
  working: boolean;
  known: Past;
}) {
  // The transcript changes in place, so nothing here may be cached.
  'use no memo';
  useFilesVersion(run, step, attempt);
  const files = transcriptOf(run, step, attempt).changes();
  const split = useSplitDiff();
  const [limit, setLimit] = useState(FILES);
  // What a person opened or closed stays so while the files change.
  const [chosen, setChosen] = useState<ReadonlyMap<string, boolean>>(new Map());
  if (typeof known.state === 'object')
    return (
      <div className="agent-problem">
        <Problem error={known.state.failed} kind="warning" />
        <Button size="small" onClick={known.again}>
          Load the changes
        </Button>
      </div>
    );
  if (files.length === 0 && known.state !== 'complete')
    return (
      <div className="agent-none">
        <Loading label="Loading the changes" />
      </div>
    );
  if (files.length === 0)
    return (
      <p className="muted agent-none">
        {working ? 'No file has changed yet.' : 'This attempt left every file as it was.'}
      </p>
    );
  const isOpen = (file: FileDiff) =>
    chosen.get(file.path) ?? (files.length <= MANY && file.added + file.removed <= LARGE && !file.binary);
  const added = files.reduce((sum, file) => sum + file.added, 0);
  const removed = files.reduce((sum, file) => sum + file.removed, 0);
  const allOpen = files.slice(0, limit).every(isOpen);
  return (
    <div className="diff" data-testid="changes">
      <div className="diff-bar">
        <span className="grow">
          {count(files.length, 'file')} <Counts added={added} removed={removed} />
        </span>
        <Button
          kind="quiet"
          size="small"
          onClick={() => setChosen(new Map(files.map((file) => [file.path, !allOpen])))}
        >
          {allOpen ? 'Close all' : 'Open all'}
        </Button>
        <Button
          kind="quiet"
          size="small"
          icon="side"
          aria-pressed={split}
          aria-label="Old and new side by side"
          title="Old and new side by side"
          onClick={() => remember('diff.view', split ? 'unified' : 'split')}
        />
      </div>
      <div className="diff-files">
        {files.slice(0, limit).map((file) => (
          <File
            key={file.path}
            file={file}
            open={isOpen(file)}
            onToggle={() => setChosen(new Map(chosen).set(file.path, !isOpen(file)))}
          />
        ))}
        {files.length > limit && (
          <p className="diff-more">
            <Button size="small" onClick={() => setLimit(limit + FILES)}>
              Show more ({count(files.length - limit, 'file')} left)
            </Button>
          </p>
        )}
      </div>
    </div>
  );
}

export function Counts({ added, removed }: { added: number; removed: number }) {
  return (
    <span className="diff-counts num">
      <span className="sr">
        {count(added, 'line')} added, {count(removed, 'line')} removed
      </span>
      <span aria-hidden="true" data-tone="good" className="tone">
        +{added.toLocaleString()}
      </span>{' '}
      <span aria-hidden="true" data-tone="bad" className="tone">
        −{removed.toLocaleString()}
      </span>
    </span>
  );
}

function File({ file, open, onToggle }: { file: FileDiff; open: boolean; onToggle: () => void }) {
  const look = FILE[file.status];
  return (
    <section className="diff-file" aria-label={file.path}>
      <h3>
        <button type="button" aria-expanded={open} data-testid={`diff-${file.path}`} onClick={onToggle}>
          <Icon name={open ? 'down' : 'right'} size={14} />
          <span className="mono cut grow" title={file.path}>
            {file.old_path !== undefined && <span className="muted">{file.old_path} → </span>}
            {file.path}
          </span>
          {file.binary && <span className="badge">no text</span>}
          <span className="badge" data-tone={look.tone}>
            {look.word}
          </span>
          <Counts added={file.added} removed={file.removed} />
        </button>
      </h3>
      {open && <Content file={file} />}
    </section>
  );
}

function Content({ file }: { file: FileDiff }) {
  const [whole, setWhole] = useState<{ hash: string; text: string }>();
  const [error, setError] = useState<unknown>();
  const { blob } = file;
  const hash = blob?.hash;
  const [wanted, setWanted] = useState<string>();
  useEffect(() => {
    if (!blob || wanted !== blob.hash) return;
    let current = true;
    blobText(blob).then(
      (text) => {
        if (current) setWhole({ hash: blob.hash, text });
      },
      (failure: unknown) => {
        if (current) setError(failure);
      },
    );
    return () => {
      current = false;
    };
  }, [blob, wanted]);
  const loaded = whole !== undefined && whole.hash === hash;
  const patch = parsePatch(loaded ? whole.text : file.patch);
  return (
    <div className="diff-content">
      {patch.notes.length > 0 && <p className="muted">{patch.notes.join(', ')}</p>}
      {file.binary && <p className="muted">This file is no text; its change is not shown.</p>}
      {patch.hunks.length > 0 && <DiffRows hunks={patch.hunks} label={`Change of ${file.path}`} />}
      {blob && !loaded && (
        <div className="diff-more">
          {error === undefined ? (
            <Button
              size="small"
              data-testid="diff-load"
              disabled={wanted === hash}
              onClick={() => {
                setError(undefined);
                setWanted(hash);
              }}
            >
              {wanted === hash ? 'Loading…' : 'Load the rest'}
            </Button>
          ) : (
            <Problem error={error} kind="warning" />
          )}
        </div>
      )}
      {patch.cut && !blob && <p className="muted">The rest of this change was left out.</p>}
    </div>
  );
}

/** A change as an agent tells it, before or instead of what git saw. */
export function ToldDiff({ diff }: { diff: ToolDiff }) {
  const hunks = hunksBetween(diff.old, diff.new);
  const { added, removed } = extent(hunks);
  return (
    <div className="diff-file">
      <p className="diff-told">
        <span className="mono cut grow" title={diff.path}>
          {diff.path}
        </span>
        {diff.old === undefined && (
          <span className="badge" data-tone="good">
            new
          </span>
        )}
        <Counts added={added} removed={removed} />
      </p>
      {hunks.length > 0 && <DiffRows hunks={hunks} label={`Change of ${diff.path}`} />}
      {diff.cut && <p className="muted diff-more">The agent’s text was too large; its end is not shown.</p>}
    </div>
  );
}
