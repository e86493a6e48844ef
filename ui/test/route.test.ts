import { expect, test, vi } from 'vitest';

vi.stubGlobal('location', { pathname: '/', search: '', hash: '' });
vi.stubGlobal('window', { addEventListener: () => undefined });
const { parseRoute } = await import('../src/store/route');

test('addresses that name no project and no run are not here, and the host is never asked for them', () => {
  const name = (path: string) => parseRoute(path, '', '').name;
  expect(name('/projects/shop')).toBe('project');
  expect(name('/projects/shop/runs/r_01m803x7b3e')).toBe('run');
  for (const path of [
    '/projects/shop/runs/xx',
    '/projects/shop/runs/R_01M803X7B3E',
    '/projects/BAD ID',
    '/projects/a%2Fb/chat',
    `/projects/${'a'.repeat(300)}`,
    '/projects/%E0%A4%A',
  ])
    expect(name(path), path).toBe('missing');
});

test('a link leads to a message of the chat', async () => {
  const { to } = await import('../src/store/route');
  const [path, hash] = to.chat('shop', 'c_0123456789ab').split('#');
  expect(parseRoute(path ?? '', '', `#${hash ?? ''}`)).toEqual({
    name: 'project',
    project: 'shop',
    tab: 'chat',
    message: 'c_0123456789ab',
  });
  expect(to.chat('shop')).toBe('/projects/shop/chat');
  for (const hash of ['', '#', '#c_1', '#c_0123456789ab" onclick', '#L4'])
    expect(parseRoute('/projects/shop/chat', '', hash)).toEqual({ name: 'project', project: 'shop', tab: 'chat' });
});
