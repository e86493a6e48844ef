import { useHeld } from '../../store/held';
import { useLink } from '../../store/client';
import { Ago, Button } from '../../shared/parts';

/** What this window holds, and a short name for it: two people see at a glance whether they see the same. */
export function Held() {
  const link = useLink();
  const rooms = useHeld();
  const place = link.epoch === undefined ? '—' : `${link.epoch}.${String(link.seq ?? 0)}`;
  const text = [
    `Signalbox ${link.version ?? ''} as ${link.memberName ?? ''}, at ${place}, ${link.phase}`,
    `reconnects ${String(link.reconnects)}, losses mended ${String(link.gaps)}, round trip ${String(link.roundTripMs ?? '—')} ms`,
    ...rooms.map(({ room, seq, digest }) => `${room} ${String(seq ?? '—')} ${digest ?? ''}`),
  ].join('\n');
  return (
    <section
      className="panel"
      aria-label="What this window holds"
      data-testid="held"
      data-phase={link.phase}
      data-gaps={link.gaps}
    >
      <header>
        <h2>What this window holds</h2>
        <span className="badge mono">{place}</span>
        <span className="grow" />
        <Button size="small" icon="copy" onClick={() => void navigator.clipboard.writeText(text)}>
          Copy
        </Button>
      </header>
      <p className="soft held-note">
        Two windows with the same place and the same digest of a room show the same, to the last letter.
        {link.heardAt !== undefined && (
          <>
            {' '}
            The host was last heard <Ago at={link.heardAt} />.
          </>
        )}
      </p>
      <div className="table-scroll" tabIndex={0} role="region" aria-label="Table of rooms">
        <table className="table">
          <thead>
            <tr>
              <th>Room</th>
              <th className="right">Last event</th>
              <th>Digest</th>
            </tr>
          </thead>
          <tbody>
            {rooms.map(({ room, seq, digest }) => (
              <tr key={room} data-testid={`held-${room}`} data-seq={seq} data-digest={digest}>
                <td className="mono">{room}</td>
                <td className="right num">{seq ?? '—'}</td>
                <td className="mono">
                  {digest === undefined ? '—' : `${digest.slice(0, 4)} ${digest.slice(4, 8)} ${digest.slice(8)}`}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
