/** A place in one log. Written `<epoch>.<seq>`. */
export interface Place {
  epoch: string;
  seq: number;
}

export function parseCursor(text: string): Place | undefined {
  const dot = text.lastIndexOf('.');
  if (dot < 1) return undefined;
  const seq = Number(text.slice(dot + 1));
  return Number.isSafeInteger(seq) && seq >= 0 ? { epoch: text.slice(0, dot), seq } : undefined;
}

export function formatCursor(place: Place): string {
  return `${place.epoch}.${String(place.seq)}`;
}

const ID = /^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$/;

/** Whether the host would accept the room: one malformed name in a `hello` is final for the whole connection. */
export function isRoom(room: string): boolean {
  if (room === 'host' || room === 'activity') return true;
  if (room.startsWith('project/')) return ID.test(room.slice(8));
  return /^run\/r_[a-z0-9]{8,40}$/.test(room);
}
