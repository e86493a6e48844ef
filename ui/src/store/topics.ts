import { useCallback, useSyncExternalStore } from 'react';

const listeners = new Map<string, Set<() => void>>();
const versions = new Map<string, number>();
let everything = 0;
const cache = new Map<string, { version: number; value: unknown }>();
const CACHE_KEPT = 2_000;

/** Calls `listener` after each change of the topic, for what is not drawn by React; the answer ends it. */
export function onTopic(topic: string, listener: () => void): () => void {
  let set = listeners.get(topic);
  if (!set) {
    set = new Set();
    listeners.set(topic, set);
  }
  set.add(listener);
  return () => {
    set.delete(listener);
    if (set.size === 0) listeners.delete(topic);
  };
}

/** Tells the readers of these topics, each once. */
export function publish(topics: Iterable<string>): void {
  const called = new Set<() => void>();
  for (const topic of topics) {
    if (topic === '*') {
      everything += 1;
      for (const set of listeners.values()) for (const listener of set) called.add(listener);
      continue;
    }
    versions.set(topic, (versions.get(topic) ?? 0) + 1);
    for (const listener of listeners.get(topic) ?? []) called.add(listener);
  }
  for (const listener of called) listener();
}

/** What `compute` gave, until the topic changes: selectors must give the same object for the same state. */
export function derive<T>(topic: string, key: string, compute: () => T): T {
  const version = (versions.get(topic) ?? 0) + everything * 1e9;
  const held = cache.get(key);
  if (held?.version === version) return held.value as T;
  const value = compute();
  if (cache.size > CACHE_KEPT) cache.clear();
  cache.set(key, { version, value });
  return value;
}

/** Reads one narrow piece of state; renders again only when that piece is another one. */
export function useTopic<T>(topic: string, read: () => T): T {
  const subscribe = useCallback((listener: () => void) => onTopic(topic, listener), [topic]);
  return useSyncExternalStore(subscribe, read);
}
