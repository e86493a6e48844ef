import { digestOf } from '../stream/digest';
import { heldRooms, useLink, world } from './client';

/** A room that this window holds. */
export interface HeldRoom {
  readonly room: string;
  /** Its newest event. */
  readonly seq: number | undefined;
  readonly digest: string | undefined;
}

/** The rooms that this window holds now. Costs a look at all of it: for the screen that shows it only. */
export function useHeld(): readonly HeldRoom[] {
  // The rooms change in place, and none of them is named here: nothing may be cached.
  'use no memo';
  // Whatever comes in moves the link's place.
  useLink();
  return heldRooms().map(([room, seq]) => ({ room, seq, digest: digestOf(world, room) }));
}
