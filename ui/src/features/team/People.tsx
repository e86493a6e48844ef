import type { Present } from '../../platform/protocol';
import { world } from '../../store/client';
import { useHavingOpen, useUnsaved, useOthers } from '../../store/team';
import './team.css';

/** Faces that are shown; the rest is a number. */
const FACES = 5;
const HUES = 8;

/** Two letters that stand for a name, whatever script it is in. */
export function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]?.slice(0, 2)];
  const first = (word: string | undefined) => [...(word ?? '')][0] ?? '';
  return (words.length > 1 ? letters.map(first).join('') : [...(letters[0] ?? '?')].slice(0, 2).join('')).toUpperCase();
}

function hue(member: string): number {
  let sum = 0;
  for (const letter of member) sum = (sum * 31 + letter.charCodeAt(0)) % 997;
  return sum % HUES;
}

export function Face({ member, name, title }: { member: string; name: string; title?: string }) {
  return (
    <span className="face" data-hue={hue(member)} title={title ?? name} aria-hidden="true">
      {initials(name)}
    </span>
  );
}

function where({ state }: Present): string {
  if (state.approval !== undefined || state.permission !== undefined) return 'answers a question';
  if (state.typing) return 'writes a message';
  if (state.run !== undefined) {
    const run = world.run(state.run);
    const name = run ? `${run.workflow} #${String(run.number)}` : 'a run';
    return state.step === undefined ? `looks at ${name}` : `looks at ${name}, step ${state.step}`;
  }
  return state.file === undefined ? 'is here' : `has ${state.file} open`;
}

/** Who else is here, and what each looks at. */
export function People({ project, run }: { project: string; run?: string }) {
  const others = useOthers(project);
  // Beside a run, those who look at it come first.
  const sorted = [...others].sort((a, b) => Number(b.state.run === run) - Number(a.state.run === run));
  if (sorted.length === 0) return null;
  const sentence = sorted.map((present) => `${present.name} ${where(present)}`).join('; ');
  return (
    <span className="people" role="img" aria-label={`Also here: ${sentence}`} data-testid="people">
      {sorted.slice(0, FACES).map((present) => (
        <Face
          key={present.member}
          member={present.member}
          name={present.name}
          title={`${present.name} ${where(present)}`}
        />
      ))}
      {sorted.length > FACES && (
        <span
          className="face"
          title={sorted
            .slice(FACES)
            .map((present) => present.name)
            .join(', ')}
        >
          +{sorted.length - FACES}
        </span>
      )}
    </span>
  );
}

/** Who else has this file open: what one saves is a conflict for the other. */
export function AlsoOpen({ project, file }: { project: string; file: string }) {
  const unsaved = useUnsaved(project, file);
  const names = useHavingOpen(project, file).filter((name) => !unsaved.includes(name));
  return (
    <span className="answering" role="status" data-testid="also-open">
      {unsaved.length > 0 && (
        <b data-testid="also-unsaved">
          {unsaved.join(', ')} {unsaved.length === 1 ? 'has' : 'have'} changes that are not saved.{' '}
        </b>
      )}
      {names.length > 0 && `${names.join(', ')} ${names.length === 1 ? 'has' : 'have'} it open too`}
    </span>
  );
}
