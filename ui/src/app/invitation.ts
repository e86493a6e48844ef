/**
 * The code of an invitation's link, `/join#CODE.FINGERPRINT`. It is taken out of the address and the history at once: nobody
 * should copy it, and what the browser keeps must not hold it. The fingerprint is for programs, which can check it.
 */
export function takeInvitation(place: Location, past: History): string | undefined {
  if (place.pathname !== '/join') return undefined;
  const code = /^#([a-z0-9]+)(?:\.[0-9a-f]{64})?$/i.exec(place.hash)?.[1];
  if (place.hash !== '') past.replaceState(null, '', '/join');
  return code ?? '';
}
