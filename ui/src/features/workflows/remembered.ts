import { recall, remember } from '../../store/preferences';
import type { Answers, Question } from '../../shared/form';

const MAX = 4_000;

/** What was entered the last time, per workflow; questions that are gone are forgotten. */
export function recallAnswers(project: string, workflow: string, questions: readonly Question[]): Answers {
  const found = new Map<string, string>();
  try {
    const stored = JSON.parse(recall(`inputs.${project}/${workflow}`) ?? '[]') as unknown;
    if (!Array.isArray(stored)) return found;
    for (const entry of stored as unknown[]) {
      if (!Array.isArray(entry) || typeof entry[0] !== 'string' || typeof entry[1] !== 'string') continue;
      const [name, value] = entry as [string, string];
      const question = questions.find((each) => each.name === name);
      if (question && (question.kind !== 'enum' || question.values.includes(value))) found.set(name, value);
    }
  } catch {
    // Written by another version: start anew.
  }
  return found;
}

export function rememberAnswers(project: string, workflow: string, answers: Answers): void {
  const text = JSON.stringify([...answers]);
  if (text.length <= MAX) remember(`inputs.${project}/${workflow}`, text);
}
