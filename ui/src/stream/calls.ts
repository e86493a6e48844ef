import type { CallError, ClientFrame } from '../platform/protocol';
import type { Clock } from './clock';

/** Methods that change something: they carry an idempotency key, so that sending them again is harmless. */
const WRITES = new Set([
  'project.open',
  'project.close',
  'project.trust',
  'workflow.save',
  'run.start',
  'run.cancel',
  'run.pause',
  'run.resume',
  'run.retry',
  'approval.answer',
  'permission.answer',
  'risk.acknowledge',
  'risk.resolve',
  'worktree.merge',
  'worktree.remove',
  'event.publish',
  'queue.move',
  'queue.pause',
  'queue.resume',
  'token.create',
  'token.revoke',
  'login_code.create',
  'connection.close',
]);

const TIMEOUT_MS = 20_000;
const THROTTLED_RETRIES = 3;

interface Pending {
  frame: Extract<ClientFrame, { type: 'call' }>;
  sentAt: number | undefined;
  throttled: number;
  resolve(value: unknown): void;
  reject(error: CallFailed): void;
  stopTimer(): void;
}

/** A call that failed, as the host or this window tells it. */
export class CallFailed extends Error {
  readonly detail: CallError;
  constructor(detail: CallError) {
    super(detail.message);
    this.name = 'CallFailed';
    this.detail = detail;
  }
}

/** Calls on their way. They outlive a connection: what was not answered is sent again on the next one. */
export class Calls {
  readonly #pending = new Map<number, Pending>();
  #next = 1;

  constructor(
    private readonly clock: Clock,
    private readonly send: (frame: ClientFrame) => boolean,
    private readonly measured: (roundTripMs: number) => void,
  ) {}

  nextRid(): number {
    return this.#next++;
  }

  get size(): number {
    return this.#pending.size;
  }

  call(method: string, params: unknown, timeoutMs = TIMEOUT_MS): Promise<unknown> {
    const rid = this.nextRid();
    const frame: Pending['frame'] = { type: 'call', rid, method, params: params as never };
    if (WRITES.has(method)) frame.key = newKey();
    return new Promise((resolve, reject) => {
      const stopTimer = this.clock.after(timeoutMs, () => {
        const entry = this.#pending.get(rid);
        this.#pending.delete(rid);
        reject(new CallFailed(timedOut(method, entry?.sentAt !== undefined, timeoutMs)));
      });
      const entry: Pending = { frame, sentAt: undefined, throttled: 0, resolve, reject, stopTimer };
      this.#pending.set(rid, entry);
      this.#post(entry);
    });
  }

  /** After a reconnect: the same rid and the same key, so a write that got through is answered, not repeated. */
  resend(): void {
    for (const entry of this.#pending.values()) this.#post(entry);
  }

  settle(rid: number, result: unknown, error: CallError | undefined): boolean {
    const entry = this.#pending.get(rid);
    if (!entry) return false;
    if (error?.code === 'too_many_requests' && entry.throttled < THROTTLED_RETRIES) {
      entry.throttled += 1;
      this.clock.after(error.retry_after_ms ?? 500, () => {
        if (this.#pending.has(rid)) this.#post(entry);
      });
      return true;
    }
    this.#pending.delete(rid);
    entry.stopTimer();
    if (error) entry.reject(new CallFailed(error));
    else {
      if (entry.sentAt !== undefined) this.measured(this.clock.now() - entry.sentAt);
      entry.resolve(result);
    }
    return true;
  }

  failAll(error: CallError): void {
    for (const entry of this.#pending.values()) {
      entry.stopTimer();
      entry.reject(new CallFailed(error));
    }
    this.#pending.clear();
  }

  #post(entry: Pending): void {
    if (this.send(entry.frame)) entry.sentAt = this.clock.now();
  }
}

function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function timedOut(method: string, sent: boolean, ms: number): CallError {
  const seconds = String(Math.round(ms / 1000));
  if (!sent) {
    return {
      code: 'unavailable',
      message: `The host could not be reached for ${seconds} s. Nothing was done.`,
      hint: 'Try again once the connection light is green.',
    };
  }
  return WRITES.has(method)
    ? {
        code: 'unavailable',
        message: `The host did not answer within ${seconds} s. It may still have been done.`,
        hint: 'Look at the current state before you try again.',
      }
    : { code: 'unavailable', message: `The host did not answer within ${seconds} s.`, hint: 'Try again.' };
}
