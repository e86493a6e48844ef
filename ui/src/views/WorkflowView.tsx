import { lazy, Suspense, useEffect, useState } from 'react';
import { SignalGraph } from '../features/graph/SignalGraph';
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

  const save = useAction(async (hash: string) => {
    const saved = await call('workflow.save', { project, workflow: name, text, base_hash: hash });
    setBase(saved);
    setChecked(saved);
    setText((now) => (now === text ? saved.text : now));
  });
  const takeTheirs = useAction(async () => {
    const theirs = await call('workflow.get', { project, workflow: name });
    await navigator.clipboard.writeText(text).catch(() => undefined);
    setBase(theirs);
    setChecked(theirs);
    setText(theirs.text);
    save.clear();
  });
  const overwrite = useAction(async () => {
    const theirs = await call('workflow.get', { project, workflow: name });
    await save.run(theirs.hash);
  });
  const start = useAction(() => startRun(project, name, []), { toast: true });
  const conflict = save.error !== undefined && errorOf(save.error).code === 'conflict';
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
            onClick={() => void save.run(base.hash)}
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
        <span className="muted mono cut">{base.workflow.file}</span>
        {conflict ? (
          <div className="problem" data-kind="warning" role="alert" data-testid="conflict">
            <div className="grow">
              <p>
                Somebody changed this file since you opened it. Nothing was overwritten, and your text is still here.
              </p>
              <p>Loading the newer file puts your text on the clipboard.</p>
            </div>
            <Button size="small" onClick={() => void takeTheirs.run()}>
              Load the newer file
            </Button>
            <Button size="small" kind="danger" onClick={() => void overwrite.run()}>
              Replace it with mine
            </Button>
          </div>
        ) : (
          <Problem error={save.error} />
        )}
        {narrow && (
          <div className="tabs" role="tablist">
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
      <div className="workflow-body">
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
                  if (dirty && !stale) void save.run(base.hash);
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
