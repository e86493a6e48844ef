import { useEffect } from 'react';
import type { NewsKind, Profile, ProfileUpdate, QuietTime } from '../platform/protocol';
import type { World } from '../stream/world';
import { call, here, useLink, world } from './client';
import { useNow } from './time';
import { publish, useTopic } from './topics';

/** Quiet times are told for eight days; asked for again long before they end. */
const AGAIN_MS = 3_600_000;
const NONE: readonly never[] = [];

/** What the host told of its member's quiet times, and of which wishes that is. */
const told = new WeakMap<World, { of: Profile; at: number; times: readonly QuietTime[] }>();

/** What this member wants on every device; `undefined`: it is not known yet, or nothing was ever said. */
export function useProfile(): Profile | undefined {
  return useTopic('profile', () => world.team.profile);
}

/** The times without notifications from now on. */
export function useQuietTimes(): readonly QuietTime[] {
  const profile = useProfile();
  const live = useLink().phase === 'live';
  useEffect(() => {
    if (!live || profile === undefined) return;
    const ask = () => void askTimes(profile);
    const known = told.get(world);
    if (known?.of !== profile || performance.now() - known.at > AGAIN_MS) ask();
    const timer = setInterval(ask, AGAIN_MS);
    return () => clearInterval(timer);
  }, [profile, live]);
  return useTopic('profile', () => {
    const known = told.get(world);
    // What belongs to other wishes than the newest is held until the host has said what those come to.
    return profile === undefined ? NONE : (known?.times ?? NONE);
  });
}

async function askTimes(of: Profile): Promise<void> {
  const { world, call: ask } = session();
  try {
    const { quiet_times: times } = await ask();
    told.set(world, { of, at: performance.now(), times });
    publish(['profile']);
  } catch {
    // Asked again with the next connection, or within the hour.
  }
}

function session() {
  const mine = here();
  return { world: mine.world, call: () => mine.call('profile.get', {}) };
}

/** Until when it is quiet at a moment. */
export function quietUntil(times: readonly QuietTime[], now: number): number | undefined {
  return times.find((time) => time.from <= now && now < time.until)?.until;
}

/** Until when it is quiet now. */
export function useQuietUntil(): number | undefined {
  const times = useQuietTimes();
  return quietUntil(times, useNow(times.length > 0));
}

/** Changes some of it; the rest stays as it was said last, on whichever device. */
export async function updateProfile(change: Partial<ProfileUpdate> & { drop?: ('quiet' | 'muted_until')[] }) {
  const { drop = [], ...said } = change;
  const before = world.team.profile;
  const next: ProfileUpdate = {
    ...(before?.quiet && !drop.includes('quiet') ? { quiet: before.quiet } : {}),
    ...(before?.muted_until !== undefined && !drop.includes('muted_until') ? { muted_until: before.muted_until } : {}),
    ...(before?.through ? { through: before.through } : {}),
    ...said,
  };
  await call('profile.update', next);
}

/** Whether a kind of news is told although it is quiet. */
export function comesThrough(profile: Profile | undefined, kind: NewsKind): boolean {
  return profile?.through?.includes(kind) ?? false;
}
