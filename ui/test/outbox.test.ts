import { beforeEach, describe, expect, test, vi } from 'vitest';

const asked: { text: string; settle: (error?: Error) => void }[] = [];
const session = () => ({
  call: (_method: string, params: { text: string }) =>
    new Promise<void>((resolve, reject) => {
      asked.push({ text: params.text, settle: (error) => (error ? reject(error) : resolve()) });
    }),
});
let shown = session();
vi.mock('../src/store/client', () => ({ here: () => shown }));

const { post, postAgain, takeBack, unsentOf } = await import('../src/store/outbox');

const tick = () => new Promise<void>((done) => setTimeout(done, 0));
const listed = () =>
  unsentOf('shop').map((each) => (each.error === undefined ? each.params.text : `!${each.params.text}`));

describe('messages on their way', () => {
  beforeEach(async () => {
    asked.length = 0;
    for (const each of unsentOf('shop')) takeBack('shop', each.id);
    await tick();
  });

  test('go one after the other, in the order in which they were written, and none is dropped', async () => {
    for (const text of ['one', 'two', 'three']) post({ project: 'shop', text });
    expect(asked.map(({ text }) => text)).toEqual(['one']);
    expect(listed()).toEqual(['one', 'two', 'three']);
    for (let n = 0; n < 3; n += 1) {
      asked[n]?.settle();
      await tick();
    }
    expect(asked.map(({ text }) => text)).toEqual(['one', 'two', 'three']);
    expect(listed()).toEqual([]);
  });

  test('what failed stays, what is behind it waits, and both go when it is tried again', async () => {
    for (const text of ['one', 'two']) post({ project: 'shop', text });
    asked[0]?.settle(new Error('forbidden'));
    await tick();
    expect(listed()).toEqual(['!one', 'two']);
    expect(asked).toHaveLength(1);
    postAgain('shop');
    asked[1]?.settle();
    await tick();
    asked[2]?.settle();
    await tick();
    expect(asked.map(({ text }) => text)).toEqual(['one', 'one', 'two']);
    expect(listed()).toEqual([]);
  });

  test('one that was taken back does not hold up the others', async () => {
    for (const text of ['one', 'two']) post({ project: 'shop', text });
    asked[0]?.settle(new Error('forbidden'));
    await tick();
    takeBack('shop', unsentOf('shop')[0]?.id ?? 0);
    expect(asked.map(({ text }) => text)).toEqual(['one', 'two']);
    asked[1]?.settle();
    await tick();
    expect(listed()).toEqual([]);
  });

  test('another host that is shown meanwhile has messages of its own, and neither waits for the other', async () => {
    post({ project: 'shop', text: 'to the first' });
    const first = shown;
    shown = session();
    expect(listed()).toEqual([]);
    post({ project: 'shop', text: 'to the second' });
    expect(asked.map(({ text }) => text)).toEqual(['to the first', 'to the second']);
    asked[0]?.settle();
    await tick();
    expect(listed()).toEqual(['to the second']);
    asked[1]?.settle();
    await tick();
    expect(listed()).toEqual([]);
    shown = first;
    expect(listed()).toEqual([]);
  });
});
