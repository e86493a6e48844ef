import type { Permission, PermissionAnswer } from '../../platform/protocol';
import { call } from '../../store/client';

/** The first valid answer wins; `conflict` if somebody else was first. */
export function answerPermission(answer: PermissionAnswer): Promise<unknown> {
  return call('permission.answer', answer);
}

/** What the keys A and R choose: only ever for this once. */
export function optionFor(permission: Permission, key: 'a' | 'r') {
  const kind = key === 'a' ? 'allow_once' : 'reject_once';
  return permission.options.find((option) => option.kind === kind);
}
