import type { Tone } from '../../shared/status';
import type { Area, Scene, Shades } from './far';
import type { TrackState } from './states';

const NAMES = [
  'idle',
  'active',
  'wait',
  'good',
  'bad',
  'off',
  'surface',
  'sunken',
  'line-strong',
  'focus',
] as const satisfies readonly (Tone | string)[];

export type Colours = Record<(typeof NAMES)[number], string>;

/** The names of tokens.css, as they are where the diagram is. */
export function coloursOf(element: Element): Colours {
  const style = getComputedStyle(element);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as Colours;
}

interface Ink {
  colour: keyof Colours;
  width: number;
  /** Dashes are shorter than a pixel from here: this is how much of the track they cover. */
  alpha: number;
}

/** `.track-bed` of graph.css. In the order of painting: what went wrong is on top. */
const INKS: readonly (readonly [TrackState, Ink])[] = [
  ['dark', { colour: 'line-strong', width: 7, alpha: 1 }],
  ['off', { colour: 'line-strong', width: 4, alpha: 8 / 15 }],
  ['clear', { colour: 'good', width: 7, alpha: 1 }],
  ['taken', { colour: 'active', width: 7, alpha: 1 }],
  ['stop', { colour: 'bad', width: 7, alpha: 3 / 9 }],
];

/** Tones that the frame of a matrix takes from its children. */
const FRAMED: ReadonlySet<Tone> = new Set(['active', 'bad', 'wait']);
const FRAME = { line: 1.5, round: 10 };
const CHOSEN = { line: 3, away: 2, alpha: 0.6 };
/** The outline of the chosen step, in pixels of the page at least: it is there to be found. */
const SEEN = 1.5;

/** A corner is round from here, in pixels of the page. */
const VISIBLE = 0.4;

export type Tracks = Map<TrackState, Path2D>;

/** All tracks of a state as one path: so many strokes each frame would take longer than all else. */
export function tracksOf(scene: Scene, shades: Shades, state: TrackState): Path2D {
  const path = new Path2D();
  scene.lines.forEach(({ corners }, i) => {
    if (shades.lines[i] !== state) return;
    corners.forEach(({ x, y }, at) => (at === 0 ? path.moveTo(x, y) : path.lineTo(x, y)));
  });
  return path;
}

export interface Picture {
  scene: Scene;
  shades: Shades;
  tracks: Tracks;
  chosen: string | undefined;
  colours: Colours;
}

/** Paints what is in `area`, which is in the measures of the diagram, on a context that is scaled by `zoom`. */
export function paint(context: CanvasRenderingContext2D, picture: Picture, area: Area, zoom: number): void {
  const { scene, shades, tracks, chosen, colours } = picture;
  const isIn = (box: Area) =>
    box.x < area.x + area.width &&
    box.x + box.width > area.x &&
    box.y < area.y + area.height &&
    box.y + box.height > area.y;

  context.lineJoin = 'round';
  for (const [state, { colour, width, alpha }] of INKS) {
    if (!shades.lines.includes(state)) continue;
    let path = tracks.get(state);
    if (!path) {
      path = tracksOf(scene, shades, state);
      tracks.set(state, path);
    }
    context.globalAlpha = alpha;
    context.strokeStyle = colours[colour];
    context.lineWidth = width;
    context.stroke(path);
  }
  context.globalAlpha = 1;

  scene.frames.forEach((frame, i) => {
    if (!isIn(frame)) return;
    const tone = shades.frames[i] ?? 'idle';
    const half = FRAME.line / 2;
    context.beginPath();
    context.roundRect(frame.x + half, frame.y + half, frame.width - half * 2, frame.height - half * 2, FRAME.round);
    context.fillStyle = colours.surface;
    context.fill();
    context.globalAlpha = 0.3;
    context.fillStyle = colours.sunken;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = FRAMED.has(tone) ? colours[tone] : colours['line-strong'];
    context.lineWidth = FRAME.line;
    context.stroke();
  });

  let last: Tone | undefined;
  scene.fields.forEach((field, i) => {
    if (!isIn(field)) return;
    const tone = shades.fields[i] ?? 'idle';
    if (tone !== last) context.fillStyle = colours[tone];
    last = tone;
    // Corners that cannot be seen cost ten times what a rectangle does.
    if (field.round * zoom < VISIBLE) return context.fillRect(field.x, field.y, field.width, field.height);
    context.beginPath();
    context.roundRect(field.x, field.y, field.width, field.height, field.round);
    context.fill();
  });

  const found = chosen === undefined ? undefined : scene.fields.find((field) => field.key === chosen);
  if (!found) return;
  const line = Math.max(CHOSEN.line, SEEN / zoom);
  const out = Math.max(CHOSEN.away, SEEN / 2 / zoom) + line / 2;
  context.globalAlpha = CHOSEN.alpha;
  context.strokeStyle = colours.focus;
  context.lineWidth = line;
  context.strokeRect(found.x - out, found.y - out, found.width + out * 2, found.height + out * 2);
  context.globalAlpha = 1;
}
