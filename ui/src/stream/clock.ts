/** Time and chance are passed in, so that tests own both. */
export interface Clock {
  /** Unix milliseconds. */
  now(): number;
  /** Runs `task` once after `ms`; the returned function takes it back. */
  after(ms: number, task: () => void): () => void;
  /** 0 (included) to 1 (excluded). */
  random(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, task) => {
    const timer = setTimeout(task, ms);
    return () => {
      clearTimeout(timer);
    };
  },
  random: () => Math.random(),
};

/**
 * Runs `task` with the next painted frame, or after 120 ms when there is none: a hidden tab paints
 * nothing, and must neither fall behind the host nor hoard frames.
 */
export function nextFrame(task: () => void): () => void {
  let done = false;
  const run = () => {
    if (done) return;
    done = true;
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    task();
  };
  const frame = requestAnimationFrame(run);
  const timer = setTimeout(run, 120);
  return () => {
    done = true;
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
}
