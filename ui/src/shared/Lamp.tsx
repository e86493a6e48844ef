import type { Look, Shape } from './status';

const stroke = {
  fill: 'none',
  stroke: 'currentColor',
  strokeWidth: 1.8,
  strokeLinecap: 'round',
  strokeLinejoin: 'round',
} as const;
const inner = { ...stroke, stroke: 'var(--lamp-ink, var(--surface))' } as const;
const ring = <circle cx="8" cy="8" r="6" {...stroke} />;
const disc = <circle cx="8" cy="8" r="7" fill="currentColor" />;
const square = <rect x="1.5" y="1.5" width="13" height="13" rx="2" fill="currentColor" />;

const SHAPES: Record<Shape, React.ReactNode> = {
  hollow: ring,
  dot: (
    <>
      {ring}
      <circle cx="8" cy="8" r="2.2" fill="currentColor" />
    </>
  ),
  clock: (
    <>
      {ring}
      <path d="M8 4.800V8l2.2 1.6" {...stroke} />
    </>
  ),
  arc: (
    <>
      <circle cx="8" cy="8" r="6" {...stroke} opacity="0.3" />
      <path className="turn" d="M8 2a6 6 0 0 1 6 6" {...stroke} />
    </>
  ),
  play: (
    <>
      <circle cx="8" cy="8" r="6.2" {...stroke} opacity="0.3" />
      <path className="turn" d="M8 1.800A6.2 6.2 0 1 1 1.8 8" {...stroke} />
      <path d="M6.5 5.300v5.400L11 8z" fill="currentColor" />
    </>
  ),
  question: (
    <>
      <path d="M8 .600l7.4 7.400L8 15.4.6 8z" fill="currentColor" />
      <path d="M6.3 6.300a1.7 1.7 0 1 1 1.7 2v.700M8 11.300v.01" {...inner} strokeWidth="1.6" />
    </>
  ),
  pause: (
    <>
      {ring}
      <path d="M6.5 5.800v4.400M9.5 5.800v4.4" {...stroke} />
    </>
  ),
  inspect: (
    <>
      <circle cx="8" cy="8" r="6.2" {...stroke} opacity="0.3" />
      <path className="turn" d="M8 1.800A6.2 6.2 0 0 1 14.2 8" {...stroke} />
      <path d="M5.4 8.200l1.8 1.8 3.4-3.6" {...stroke} />
    </>
  ),
  stop: (
    <>
      {ring}
      <rect x="5.7" y="5.7" width="4.6" height="4.6" fill="currentColor" />
    </>
  ),
  check: (
    <>
      {disc}
      <path d="M4.7 8.200l2.3 2.3 4.3-4.7" {...inner} />
    </>
  ),
  cross: (
    <>
      {square}
      <path d="M5.2 5.200l5.6 5.600M10.8 5.200l-5.6 5.6" {...inner} />
    </>
  ),
  hourglass: (
    <>
      {square}
      <path d="M5 4.500h6L8 8l3 3.500H5L8 8z" {...inner} strokeWidth="1.4" />
    </>
  ),
  slash: (
    <>
      {ring}
      <path d="M4 12L12 4" {...stroke} />
    </>
  ),
  skip: (
    <>
      <circle cx="8" cy="8" r="6" {...stroke} strokeDasharray="2 2.5" />
      <path d="M5.6 6l2.2 2-2.2 2M8.6 6l2.2 2-2.2 2" {...stroke} strokeWidth="1.5" />
    </>
  ),
  dash: (
    <>
      <circle cx="8" cy="8" r="6" {...stroke} strokeDasharray="2 2.5" />
      <path d="M5.5 8h5" {...stroke} />
    </>
  ),
  hand: (
    <>
      <path d="M5 .800h6L15.2 5v6L11 15.200H5L.8 11V5z" fill="currentColor" />
      <path d="M4.5 8h7" {...inner} strokeWidth="2.2" />
    </>
  ),
  bolt: (
    <>
      {square}
      <path d="M8 4v5M8 11.800v.01" {...inner} strokeWidth="2.2" />
    </>
  ),
  swap: (
    <>
      {ring}
      <path d="M5.5 8h5M8.5 6l2 2-2 2" {...stroke} />
    </>
  ),
  queue: (
    <>
      <circle cx="8" cy="8" r="6" {...stroke} />
      <path d="M5.3 8h.01M8 8h.01M10.7 8h.01" {...stroke} strokeWidth="2" />
    </>
  ),
};

const SPINS = new Set<Shape>(['arc', 'play', 'inspect']);

/** A signal: shape and colour both tell the state. */
export function Lamp({ look, size = 16, title }: { look: Look; size?: number; title?: string }) {
  return (
    <svg
      className="lamp"
      data-tone={look.tone}
      data-spin={SPINS.has(look.shape) || undefined}
      width={size}
      height={size}
      viewBox="0 0 16 16"
      role={title === undefined ? undefined : 'img'}
      aria-label={title}
      aria-hidden={title === undefined}
    >
      {SHAPES[look.shape]}
    </svg>
  );
}

export function State({ look }: { look: Look }) {
  return (
    <span className="state" data-tone={look.tone}>
      <Lamp look={look} />
      {look.word}
    </span>
  );
}
