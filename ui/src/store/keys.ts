import { useEffect, useRef } from 'react';

export interface Binding {
  /** `j`, `?`, `mod+k`, or a sequence such as `g p`. */
  keys: string;
  label: string;
  group: string;
  run: () => void;
  /** Also while typing. */
  always?: boolean;
}

const layers: { current: readonly Binding[] }[] = [];
let prefix = '';
let prefixAt = 0;
const SEQUENCE_MS = 900;

export function bindings(): readonly Binding[] {
  return layers.flatMap((layer) => layer.current);
}

/** Whether a key would be text here; a check box or a radio button takes none. */
function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !/^(radio|checkbox|button|range|submit)$/.test(target.type);
  return target.isContentEditable || target.closest('textarea, select, [role="textbox"]') !== null;
}

function name(event: KeyboardEvent): string {
  const letter = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const key = event.shiftKey && /^[a-z]$/.test(letter) ? `shift+${letter}` : letter;
  return event.ctrlKey || event.metaKey ? `mod+${key}` : key;
}

export function handleKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.altKey || event.isComposing) return;
  const key = name(event);
  const inField = typing(event.target);
  const modal = document.querySelector('[role="dialog"], [role="alertdialog"], [role="menu"]') !== null;
  const pending = prefix !== '' && event.timeStamp - prefixAt < SEQUENCE_MS;
  // After a first key only a sequence counts: `G A` is a place, and must never be taken for the `A` that approves.
  const wanted = pending ? `${prefix} ${key}` : key;
  const all = bindings().toReversed();
  const found = all.find((binding) => binding.keys === wanted && (binding.always === true || (!inField && !modal)));
  prefix = '';
  if (found) {
    event.preventDefault();
    found.run();
  } else if (!pending && !inField && !modal && all.some((binding) => binding.keys.startsWith(`${key} `))) {
    prefix = key;
    prefixAt = event.timeStamp;
  }
}

/** Adds a group of keys above the others; the returned function takes it away. */
export function layer(list: readonly Binding[]): { set: (list: readonly Binding[]) => void; remove: () => void } {
  const entry = { current: list };
  layers.push(entry);
  return {
    set: (next) => {
      entry.current = next;
    },
    remove: () => {
      layers.splice(layers.indexOf(entry), 1);
    },
  };
}

/** Keys that work while the caller is on screen; the newest caller wins. */
export function useKeys(list: readonly Binding[]): void {
  const mine = useRef<ReturnType<typeof layer>>(undefined);
  useEffect(() => {
    mine.current = layer([]);
    return () => mine.current?.remove();
  }, []);
  useEffect(() => {
    mine.current?.set(list);
  });
}
