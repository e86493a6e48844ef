import { beforeEach, expect, test, vi } from 'vitest';

beforeEach(() => {
  vi.stubGlobal('HTMLElement', class {});
  vi.stubGlobal('HTMLInputElement', class {});
  vi.stubGlobal('document', { querySelector: () => null });
});

test('G then A goes to a place; only a lone A approves', async () => {
  const { handleKey, layer } = await import('../src/store/keys');
  const did: string[] = [];
  const bind = (keys: string) => ({ keys, label: keys, group: 'x', run: () => did.push(keys) });
  layer([bind('g a'), bind('g i')]);
  layer([bind('a')]);
  let time = 0;
  const press = (key: string, after = 100) => {
    time += after;
    handleKey({ key, timeStamp: time, target: null, preventDefault: () => undefined } as never);
  };
  press('g');
  press('a');
  expect(did).toEqual(['g a']);
  press('a');
  expect(did).toEqual(['g a', 'a']);
  press('g');
  press('x');
  press('g');
  press('a', 2_000);
  expect(did).toEqual(['g a', 'a', 'a']);
});
