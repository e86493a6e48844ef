import type { ClientFrame, ServerFrame } from './protocol';

export interface TransportHandlers {
  /** Frames may be sent from now on. */
  open(): void;
  /** One batch of frames, in order. */
  frames(batch: ServerFrame[]): void;
  /** Called at most once; nothing follows. */
  close(code: number, reason: string): void;
}

/** One connection attempt. A new one is made for each. */
export interface Transport {
  /** The host waits for `credit` after each batch (IPC: a socket has TCP for that). */
  readonly credit: boolean;
  open(handlers: TransportHandlers): void;
  send(frame: ClientFrame): void;
  close(): void;
}
