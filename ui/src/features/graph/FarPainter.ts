import type { Step } from '../../platform/protocol';
import { onTopic } from '../../store/topics';
import { areaInView, changed, covers, fieldAt, shadesOf, toScreen } from './far';
import type { Area, Field, Scene, Shades, View } from './far';
import { coloursOf, paint } from './farPaint';
import type { Colours, Tracks } from './farPaint';
import type { Chosen } from './chosen';
import { lookOf } from './states';

/** Painted beyond the frame on each side, in pixels of the page: so far it moves without being painted anew. */
const MARGIN = 200;
/** How far beside a step a click still means it, in pixels of the page. */
const SLACK = 2;

interface Source {
  scene: Scene;
  run: string;
  step: (key: string) => Step | undefined;
  chosen: Chosen;
  view: () => View;
  /** Calls the listener when what `view` gives may be another one. */
  onView: (listener: () => void) => () => void;
}

/**
 * Keeps one canvas showing the diagram from afar. No React: it is moved while the diagram is dragged, and painted, once a frame at
 * most, when something else changed than its place.
 */
export class FarPainter {
  readonly #canvas: HTMLCanvasElement;
  readonly #source: Source;
  readonly #graph: HTMLElement;
  readonly #pane: HTMLElement;
  readonly #ends: (() => void)[] = [];
  #frame = 0;
  #isDue = false;
  #colours: Colours | undefined;
  #shades: Shades;
  #isOld = false;
  /** What the pointer is over. */
  #over: Field | undefined;
  readonly #tracks: Tracks = new Map();
  /** What is on the canvas: where in the diagram, in pixels of the page at that zoom. */
  #painted: { area: Area | undefined; zoom: number; ratio: number } | undefined;

  constructor(canvas: HTMLCanvasElement, source: Source) {
    const graph = canvas.closest<HTMLElement>('.graph');
    const pane = graph?.querySelector<HTMLElement>('.react-flow__pane');
    if (!graph || !pane) throw new Error('the canvas is in no diagram');
    this.#canvas = canvas;
    this.#source = source;
    this.#graph = graph;
    this.#pane = pane;
    this.#shades = shadesOf(source.scene, source.step);
    this.#ends.push(
      source.onView(() => this.#look()),
      source.chosen.subscribe(() => this.#later()),
      onTopic(`steps:${source.run}`, () => {
        this.#isOld = true;
        this.#wake();
      }),
      this.#onTheme(),
      this.#onRatio(),
      this.#onPointer(),
    );
    // At once: the steps of before go in this frame.
    this.#paint();
  }

  end(): void {
    cancelAnimationFrame(this.#frame);
    for (const end of this.#ends) end();
    this.#point(undefined);
  }

  /** The view is another one: what is painted is moved, and painted anew only if that does not do. */
  #look(): void {
    const view = this.#source.view();
    this.#place(view);
    const painted = this.#painted;
    const isSharp = painted?.zoom === view.zoom && painted.ratio === devicePixelRatio;
    if (!isSharp || !covers(painted.area, areaInView(view, this.#source.scene, 0))) this.#later();
  }

  #later(): void {
    this.#isDue = true;
    this.#wake();
  }

  #wake(): void {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.#isOld && this.#renew()) this.#isDue = true;
      if (this.#isDue) this.#paint();
    });
  }

  /** Whether anything has another colour. Most news of steps are of their progress. */
  #renew(): boolean {
    this.#isOld = false;
    const shades = shadesOf(this.#source.scene, this.#source.step);
    const others = changed(this.#shades, shades);
    for (const state of others ?? []) this.#tracks.delete(state);
    this.#shades = shades;
    // The pointer may rest on a step while that goes on.
    this.#point(this.#over);
    return others !== undefined;
  }

  #place({ x, y, zoom }: View): void {
    if (!this.#painted?.area) return;
    const { area, zoom: before, ratio } = this.#painted;
    const scale = zoom / before;
    // To whole pixels of the screen: between two of them it would be blurred, and every frame cost a resampling.
    const [left, top] = [x + area.x * scale, y + area.y * scale].map((at) => Math.round(at * ratio) / ratio);
    this.#canvas.style.transform = `translate(${String(left)}px, ${String(top)}px)${scale === 1 ? '' : ` scale(${String(scale)})`}`;
  }

  #paint(): void {
    this.#isDue = false;
    const { scene, chosen } = this.#source;
    const view = this.#source.view();
    const ratio = devicePixelRatio;
    const inView = areaInView(view, scene, MARGIN);
    const area = inView && toScreen(inView, ratio);
    this.#painted = { area, zoom: view.zoom, ratio };
    this.#canvas.hidden = !area;
    const context = this.#canvas.getContext('2d');
    if (!area || !context) return;
    this.#fit(area, ratio, context);
    const scale = view.zoom * ratio;
    context.setTransform(scale, 0, 0, scale, -area.x * ratio, -area.y * ratio);
    this.#colours ??= coloursOf(this.#graph);
    paint(
      context,
      { scene, shades: this.#shades, tracks: this.#tracks, chosen: chosen.key, colours: this.#colours },
      {
        x: area.x / view.zoom,
        y: area.y / view.zoom,
        width: area.width / view.zoom,
        height: area.height / view.zoom,
      },
      view.zoom,
    );
    this.#place(view);
  }

  /** An empty canvas of this size. To set the same size again would make its memory anew. */
  #fit(area: Area, ratio: number, context: CanvasRenderingContext2D): void {
    const [width, height] = [Math.round(area.width * ratio), Math.round(area.height * ratio)];
    const canvas = this.#canvas;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      canvas.style.width = `${String(area.width)}px`;
      canvas.style.height = `${String(area.height)}px`;
      return;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
  }

  #onTheme(): () => void {
    const anew = () => {
      this.#colours = undefined;
      this.#later();
    };
    const observer = new MutationObserver(anew);
    observer.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    const system = matchMedia('(prefers-color-scheme: dark)');
    system.addEventListener('change', anew);
    return () => {
      observer.disconnect();
      system.removeEventListener('change', anew);
    };
  }

  /** The window is on another screen now, or the page is shown larger. */
  #onRatio(): () => void {
    const ended = new AbortController();
    const listen = () => {
      matchMedia(`(resolution: ${String(devicePixelRatio)}dppx)`).addEventListener(
        'change',
        () => {
          this.#later();
          listen();
        },
        { once: true, signal: ended.signal },
      );
    };
    listen();
    return () => ended.abort();
  }

  /** On the pane and not on the canvas: the pane is what is dragged, and tells a drag from a click. */
  #onPointer(): () => void {
    const ended = new AbortController();
    const { signal } = ended;
    this.#pane.addEventListener(
      'click',
      (event) => {
        const field = this.#at(event);
        if (field) this.#source.chosen.select(field.key);
      },
      { signal },
    );
    this.#pane.addEventListener(
      'pointermove',
      (event) => {
        this.#point(event.buttons === 0 ? this.#at(event) : undefined);
      },
      { signal },
    );
    this.#pane.addEventListener('pointerleave', () => this.#point(undefined), { signal });
    return () => ended.abort();
  }

  #at(event: MouseEvent): Field | undefined {
    const box = this.#pane.getBoundingClientRect();
    const { x, y, zoom } = this.#source.view();
    const point = { x: (event.clientX - box.left - x) / zoom, y: (event.clientY - box.top - y) / zoom };
    return fieldAt(this.#source.scene.fields, point, SLACK / zoom);
  }

  /** The pane has the title, not the canvas, since the pointer is over it. */
  #point(field: Field | undefined): void {
    const title = field ? `${field.name}: ${lookOf(this.#source.step(field.key)).word}` : '';
    this.#over = field;
    if (this.#pane.title === title) return;
    if (field) this.#pane.title = title;
    else this.#pane.removeAttribute('title');
    this.#pane.toggleAttribute('data-over', field !== undefined);
  }
}
