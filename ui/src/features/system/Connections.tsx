import type { Connection } from '../../platform/protocol';
import { call, useLink, useStale } from '../../store/client';
import { bytes } from '../../shared/format';
import { useConnections } from '../../store/team';
import { Plot } from './Plot';
import { Ago, Button } from '../../shared/parts';
import { useAction } from '../../shared/useAction';

const TRANSPORT: Record<string, string> = {
  ipc: 'Desktop window',
  websocket: 'WebSocket',
  websocket_naive: 'WebSocket (plain)',
  sse: 'Server-sent events',
};

export function Connections({ connections, reload }: { connections: readonly Connection[]; reload: () => void }) {
  const link = useLink();
  const stale = useStale();
  const heard = new Map(useConnections().map((each) => [each.connection.id, each.samples]));
  const close = useAction(
    async (connection: number) => {
      await call('connection.close', { connection });
      reload();
    },
    { toast: true },
  );
  return (
    <section className="panel" aria-label="Connections" data-testid="connections">
      <header>
        <h2>Connections</h2>
        <span className="badge num">{connections.length}</span>
      </header>
      <div className="table-scroll" tabIndex={0} role="region" aria-label="Table of connections">
        <table className="table">
          <thead>
            <tr>
              <th>Who</th>
              <th>Way</th>
              <th>Since</th>
              <th className="right">Round trip</th>
              <th className="right">Behind</th>
              <th className="right">Events</th>
              <th className="right">Sent</th>
              <th className="right">Left out</th>
              <th>Joined by</th>
              <th>
                <span className="sr">Close</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {connections.map((connection) => (
              <tr key={connection.id}>
                <td>
                  <b>{connection.member_name}</b>
                  {connection.id === link.connection && (
                    <span className="badge" data-tone="active" style={{ marginLeft: 6 }}>
                      this window
                    </span>
                  )}
                  <div className="muted">{connection.client}</div>
                </td>
                <td>
                  {TRANSPORT[connection.transport] ?? connection.transport}
                  <div className="muted mono">{connection.address}</div>
                </td>
                <td>
                  <Ago at={connection.connected_at} />
                </td>
                <td className="right num">
                  {connection.round_trip_ms === undefined
                    ? '—'
                    : `${connection.round_trip_ms < 1 ? '<1' : String(Math.round(connection.round_trip_ms))} ms`}
                  <Plot
                    label="Round trip, the last ten minutes"
                    unit="ms"
                    values={(heard.get(connection.id) ?? []).map((sample) => sample.roundTrip)}
                  />
                </td>
                <td className="right num">
                  {connection.lag === 0 ? (
                    '0'
                  ) : (
                    <b data-tone="wait" className="tone">
                      {connection.lag.toLocaleString()}
                    </b>
                  )}
                  {(connection.lag_bytes ?? 0) > 0 && <div className="muted">{bytes(connection.lag_bytes ?? 0)}</div>}
                  <Plot
                    label="Events behind, the last ten minutes"
                    unit="events"
                    values={(heard.get(connection.id) ?? []).map((sample) => sample.lag)}
                  />
                </td>
                <td className="right num">{connection.events.toLocaleString()}</td>
                <td className="right num">{bytes(connection.bytes)}</td>
                <td className="right num" title="Messages of presence that a newer one took the place of">
                  {connection.ephemeral_dropped ?? 0}
                </td>
                <td>
                  {connection.joined}
                  <div className="muted">{connection.rooms.length} rooms</div>
                </td>
                <td className="right">
                  {link.role === 'owner' && connection.id !== link.connection && (
                    <Button
                      size="small"
                      kind="quiet"
                      icon="close"
                      aria-label={`Close the connection of ${connection.member_name}`}
                      title="Close for good"
                      disabled={stale || close.pending}
                      onClick={() => void close.run(connection.id)}
                    />
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
