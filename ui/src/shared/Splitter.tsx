import { useState } from 'react';
import { recall, remember } from '../store/preferences';

const STEP = 32;
const REST = 300;

/** A size that a person dragged to, kept. `rest`: what must stay for the other side. */
export function useSplit(
  name: string,
  fallback: number,
  min: number,
  across: 'x' | 'y',
): [number, (delta: number) => void] {
  const [size, setSize] = useState(() => Number(recall(`split.${name}`)) || fallback);
  const limit = Math.max(min, (across === 'x' ? innerWidth : innerHeight) - REST);
  const fit = (n: number) => Math.min(limit, Math.max(min, n));
  return [
    fit(size),
    (delta) => {
      const next = fit(fit(size) + delta);
      setSize(next);
      remember(`split.${name}`, String(Math.round(next)));
    },
  ];
}

/** `across`: the way it moves. Drag it, or use the arrow keys. */
export function Splitter({
  label,
  across,
  size,
  onMove,
}: {
  label: string;
  across: 'x' | 'y';
  size: number;
  onMove: (delta: number) => void;
}) {
  const [less, more] = across === 'x' ? ['ArrowLeft', 'ArrowRight'] : ['ArrowUp', 'ArrowDown'];
  return (
    <div
      className="splitter"
      data-across={across}
      role="separator"
      aria-orientation={across === 'x' ? 'vertical' : 'horizontal'}
      aria-label={label}
      aria-valuenow={Math.round(size)}
      tabIndex={0}
      onKeyDown={(event) => {
        if (event.key === less) onMove(-STEP);
        else if (event.key === more) onMove(STEP);
      }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        event.preventDefault();
      }}
      onPointerMove={(event) => {
        const moved = across === 'x' ? event.movementX : event.movementY;
        if (event.currentTarget.hasPointerCapture(event.pointerId) && moved !== 0) onMove(moved);
      }}
    />
  );
}
