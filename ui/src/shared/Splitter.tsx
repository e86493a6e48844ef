import { remember, recall } from '../store/preferences';
import { useState } from 'react';

const STEP = 32;

/** Widths that a person dragged to, kept. Also by the arrow keys. */
export function useSplit(name: string, fallback: number, min: number): [number, (delta: number) => void] {
  const [size, setSize] = useState(() => Math.max(min, Number(recall(`split.${name}`)) || fallback));
  return [size, (delta) => {
    const limit = Math.max(min, innerWidth - 420);
    const next = Math.min(limit, Math.max(min, size + delta));
    setSize(next);
    remember(`split.${name}`, String(Math.round(next)));
  }];
}

export function Splitter({ label, onMove }: { label: string; onMove: (delta: number) => void }) {
  return (
    <div
      className="splitter"
      role="separator"
      aria-orientation="vertical"
      aria-label={label}
      tabIndex={0}
      onKeyDown={(event) => {
        if (event.key === 'ArrowLeft') onMove(STEP);
        else if (event.key === 'ArrowRight') onMove(-STEP);
      }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        event.preventDefault();
      }}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId) && event.movementX !== 0) onMove(-event.movementX);
      }}
    />
  );
}
