import { Suspense, lazy, useEffect, useRef, useState } from 'react';
import type { FileText } from '../../platform/protocol';
import { bytes, count } from '../../shared/format';
import { Problem } from '../../shared/Problem';
import { Button, Loading } from '../../shared/parts';
import { call } from '../../store/client';
import { transcriptOf, useTranscriptVersion } from '../../store/read';
import { addedLines, placesOf } from './gaze';
import type { Place } from './gaze';
import './agents.css';

const CodeText = lazy(() => import('./CodeText'));

/** The shortest time between two looks at a file, in milliseconds. */
const PAUSE = 500;
const NONE: readonly number[] = [];

interface Props {
  run: string;
  step: string;
  attempt: number;
  working: boolean;
}

/** The file that the agent is at, as it is now: it follows the agent until a person chooses a file. */
export function FileView({ run, step, attempt, working }: Props) {
  // The transcript changes in place, so nothing here may be cached.
  'use no memo';
  useTranscriptVersion(run, step, attempt);
  const transcript = transcriptOf(run, step, attempt);
  const places = placesOf(transcript);
  const [chosen, setChosen] = useState<string>();
  const follow = chosen === undefined;
  const place = places.find((each) => each.path === chosen) ?? places[0];
  if (!place)
    return (
      <p className="muted agent-none">
        {working ? 'The file that the agent reads or writes appears here.' : 'The agent named no file in this attempt.'}
      </p>
    );
  const diff = transcript.files.get(place.path)?.value;
  return (
    <div className="files" data-testid="files">
      <div className="diff-bar files-bar">
        <label className="grow files-choice">
          <span className="sr">File</span>
          <select className="input" value={place.path} onChange={(event) => setChosen(event.target.value)}>
            {places.map((each) => (
              <option key={each.path} value={each.path}>
                {each.path}
                {each.changed ? ' (changed)' : ''}
              </option>
            ))}
          </select>
        </label>
        <Button
          size="small"
          icon="eye"
          kind={follow ? 'primary' : 'quiet'}
          aria-pressed={follow}
          title={follow ? 'Shows the file that the agent is at' : 'Go where the agent is, and stay with it'}
          onClick={() => setChosen(follow ? place.path : undefined)}
        >
          Follow the agent
        </Button>
      </div>
      <Content
        key={`${step} ${String(attempt)}`}
        run={run}
        step={step}
        attempt={attempt}
        place={place}
        patch={diff && diff.status !== 'unchanged' ? diff.patch : undefined}
        follow={follow}
      />
    </div>
  );
}

interface Shown {
  path: string;
  file?: FileText;
  failed?: unknown;
}

/** Reads a file again whenever something told of it. The one before stays in sight until the next is here. */
function useFile(run: string, step: string, attempt: number, place: Place): [Shown | undefined, () => void] {
  const [shown, setShown] = useState<Shown>();
  const [asked, setAsked] = useState(0);
  const last = useRef(0);
  const wanted = useRef(place.path);
  useEffect(() => {
    const { path } = place;
    wanted.current = path;
    const wait = shown?.path === path ? Math.max(0, last.current + PAUSE - performance.now()) : 0;
    const timer = setTimeout(() => {
      last.current = performance.now();
      call('run.file', { run, step, attempt, path }).then(
        (file) => wanted.current === path && setShown({ path, file }),
        (failed: unknown) => wanted.current === path && setShown({ path, failed }),
      );
    }, wait);
    return () => clearTimeout(timer);
    // `shown` only says whether to wait.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [run, step, attempt, place.path, place.at, asked]);
  useEffect(
    () => () => {
      wanted.current = '';
    },
    [],
  );
  return [shown, () => setAsked(asked + 1)];
}

function Content({
  run,
  step,
  attempt,
  place,
  patch,
  follow,
}: Omit<Props, 'working'> & { place: Place; patch: string | undefined; follow: boolean }) {
  const [shown, again] = useFile(run, step, attempt, place);
  // While the next file is on its way the one before stays, without marks that are not its own.
  const current = shown?.path === place.path;
  const added = current && patch !== undefined ? addedLines(patch) : NONE;
  if (!shown || (shown.path !== place.path && !shown.file))
    return (
      <div className="agent-none">
        <Loading label="Reading the file" />
      </div>
    );
  if (shown.failed !== undefined)
    return (
      <div className="agent-problem">
        {(shown.failed as { code?: string }).code === 'not_found' ? (
          <p className="muted">{place.path} is not shown: git ignores it, or it lies outside of the project.</p>
        ) : (
          <>
            <Problem error={shown.failed} kind="warning" />
            <Button size="small" onClick={again}>
              Read it again
            </Button>
          </>
        )}
      </div>
    );
  const file = shown.file;
  if (!file) return null;
  if (file.missing) return <p className="muted agent-none">{file.path} was removed.</p>;
  if (file.text === undefined)
    return (
      <p className="muted agent-none">
        {file.path} is no text ({bytes(file.bytes)}).
      </p>
    );
  return (
    <>
      <p className="files-note muted">
        {file.live ? 'As it is now' : 'As the step left it'}
        {added.length > 0 && `, ${count(added.length, 'new line')}`}
        {file.truncated && `, its beginning: it has ${bytes(file.bytes)}`}
      </p>
      <Suspense fallback={<Loading label="Loading" />}>
        <CodeText
          label={file.path}
          text={file.text}
          added={added}
          line={current ? place.line : undefined}
          follow={follow}
        />
      </Suspense>
    </>
  );
}
