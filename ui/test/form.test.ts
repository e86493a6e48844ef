import { describe, expect, test } from 'vitest';
import { formQuestion, initialAnswers, inputQuestion, readAnswers } from '../src/shared/form';
import { failedStep, stepInFront } from '../src/views/front';
import { run, step } from './host';

describe('a form', () => {
  const input = (name: string, kind: string, more = {}) =>
    inputQuestion({ name, kind, required: false, multiline: false, values: [], ...more });

  test('values come out as the host wants them', () => {
    const questions = [
      input('goal', 'string', { required: true }),
      input('n', 'integer', { default: 3 }),
      input('list', 'array', { default: ['a', 'b'] }),
      input('on', 'boolean', { default: true }),
      input('empty', 'string'),
    ];
    const { values, wrong } = readAnswers(questions, initialAnswers(questions, new Map([['goal', 'x']])));
    expect(values).toEqual([
      ['goal', 'x'],
      ['n', 3],
      ['list', ['a', 'b']],
      ['on', true],
    ]);
    expect(wrong.size).toBe(0);
  });

  test('what is missing or no number is named', () => {
    const questions = [
      input('goal', 'string', { required: true }),
      input('n', 'integer'),
      formQuestion({ name: '__proto__', kind: 'number' }),
    ];
    const { wrong } = readAnswers(
      questions,
      new Map([
        ['n', '1.5'],
        ['__proto__', 'x'],
      ]),
    );
    expect([...wrong.keys()]).toEqual(['goal', 'n', '__proto__']);
  });
});

describe('the step in front', () => {
  const at = (key: string, status: string, more = {}) => step('r_00000001', key, { status, ...more }) as never;

  test('what failed first, else what works, else who waits, else what worked last', () => {
    const failed = [
      at('a', 'done', { conclusion: 'failed', ended_at: 9 }),
      at('b', 'done', { conclusion: 'timed_out', ended_at: 5 }),
      at('c', 'running'),
    ];
    expect(failedStep(failed)).toBe('b');
    expect(stepInFront(run('r_00000001') as never, failed)).toBe('b');
    expect(
      stepInFront(run('r_00000001', { current_step: 'y' }) as never, [
        at('x', 'running', { started_at: 1 }),
        at('y', 'running', { started_at: 2 }),
      ]),
    ).toBe('y');
    expect(stepInFront(run('r_00000001') as never, [at('x', 'blocked'), at('q', 'waiting_input')])).toBe('q');
    expect(stepInFront(run('r_00000001') as never, [at('x', 'blocked')])).toBe('x');
  });
});
