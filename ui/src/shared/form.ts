import type { FormField, JsonValue, WorkflowInput } from '../platform/protocol';

/** One question of a form, whoever asks it. */
export interface Question {
  name: string;
  title: string;
  about?: string;
  kind: string;
  multiline: boolean;
  required: boolean;
  values: string[];
  initial: string;
}

export type Answers = ReadonlyMap<string, string>;

function text(value: JsonValue | undefined, kind: string): string {
  if (value === undefined || value === null) return kind === 'boolean' ? 'false' : '';
  if (Array.isArray(value))
    return value.map((item) => (typeof item === 'string' ? item : JSON.stringify(item))).join('\n');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

export function inputQuestion(input: WorkflowInput): Question {
  const question: Question = {
    name: input.name,
    title: input.name,
    kind: input.kind,
    multiline: input.multiline || input.kind === 'array',
    required: input.required,
    values: input.values,
    initial: text(input.default, input.kind),
  };
  if (input.description) question.about = input.description;
  if (input.kind === 'array') question.about = [input.description, 'One per line.'].filter(Boolean).join(' ');
  return question;
}

export function formQuestion(field: FormField): Question {
  return {
    name: field.name,
    title: field.title ?? field.name,
    kind: field.kind,
    multiline: field.multiline ?? false,
    required: field.required ?? false,
    values: field.values ?? [],
    initial: text(field.default, field.kind),
  };
}

export function initialAnswers(questions: readonly Question[], remembered?: Answers): Answers {
  return new Map(questions.map((question) => [question.name, remembered?.get(question.name) ?? question.initial]));
}

/** The values as the host wants them, or what is wrong with which. */
export function readAnswers(
  questions: readonly Question[],
  answers: Answers,
): { values: [string, JsonValue][]; wrong: Map<string, string> } {
  const values: [string, JsonValue][] = [];
  const wrong = new Map<string, string>();
  for (const question of questions) {
    const raw = answers.get(question.name) ?? '';
    if (question.kind === 'boolean') {
      values.push([question.name, raw === 'true']);
      continue;
    }
    if (raw.trim() === '') {
      if (question.required) wrong.set(question.name, 'This is needed.');
      continue;
    }
    if (question.kind === 'number' || question.kind === 'integer') {
      const number = Number(raw);
      if (!Number.isFinite(number)) wrong.set(question.name, 'Must be a number.');
      else if (question.kind === 'integer' && !Number.isInteger(number))
        wrong.set(question.name, 'Must be a whole number.');
      else values.push([question.name, number]);
    } else if (question.kind === 'array') {
      values.push([
        question.name,
        raw
          .split('\n')
          .map((line) => line.trim())
          .filter(Boolean),
      ]);
    } else values.push([question.name, raw]);
  }
  return { values, wrong };
}
