import { Connections } from '../features/system/Connections';
import { Held } from '../features/system/Held';
import { Facts, LimitsPanel, Machine, Services } from '../features/system/Host';
import { useHealth, useSystem } from '../store/read';
import { Loading } from '../shared/parts';
import { Page } from '../shared/Page';
import { Problem } from '../shared/Problem';
import { useQuery } from '../shared/useQuery';
import { useTick } from '../shared/useTick';

const POLL_MS = 3_000;

export function SystemView() {
  const tick = useTick(POLL_MS);
  const status = useQuery('system.status', {}, tick);
  const connections = useQuery('connection.list', {}, tick);
  const health = useHealth();
  const system = useSystem();
  return (
    <Page title="Connections and system" testid="view-system">
      {status.error !== undefined && <Problem error={status.error} />}
      {connections.error !== undefined && <Problem error={connections.error} />}
      {connections.data ? (
        <Connections connections={connections.data.connections} reload={connections.reload} />
      ) : (
        connections.loading && <Loading label="Loading connections" />
      )}
      <Held />
      <div className="system-grid">
        {status.data ? <Facts report={status.data} /> : status.loading && <Loading label="Loading the host's state" />}
        <div className="stack">
          <Services checks={health.length > 0 ? health : (status.data?.services ?? [])} />
          <Machine system={system ?? status.data?.system} />
        </div>
        {status.data && <LimitsPanel report={status.data} />}
      </div>
    </Page>
  );
}
