import type { Step, Usage } from '../platform/protocol';

const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });

export function tokens(n: number): string {
  return compact.format(n);
}

export function money(usd: number): string {
  return `$${usd.toFixed(usd < 1 ? 3 : 2)}`;
}

/** What all agents of these steps used up; undefined if no agent worked. */
export function usedUp(steps: readonly Step[]): Usage | undefined {
  let sum: Usage | undefined;
  for (const { agent } of steps) {
    if (!agent) continue;
    const { input_tokens, output_tokens, cached_tokens, usd } = agent.usage;
    const before: Usage = sum ?? { input_tokens: 0, output_tokens: 0 };
    sum = { input_tokens: before.input_tokens + input_tokens, output_tokens: before.output_tokens + output_tokens };
    const cached = (before.cached_tokens ?? 0) + (cached_tokens ?? 0);
    if (cached > 0) sum.cached_tokens = cached;
    if (before.usd !== undefined || usd !== undefined) sum.usd = (before.usd ?? 0) + (usd ?? 0);
  }
  return sum;
}

/** For a card: `4.5K tokens · $0.02`; `tight`: `4.5K · $0.02`. Empty while nothing was used. */
export function brief(usage: Usage, tight = false): string {
  const all = usage.input_tokens + usage.output_tokens;
  if (all === 0 && usage.usd === undefined) return '';
  const cost = usage.usd !== undefined && (usage.usd >= 0.01 ? `$${usage.usd.toFixed(2)}` : money(usage.usd));
  return [tight ? tokens(all) : `${tokens(all)} tokens`, cost].filter(Boolean).join(' · ');
}

/** The same in words, for a title. */
export function spelled(usage: Usage): string {
  const { input_tokens, output_tokens, cached_tokens, usd } = usage;
  return [
    `${input_tokens.toLocaleString()} tokens in${cached_tokens ? `, ${cached_tokens.toLocaleString()} of them from a cache` : ''}`,
    `${output_tokens.toLocaleString()} tokens out`,
    usd !== undefined && `${money(usd)} as the agents reckon it`,
  ]
    .filter(Boolean)
    .join('; ');
}
