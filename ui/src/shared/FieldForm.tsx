import { useId } from 'react';
import type { Answers, Question } from './form';

interface Props {
  questions: readonly Question[];
  answers: Answers;
  wrong: ReadonlyMap<string, string>;
  disabled?: boolean;
  onChange: (answers: Answers) => void;
}

export function FieldForm({ questions, answers, wrong, disabled, onChange }: Props) {
  return (
    <div className="stack">
      {questions.map((question) => (
        <FieldOf
          key={question.name}
          question={question}
          value={answers.get(question.name) ?? ''}
          wrong={wrong.get(question.name)}
          disabled={disabled ?? false}
          onChange={(value) => {
            onChange(new Map(answers).set(question.name, value));
          }}
        />
      ))}
    </div>
  );
}

interface FieldProps {
  question: Question;
  value: string;
  wrong: string | undefined;
  disabled: boolean;
  onChange: (value: string) => void;
}

function FieldOf({ question, value, wrong, disabled, onChange }: FieldProps) {
  const id = useId();
  const common = {
    id,
    disabled,
    className: 'input',
    'aria-invalid': wrong !== undefined,
    'aria-describedby': `${id}-about`,
    'data-testid': `field-${question.name}`,
  };
  if (question.kind === 'boolean') {
    return (
      <label className="check">
        <input
          type="checkbox"
          checked={value === 'true'}
          disabled={disabled}
          onChange={(event) => onChange(String(event.target.checked))}
        />
        <span>{question.title}</span>
        {question.about && <span className="muted">{question.about}</span>}
      </label>
    );
  }
  return (
    <div className="field">
      <label className="label" htmlFor={id}>
        {question.title}
        {question.required && (
          <span className="need" aria-label="needed">
            *
          </span>
        )}
      </label>
      {question.kind === 'enum' ? (
        <select {...common} value={value} onChange={(event) => onChange(event.target.value)}>
          {!question.values.includes(value) && <option value={value}>Choose…</option>}
          {question.values.map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      ) : question.multiline ? (
        <textarea {...common} rows={3} value={value} onChange={(event) => onChange(event.target.value)} />
      ) : (
        <input
          {...common}
          inputMode={question.kind === 'integer' ? 'numeric' : question.kind === 'number' ? 'decimal' : undefined}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
      <span id={`${id}-about`} className={wrong === undefined ? 'about' : 'wrong'}>
        {wrong ?? question.about}
      </span>
    </div>
  );
}
