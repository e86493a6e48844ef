import { useState } from 'react';
import type { NewsKind, QuietHours, Weekday } from '../../platform/protocol';
import { useStale } from '../../store/client';
import { updateProfile, useProfile, useQuietUntil } from '../../store/quiet';
import { useNow } from '../../store/time';
import { Icon } from '../../shared/Icon';
import { Button, Link } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import './team.css';

const DAYS: readonly [Weekday, string][] = [
  ['mon', 'Mon'],
  ['tue', 'Tue'],
  ['wed', 'Wed'],
  ['thu', 'Thu'],
  ['fri', 'Fri'],
  ['sat', 'Sat'],
  ['sun', 'Sun'],
];
const KINDS: readonly [NewsKind, string][] = [
  ['questions', 'Questions'],
  ['risks', 'Risks'],
  ['messages', 'Messages of workflows'],
];
const HOUR = 3_600_000;
const MORNING = 8;

const here = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

function zones(): readonly string[] {
  return typeof Intl.supportedValuesOf === 'function' ? Intl.supportedValuesOf('timeZone') : [here()];
}

/** `07:00`, with the day if it is not today. */
export function untilWord(at: number): string {
  const today = new Date(at).toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(undefined, {
    ...(today ? {} : { weekday: 'short' }),
    hour: '2-digit',
    minute: '2-digit',
  }).format(at);
}

function tomorrow(): number {
  const day = new Date();
  day.setDate(day.getDate() + 1);
  day.setHours(MORNING, 0, 0, 0);
  return day.getTime();
}

/** In the bar above, while it is quiet. */
export function QuietMark() {
  const until = useQuietUntil();
  if (until === undefined) return null;
  return (
    <Link to="/settings" className="badge quiet-mark" data-testid="quiet-mark" title="No notifications until then">
      Quiet until {untilWord(until)}
    </Link>
  );
}

/** When this member is not to be disturbed; on the host, so that it holds on every device. */
export function Quiet() {
  const profile = useProfile();
  const until = useQuietUntil();
  const stale = useStale();
  const now = useNow(profile?.muted_until !== undefined);
  const [draft, setDraft] = useState<QuietHours>();
  const change = useAction(updateProfile);
  const hours = draft ?? profile?.quiet ?? { from: '22:00', to: '07:00', time_zone: here() };
  const on = draft !== undefined || profile?.quiet !== undefined;
  const off = stale || change.pending;
  const edit = (part: Partial<QuietHours>) => setDraft({ ...hours, ...part });
  const save = async () => {
    if (await change.run({ quiet: hours })) setDraft(undefined);
  };
  const through = profile?.through ?? [];
  const days = hours.days ?? [];
  return (
    <section className="panel" aria-label="Quiet hours" data-testid="quiet">
      <header>
        <h2>Quiet hours</h2>
        <span className="grow" />
        {until !== undefined && (
          <span className="badge" data-tone="wait" data-testid="quiet-now">
            Quiet until {untilWord(until)}
          </span>
        )}
      </header>
      <div className="body stack">
        <p className="soft">
          No notifications on any of your devices; afterwards one says what you were spared. The inbox has everything at
          once, and nobody else is told less.
        </p>
        <div className="row wrap">
          <Button
            disabled={off}
            data-testid="mute-hour"
            onClick={() => void change.run({ muted_until: Date.now() + HOUR })}
          >
            Mute for 1 hour
          </Button>
          <Button
            disabled={off}
            data-testid="mute-tomorrow"
            onClick={() => void change.run({ muted_until: tomorrow() })}
          >
            Mute until tomorrow
          </Button>
          {profile?.muted_until !== undefined && profile.muted_until > now && (
            <Button
              kind="quiet"
              disabled={off}
              data-testid="unmute"
              onClick={() => void change.run({ drop: ['muted_until'] })}
            >
              Unmute
            </Button>
          )}
        </div>
        <label className="check">
          <input
            type="checkbox"
            checked={on}
            disabled={off}
            data-testid="quiet-on"
            onChange={(event) => {
              if (event.target.checked) setDraft(hours);
              else {
                setDraft(undefined);
                if (profile?.quiet) void change.run({ drop: ['quiet'] });
              }
            }}
          />
          Always at these hours
        </label>
        {on && (
          <>
            <div className="row wrap">
              <label className="row">
                <span className="soft">From</span>
                <input
                  className="input"
                  type="time"
                  required
                  value={hours.from}
                  data-testid="quiet-from"
                  onChange={(event) => edit({ from: event.target.value })}
                />
              </label>
              <label className="row">
                <span className="soft">to</span>
                <input
                  className="input"
                  type="time"
                  required
                  value={hours.to}
                  data-testid="quiet-to"
                  onChange={(event) => edit({ to: event.target.value })}
                />
              </label>
              <label className="row">
                <span className="soft">in</span>
                <select
                  className="input"
                  value={hours.time_zone}
                  data-testid="quiet-zone"
                  onChange={(event) => edit({ time_zone: event.target.value })}
                >
                  {[...new Set([hours.time_zone, here(), ...zones()])].map((zone) => (
                    <option key={zone}>{zone}</option>
                  ))}
                </select>
              </label>
            </div>
            <div className="row wrap" role="group" aria-label="Days on which they begin">
              {DAYS.map(([day, label]) => (
                <label key={day} className="check">
                  <input
                    type="checkbox"
                    checked={days.length === 0 || days.includes(day)}
                    data-testid={`quiet-${day}`}
                    onChange={(event) => {
                      const all = days.length === 0 ? DAYS.map(([each]) => each) : days;
                      const next = event.target.checked ? [...all, day] : all.filter((each) => each !== day);
                      // None and all are the same to the host: every day.
                      edit({ days: next.length === DAYS.length ? [] : next.length === 0 ? [day] : next });
                    }}
                  />
                  {label}
                </label>
              ))}
            </div>
            {draft !== undefined && (
              <div className="row">
                <Button
                  kind="primary"
                  disabled={off || hours.from === '' || hours.to === ''}
                  data-testid="quiet-save"
                  onClick={() => void save()}
                >
                  Save
                </Button>
                <Button onClick={() => setDraft(undefined)}>Cancel</Button>
              </div>
            )}
          </>
        )}
        <div className="row wrap" role="group" aria-label="Told all the same">
          <span className="soft">
            <Icon name="inbox" size={14} /> Told all the same:
          </span>
          {KINDS.map(([kind, label]) => (
            <label key={kind} className="check">
              <input
                type="checkbox"
                checked={through.includes(kind)}
                disabled={off}
                data-testid={`through-${kind}`}
                onChange={(event) =>
                  void change.run({
                    through: event.target.checked ? [...through, kind] : through.filter((each) => each !== kind),
                  })
                }
              />
              {label}
            </label>
          ))}
        </div>
        <Problem error={change.error} />
      </div>
    </section>
  );
}
