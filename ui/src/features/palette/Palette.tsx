import { Dialog as Base } from '@base-ui/react/dialog';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { returnFocus } from '../../shared/focus';
import './palette.css';

export interface Command {
  id: string;
  label: string;
  about?: string;
  group: string;
  icon?: ReactNode;
  run: () => void;
}

const SHOWN = 60;

/** Every word must occur; words that begin the label come first. */
export function rank(command: Command, words: readonly string[]): number {
  const label = command.label.toLowerCase();
  const all = `${label} ${command.about?.toLowerCase() ?? ''} ${command.group.toLowerCase()}`;
  let score = 0;
  for (const word of words) {
    const at = all.indexOf(word);
    if (at < 0) return -1;
    score += label.startsWith(word) ? 3 : label.includes(` ${word}`) ? 2 : label.includes(word) ? 1.5 : 1;
  }
  return score;
}

export function Palette({ commands, onClose }: { commands: readonly Command[]; onClose: () => void }) {
  const [query, setQuery] = useState('');
  const [at, setAt] = useState(0);
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = commands
    .map((command) => ({ command, score: rank(command, words) }))
    .filter(({ score }) => score >= 0)
    .sort((a, b) => b.score - a.score)
    .slice(0, SHOWN)
    .map(({ command }) => command);
  const current = found[Math.min(at, found.length - 1)];
  const choose = (command: Command | undefined) => {
    if (!command) return;
    onClose();
    command.run();
  };
  return (
    <Base.Root
      open
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
    >
      <Base.Portal>
        <Base.Backdrop className="backdrop" />
        <Base.Popup
          className="dialog palette"
          finalFocus={() => returnFocus(null)}
          aria-label="Commands"
          data-testid="palette"
        >
          <input
            className="palette-input"
            placeholder="Go to, run, or do…"
            role="combobox"
            aria-expanded="true"
            aria-controls="palette-list"
            aria-activedescendant={current ? `palette-${current.id}` : undefined}
            aria-label="Search commands"
            value={query}
            onChange={(event) => {
              setQuery(event.target.value);
              setAt(0);
            }}
            onKeyDown={(event) => {
              const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
              if (step !== 0 && found.length > 0) {
                event.preventDefault();
                const next = (Math.min(at, found.length - 1) + step + found.length) % found.length;
                setAt(next);
                document.getElementById(`palette-${found[next]?.id ?? ''}`)?.scrollIntoView({ block: 'nearest' });
              } else if (event.key === 'Enter') {
                event.preventDefault();
                choose(current);
              }
            }}
          />
          <ul id="palette-list" role="listbox" aria-label="Commands" className="palette-list">
            {found.map((command, index) => (
              <li
                key={command.id}
                id={`palette-${command.id}`}
                role="option"
                aria-selected={command === current}
                className="palette-item"
                onPointerMove={() => setAt(index)}
                onClick={() => choose(command)}
              >
                {command.icon}
                <span className="grow cut">
                  {command.label}
                  {command.about && <span className="muted"> · {command.about}</span>}
                </span>
                <span className="muted">{command.group}</span>
              </li>
            ))}
            {found.length === 0 && <li className="palette-none muted">Nothing fits “{query}”.</li>}
          </ul>
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}
