/** Names one attempt of one step. The step comes last: a key of a step may hold spaces. */
export function logKey(run: string, step: string, attempt: number): string {
  return `${run} ${String(attempt)} ${step}`;
}
