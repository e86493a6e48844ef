import { createContext, useContext, useSyncExternalStore } from 'react';

/**
 * Which step is chosen, beside the drawing's nodes and not in them: a new choice must render two steps and not make a thousand
 * nodes anew.
 */
export class Chosen {
  #key: string | undefined;
  #onSelect: (key: string) => void = () => undefined;
  readonly #listeners = new Set<() => void>();

  get key(): string | undefined {
    return this.#key;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** A click on a step. */
  readonly select = (key: string): void => this.#onSelect(key);

  set(key: string | undefined, onSelect: (key: string) => void): void {
    this.#onSelect = onSelect;
    if (key === this.#key) return;
    this.#key = key;
    for (const listener of this.#listeners) listener();
  }
}

const Context = createContext(new Chosen());

export const ChosenProvider = Context.Provider;

/** The choice itself, for what is not drawn by React. */
export function useChoice(): Chosen {
  return useContext(Context);
}

/** The chosen step if it is one of these, and what to do to choose one. */
export function useChosen(keys: readonly string[]): [string | undefined, (key: string) => void] {
  const chosen = useChoice();
  const key = useSyncExternalStore(chosen.subscribe, () =>
    chosen.key !== undefined && keys.includes(chosen.key) ? chosen.key : undefined,
  );
  return [key, chosen.select];
}
