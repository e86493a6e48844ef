import { describe, expect, it, vi } from 'vitest';
import { takeInvitation } from '../src/app/invitation';

function take(pathname: string, hash: string) {
  const past = { replaceState: vi.fn() };
  const code = takeInvitation({ pathname, hash } as Location, past as unknown as History);
  return { code, cleared: past.replaceState.mock.calls.map((call) => call[2] as string) };
}

describe('the link of an invitation', () => {
  const pin = 'ab'.repeat(32);

  it('gives its code, and leaves the address at once', () => {
    expect(take('/join', `#c0de1234.${pin}`)).toEqual({ code: 'c0de1234', cleared: ['/join'] });
    expect(take('/join', '#c0de1234')).toEqual({ code: 'c0de1234', cleared: ['/join'] });
  });

  it('that is damaged gives nothing, and leaves the address all the same', () => {
    for (const hash of ['#', '#c0de.12', `#c0de<script>.${pin}`, '#code=x']) {
      expect(take('/join', hash)).toEqual({ code: '', cleared: ['/join'] });
    }
    expect(take('/join', '')).toEqual({ code: '', cleared: [] });
  });

  it('is no other address', () => {
    expect(take('/', '#code=x')).toEqual({ code: undefined, cleared: [] });
    expect(take('/joined', '#x')).toEqual({ code: undefined, cleared: [] });
  });
});
