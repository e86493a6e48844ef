/**
 * Where the focus goes when what lay over the screen closes; for the `finalFocus` of the dialog library.
 *
 * The screen itself takes focus but is no stop of Tab, and to such an element the library prefers the first button
 * within: a letter would then be typed into a select, and Enter would press what nobody chose.
 */
export function returnFocus(before: Element | null): boolean {
  const main = document.getElementById('main');
  if (before !== null && before !== main && before !== document.body && before.isConnected) return true;
  queueMicrotask(() => main?.focus({ preventScroll: true }));
  return false;
}
