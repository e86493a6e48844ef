/**
 * Gives endless animations one phase: each begins when its element appears, and forty lamps that step
 * four times a turn would together paint at every frame.
 */
export function keepOneBeat(): void {
  document.addEventListener('animationstart', ({ target }) => {
    if (!(target instanceof Element)) return;
    for (const animation of target.getAnimations())
      if (animation.effect?.getComputedTiming().iterations === Infinity) animation.startTime = 0;
  });
}
