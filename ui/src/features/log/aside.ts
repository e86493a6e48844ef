/**
 * Says whether a log is scrolled to the side. Only then its line numbers are held in their place, since each of them is a layer
 * of its own to the browser, which is paid for with every frame.
 */
export function tellAside(scroller: HTMLElement): void {
  scroller.toggleAttribute('data-aside', scroller.scrollLeft > 0);
}
