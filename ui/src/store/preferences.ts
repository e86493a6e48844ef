import { publish, useTopic } from './topics';

/** Small choices kept in this browser only. Storage may be forbidden: then they last as long as the page. */
const memory = new Map<string, string>();
const PREFIX = 'signalbox.';

function load(key: string): string | undefined {
  try {
    return localStorage.getItem(PREFIX + key) ?? memory.get(key);
  } catch {
    return memory.get(key);
  }
}

export function remember(key: string, value: string): void {
  memory.set(key, value);
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // Full or forbidden; `memory` has it.
  }
  publish([`preference:${key}`]);
}

export function recall(key: string): string | undefined {
  return load(key);
}

export function usePreference(key: string, fallback: string): string {
  return useTopic(`preference:${key}`, () => load(key) ?? fallback);
}

export type Theme = 'system' | 'light' | 'dark';

export function useTheme(): Theme {
  const theme = usePreference('theme', 'system');
  return theme === 'light' || theme === 'dark' ? theme : 'system';
}

export function setTheme(theme: Theme): void {
  remember('theme', theme);
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}
