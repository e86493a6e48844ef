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

function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.closest('input, textarea, select, [role="textbox"]') !== null)
  );
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
  const sequence = event.timeStamp - prefixAt < SEQUENCE_MS ? `${prefix} ${key}` : key;
  const all = bindings().toReversed();
  const found = all.find(
    (binding) =>
      (binding.keys === sequence || binding.keys === key) && (binding.always === true || (!inField && !modal)),
  );
  prefix = '';
  if (found) {
    event.preventDefault();
    found.run();
  } else if (!inField && !modal && all.some((binding) => binding.keys.startsWith(`${key} `))) {
    prefix = key;
    prefixAt = event.timeStamp;
  }
}

/** Keys that work while the caller is on screen; the newest caller wins. */
export function useKeys(list: readonly Binding[]): void {
  const layer = useRef<readonly Binding[]>(list);
  useEffect(() => {
    layer.current = list;
  });
  useEffect(() => {
    layers.push(layer);
    return () => {
      layers.splice(layers.indexOf(layer), 1);
    };
  }, []);
}
