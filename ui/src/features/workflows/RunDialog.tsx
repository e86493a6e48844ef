import { useState } from 'react';
import type { JsonValue, WorkflowSummary } from '../../platform/protocol';
import { call } from '../../store/client';
import { navigate, to } from '../../store/route';
import { Dialog } from '../../shared/Dialog';
import { FieldForm } from '../../shared/FieldForm';
import { initialAnswers, inputQuestion, readAnswers } from '../../shared/form';
import { Button } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import { recallAnswers, rememberAnswers } from './remembered';

interface Props {
  project: string;
  workflow: WorkflowSummary;
  onClose: () => void;
}

const NONE: ReadonlyMap<string, string> = new Map();

/** Starts a run and goes straight to it. */
export async function startRun(
  project: string,
  workflow: string,
  values: readonly [string, JsonValue][],
): Promise<void> {
  const started = await call(
    'run.start',
    values.length > 0 ? { project, workflow, inputs: Object.fromEntries(values) } : { project, workflow },
  );
  navigate(to.run(project, started.run));
}

export function RunDialog({ project, workflow, onClose }: Props) {
  const questions = workflow.inputs.map(inputQuestion);
  const [answers, setAnswers] = useState(() =>
    initialAnswers(questions, recallAnswers(project, workflow.name, questions)),
  );
  const [tried, setTried] = useState(false);
  const { values, wrong } = readAnswers(questions, answers);
  const start = useAction(async () => {
    await startRun(project, workflow.name, values);
    rememberAnswers(project, workflow.name, answers);
    onClose();
  });
  const submit = () => {
    setTried(true);
    if (wrong.size === 0) void start.run();
  };
  return (
    <Dialog
      open
      onClose={onClose}
      title={`Run ${workflow.name}`}
      about={workflow.description}
      testid="run-dialog"
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="primary"
            icon="play"
            type="submit"
            form="run-form"
            disabled={start.pending}
            data-testid="run-submit"
          >
            {start.pending ? 'Starting…' : 'Run'}
          </Button>
        </>
      }
    >
      <form
        id="run-form"
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit();
        }}
      >
        <FieldForm
          questions={questions}
          answers={answers}
          wrong={tried ? wrong : NONE}
          disabled={start.pending}
          onChange={setAnswers}
        />
        <Problem error={start.error} />
      </form>
    </Dialog>
  );
}
