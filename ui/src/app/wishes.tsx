import { useEffect, useState } from 'react';
import { JoinHost } from '../features/hosts/JoinHost';
import { hearWishes } from '../platform/hosts';
import type { Wish } from '../platform/hosts';
import { show, world } from '../store/client';
import { followHosts, isJoined, showHost } from '../store/hosts';

/** What the desktop's links and notifications lead to. They ask before anything is joined. */
export function Wishes() {
  const [invitation, setInvitation] = useState<{ link: string; turn: number }>();
  useEffect(() => {
    begin((link) => setInvitation((before) => ({ link, turn: (before?.turn ?? 0) + 1 })));
  }, []);
  if (invitation === undefined) return null;
  return <JoinHost key={invitation.turn} invitation={invitation.link} onClose={() => setInvitation(undefined)} />;
}

let begun = false;
let ask: ((link: string) => void) | undefined;

function begin(onJoin: (link: string) => void): void {
  ask = onJoin;
  if (begun) return;
  begun = true;
  // The hosts first: a wish may name one.
  void followHosts()
    .catch((error: unknown) => refuse(`The list of hosts cannot be read: ${String(error)}`))
    .then(() => hearWishes(follow))
    .catch(() => undefined);
}

function refuse(title: string): void {
  world.notice({ kind: 'error', title, text: 'Nothing was done.' });
  show();
}

function follow(wish: Wish): void {
  switch (wish.kind) {
    case 'join':
      ask?.(wish.link);
      return;
    case 'refused':
      refuse(wish.message);
      return;
    case 'open':
      if (wish.host !== undefined && !isJoined(wish.host)) refuse(`The host ${wish.host} is not joined here`);
      else showHost(wish.host, { path: wish.path });
  }
}
