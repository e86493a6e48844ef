import { lazy, Suspense, useEffect, useState } from 'react';
import { SignalGraph } from '../features/graph/SignalGraph';
import { AlsoOpen } from '../features/team/People';
import { tellUnsaved, workflowFile } from '../store/team';
import { useSavedWorkflow } from '../store/read';
import { RunDialog, startRun } from '../features/workflows/RunDialog';
import type { WorkflowReply } from '../platform/protocol';
import { call, useLink, useStale } from '../store/client';
import { to } from '../store/route';
import { Button, Link, Loading } from '../shared/parts';
import { errorOf, Problem } from '../shared/Problem';
import { useAction } from '../shared/useAction';
import { NARROW, useMedia } from '../shared/useMedia';
import { useQuery } from '../shared/useQuery';
import '../features/editor/editor.css';
import './workflow.css';

const CodeEditor = lazy(() => import('../features/editor/CodeEditor'));
const ConflictView = lazy(() => import('../features/editor/ConflictView'));
const VALIDATE_MS = 350;

export function WorkflowView({ project, name }: { project: string; name: string }) {
  const { data, error } = useQuery('workflow.get', { project, workflow: name });
  if (data) return <Editing key={`${project}/${name}`} project={project} file={data} />;
  return (
    <div className="page-body">
      {error !== undefined ? (
        <>
          <Problem error={error} />
          <Link className="text" to={to.project(project, 'workflows')}>
            All workflows of this project
          </Link>
        </>
      ) : (
        <Loading lines={6} label="Loading the workflow" />
      )}
    </div>
  );
}

function lineOfHash(): number | undefined {
  const found = /^#L(\d{1,6})$/.exec(location.hash);
  return found ? Number(found[1]) : undefined;
}

interface Conflict {
  /** Who saved it, if that was seen as it happened. */
  by?: string;
  /** What is on disk now; absent when the file was deleted. */
  text: string | undefined;
  /** What a save must name to replace just that. */
  hash: string | undefined;
}

/** A refused save says what it found: that is what is shown, and the only thing that may be replaced. */
function conflictOf(error: unknown): Conflict | undefined {
  const { code, details } = errorOf(error);
  if (code !== 'conflict') return undefined;
  const found = typeof details === 'object' && details !== null && !Array.isArray(details) ? details : {};
  const { text, hash } = found as { text?: unknown; hash?: unknown };
  return typeof text === 'string' && typeof hash === 'string' ? { text, hash } : { text: undefined, hash: undefined };
}

function Editing({ project, file }: { project: string; file: WorkflowReply }) {
  const link = useLink();
  const stale = useStale();
  const narrow = useMedia(NARROW);
  const [base, setBase] = useState(file);
  const [text, setText] = useState(file.text);
  const [checked, setChecked] = useState(file);
  const [line, setLine] = useState(lineOfHash);
  const [side, setSide] = useState<'text' | 'graph'>('text');
  const [running, setRunning] = useState(false);
  const [comparing, setComparing] = useState(false);
  const [copied, setCopied] = useState<'yes' | 'no'>();
  const [newer, setNewer] = useState<Conflict>();
  const [loaded, setLoaded] = useState<string>();
  const name = base.workflow.name;
  const dirty = text !== base.text;
  const mayEdit = link.role !== 'viewer';

  useEffect(() => {
    if (text === checked.text) return;
    let current = true;
    const timer = setTimeout(() => {
      call('workflow.validate', { project, text }).then(
        (reply) => {
          if (current) setChecked({ ...reply, text });
        },
        () => undefined,
      );
    }, VALIDATE_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [project, text, checked.text]);

  useEffect(() => {
    if (!dirty) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener('beforeunload', warn);
    return () => window.removeEventListener('beforeunload', warn);
  }, [dirty]);

  const save = useAction(async (hash: string | undefined) => {
    setCopied(undefined);
    setLoaded(undefined);
    const saved = await call('workflow.save', {
      project,
      workflow: name,
      text,
      ...(hash === undefined ? {} : { base_hash: hash }),
    });
    setBase(saved);
    setChecked(saved);
    setText((now) => (now === text ? saved.text : now));
    setComparing(false);
  });
  const saveNow = async (hash: string | undefined) => {
    setComparing(true);
    await save.run(hash);
  };
  const theirs = useAction(async () => {
    const newest = await call('workflow.get', { project, workflow: name });
    setBase(newest);
    setChecked(newest);
    // The editor is still there, and takes this as one change: undo brings mine back.
    setText(newest.text);
    setComparing(false);
    setNewer(undefined);
    save.clear();
  });
  const copy = () => {
    // Without a secure address there is no clipboard at all, and then this throws.
    Promise.resolve()
      .then(() => navigator.clipboard.writeText(text))
      .then(
        () => setCopied('yes'),
        () => setCopied('no'),
      );
  };
  const start = useAction(() => startRun(project, name, []), { toast: true });
  // Somebody else saves while this is open: what is untouched shows it at once, and what is not says so.
  const saved = useSavedWorkflow(project, name);
  const newest = saved !== undefined && saved.hash !== base.hash && !save.pending ? saved : undefined;
  useEffect(() => {
    if (newest === undefined) return;
    let current = true;
    call('workflow.get', { project, workflow: name }).then(
      (found) => {
        if (!current || found.hash === base.hash) return;
        if (dirty) {
          setNewer({ text: found.text, hash: found.hash, by: newest.by });
          return;
        }
        setBase(found);
        setChecked(found);
        setText(found.text);
        setLoaded(newest.by);
      },
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, [newest, project, name, base.hash, dirty]);
  useEffect(() => {
    tellUnsaved(dirty);
    return () => tellUnsaved(false);
  }, [dirty]);
  const refused = save.error === undefined ? undefined : conflictOf(save.error);
  const seen = newer !== undefined && dirty && newer.hash !== base.hash ? newer : undefined;
  const conflict = refused ?? seen;
  const compare = conflict !== undefined && comparing;
  const diagnostics = checked.workflow.diagnostics;
  const canRun = base.workflow.valid && !dirty && !stale;
  const steps = checked.graph.map((step) => ({
    key: step.id,
    id: step.id,
    title: step.title,
    kind: step.kind,
    needs: step.needs,
    matrix: step.matrix,
  }));
  const lineOf = new Map(checked.graph.map((step) => [step.id, step.line]));

  return (
    <div className={stale ? 'workflow-view stale-view' : 'workflow-view'} data-testid="view-workflow">
      <header className="run-head">
        <div className="run-head-line">
          <Link to={to.project(project, 'workflows')} className="button" data-kind="quiet" data-size="small">
            ← {project}
          </Link>
          <h1 className="cut">{name}</h1>
          {dirty && (
            <span className="badge" data-tone="wait">
              not saved
            </span>
          )}
          {diagnostics.length > 0 && (
            <span className="badge" data-tone={checked.workflow.valid ? 'wait' : 'bad'}>
              {diagnostics.length} {diagnostics.length === 1 ? 'problem' : 'problems'}
            </span>
          )}
          <span className="grow" />
          <Button
            disabled={!dirty || stale || save.pending || !mayEdit}
            data-testid="save-workflow"
            title="Ctrl+S"
            onClick={() => void saveNow(base.hash)}
          >
            {save.pending ? 'Saving…' : 'Save'}
          </Button>
          <Button
            kind="primary"
            icon="play"
            disabled={!canRun || start.pending}
            title={dirty ? 'Save first: what runs is the file' : undefined}
            onClick={() => (base.workflow.inputs.length > 0 ? setRunning(true) : void start.run())}
          >
            Run
          </Button>
        </div>
        <span className="muted mono cut">
          {base.workflow.file} <AlsoOpen project={project} file={workflowFile(name)} />
        </span>
        {conflict ? (
          <div className="problem conflict" data-kind="warning" role="alert" data-testid="conflict">
            <div className="grow">
              <p>
                {conflict.text === undefined
                  ? 'Somebody deleted this file since you opened it.'
                  : `${conflict.by ?? 'Somebody'} saved a newer version since you opened it.`}{' '}
                {refused === undefined
                  ? 'Your text is still here.'
                  : 'Nothing was written, and your text is still here.'}
              </p>
              <p>
                {conflict.text === undefined
                  ? 'Keeping yours writes the file again.'
                  : 'Keeping yours replaces what is on disk as shown here; taking theirs can be undone in the editor.'}
              </p>
            </div>
            <span className="row wrap">
              <Button
                size="small"
                kind="primary"
                disabled={stale || save.pending || theirs.pending}
                data-testid="keep-mine"
                onClick={() => void saveNow(conflict.hash)}
              >
                Keep mine
              </Button>
              {conflict.text !== undefined && (
                <Button
                  size="small"
                  disabled={stale || save.pending || theirs.pending}
                  data-testid="take-theirs"
                  onClick={() => void theirs.run()}
                >
                  Take theirs
                </Button>
              )}
              <Button size="small" data-testid="copy-mine" onClick={copy}>
                Copy mine
              </Button>
              {conflict.text !== undefined && (
                <Button size="small" kind="quiet" data-testid="compare-toggle" onClick={() => setComparing(!comparing)}>
                  {comparing ? 'Back to the editor' : 'Compare'}
                </Button>
              )}
              <span role="status" className="soft">
                {copied === 'yes' && 'Copied.'}
                {copied === 'no' && 'This browser did not allow it: select the text in the editor and copy it.'}
              </span>
            </span>
          </div>
        ) : (
          <Problem error={save.error} />
        )}
        {loaded !== undefined && !dirty && (
          <p className="soft" role="status" data-testid="newer-loaded">
            {loaded} saved a newer version; you see it now.
          </p>
        )}
        <Problem error={theirs.error} />
        {narrow && !compare && (
          <div className="tabs" role="tablist" aria-label="Ways to see the workflow">
            {(['text', 'graph'] as const).map((key) => (
              <button
                key={key}
                type="button"
                role="tab"
                className="tab"
                aria-selected={side === key}
                onClick={() => setSide(key)}
              >
                {key === 'text' ? 'Text' : 'Diagram'}
              </button>
            ))}
          </div>
        )}
      </header>
      {compare && conflict.text !== undefined && (
        <Suspense
          fallback={
            <div className="page-body">
              <Loading lines={8} label="Comparing" />
            </div>
          }
        >
          <ConflictView mine={text} theirs={conflict.text} />
        </Suspense>
      )}
      {/* Hidden, not gone: its undo history is the way back. */}
      <div className="workflow-body" hidden={compare && conflict.text !== undefined}>
        {(!narrow || side === 'text') && (
          <div className="editor-side">
            <Suspense
              fallback={
                <div className="page-body">
                  <Loading lines={8} label="Loading the editor" />
                </div>
              }
            >
              <CodeEditor
                text={text}
                readOnly={!mayEdit}
                diagnostics={diagnostics}
                line={line}
                onChange={setText}
                onSave={() => {
                  if (dirty && !stale && mayEdit) void saveNow(base.hash);
                }}
              />
            </Suspense>
            {diagnostics.length > 0 && (
              <ul className="editor-problems diagnostics" aria-label="Problems" data-testid="diagnostics">
                {diagnostics.map((diagnostic, index) => (
                  <li key={index} data-tone={diagnostic.severity === 'error' ? 'bad' : 'wait'}>
                    <button type="button" onClick={() => setLine(diagnostic.line)}>
                      <b className="tone">{diagnostic.line > 0 ? `Line ${String(diagnostic.line)}` : 'File'}</b>{' '}
                      {diagnostic.message}
                      {diagnostic.hint && <span className="soft"> {diagnostic.hint}</span>}
                    </button>
                  </li>
                ))}
              </ul>
            )}
          </div>
        )}
        {(!narrow || side === 'graph') && (
          <div className="workflow-graph">
            {steps.length > 0 ? (
              <SignalGraph
                steps={steps}
                onSelect={(id) => {
                  setSide('text');
                  setLine(lineOf.get(id));
                }}
              />
            ) : (
              <p className="muted page-body">The diagram appears once the text can be read.</p>
            )}
          </div>
        )}
      </div>
      {running && <RunDialog project={project} workflow={base.workflow} onClose={() => setRunning(false)} />}
    </div>
  );
}
