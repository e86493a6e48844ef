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
