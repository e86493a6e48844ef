import type { Health, HealthCheck, SystemReport, SystemStatus } from '../../platform/protocol';
import { useLink } from '../../store/client';
import { bytes, duration, percent } from '../../shared/format';
import { State } from '../../shared/Lamp';
import { Ago, Meter } from '../../shared/parts';
import type { Look } from '../../shared/status';
import './system.css';

const HEALTH: Record<Health, Look> = {
  ok: { word: 'Well', tone: 'good', shape: 'check' },
  degraded: { word: 'Degraded', tone: 'wait', shape: 'question' },
  down: { word: 'Down', tone: 'bad', shape: 'cross' },
};

export function Services({ checks }: { checks: readonly HealthCheck[] }) {
  return (
    <section className="panel" aria-label="Health" data-testid="health">
      <header>
        <h2>Health</h2>
      </header>
      <ul className="body stack tight">
        {checks.length === 0 && <li className="muted">Not measured yet.</li>}
        {checks.map((check) => (
          <li key={check.service} className="row between">
            <span className="grow">
              <b>{check.service}</b>
              {check.detail && <span className="muted"> · {check.detail}</span>}
            </span>
            <State look={HEALTH[check.health]} />
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Machine({ system }: { system: SystemStatus | undefined }) {
  return (
    <section className="panel" aria-label="Machine">
      <header>
        <h2>Machine</h2>
      </header>
      <div className="body stack">
        {!system && <p className="muted">Not measured yet.</p>}
        {system && (
          <>
            <Gauge label="Processor" part={system.cpu} text={percent(system.cpu)} />
            <Gauge
              label="Memory"
              part={system.memory_used / Math.max(1, system.memory_total)}
              text={`${bytes(system.memory_used)} of ${bytes(system.memory_total)}`}
            />
            <Gauge
              label="Disk"
              part={1 - system.disk_free / Math.max(1, system.disk_total)}
              text={`${bytes(system.disk_free)} free`}
            />
          </>
        )}
      </div>
    </section>
  );
}

function Gauge({ label, part, text }: { label: string; part: number; text: string }) {
  return (
    <div data-tone={part > 0.95 ? 'bad' : part > 0.85 ? 'wait' : 'active'} className="stack tight">
      <div className="row between">
        <span>{label}</span>
        <span className="num soft">{text}</span>
      </div>
      <Meter value={part} label={label} />
    </div>
  );
}

export function Facts({ report }: { report: SystemReport }) {
  const link = useLink();
  const behind = link.seq === undefined ? undefined : Math.max(0, report.log.head - link.seq);
  return (
    <section className="panel" aria-label="Host">
      <header>
        <h2 className="grow">Host</h2>
        <State look={HEALTH[report.status]} />
      </header>
      <dl className="body facts">
        <dt>Version</dt>
        <dd>{report.version}</dd>
        <dt>Running since</dt>
        <dd>
          <Ago at={report.started_at} />
        </dd>
        <dt>Address</dt>
        <dd className="mono">{report.url ?? 'not listening'}</dd>
        <dt>Data</dt>
        <dd className="mono">{report.data_dir}</dd>
        <dt>Runs not done</dt>
        <dd className="num">{report.active_runs}</dd>
        <dt>Steps at once</dt>
        <dd className="num">{report.slots}</dd>
        <dt>Log</dt>
        <dd className="num">
          <span className="mono">{report.log.epoch}</span>, {report.log.oldest.toLocaleString()} to{' '}
          {report.log.head.toLocaleString()}, {bytes(report.log.bytes)}
        </dd>
        <dt>Keeps through</dt>
        <dd>{report.log.durability === 'power' ? 'loss of power' : 'the end of its process'}</dd>
        {behind !== undefined && (
          <>
            <dt>This window</dt>
            <dd className="num">
              {behind === 0 ? 'up to date' : `${behind.toLocaleString()} events of other rooms behind`}
            </dd>
          </>
        )}
      </dl>
    </section>
  );
}

export function LimitsPanel({ report }: { report: SystemReport }) {
  const { limits } = report;
  const none = (n: number) => (n === 0 ? 'no limit' : n.toLocaleString());
  return (
    <section className="panel" aria-label="Limits">
      <header>
        <h2>Limits of a connection</h2>
      </header>
      <dl className="body facts">
        <dt>Message to the host</dt>
        <dd className="num">{bytes(limits.frame_bytes)}</dd>
        <dt>Posted event</dt>
        <dd className="num">{bytes(limits.event_bytes)}</dd>
        <dt>On the way out</dt>
        <dd className="num">{bytes(limits.outbound_bytes)}</dd>
        <dt>Rooms</dt>
        <dd className="num">{limits.rooms}</dd>
        <dt>Time for hello</dt>
        <dd className="num">{duration(limits.hello_ms)}</dd>
        <dt>Calls per second</dt>
        <dd className="num">{none(limits.calls_per_second)}</dd>
        <dt>Per member</dt>
        <dd className="num">{none(limits.connections_per_member)}</dd>
        <dt>Of the host</dt>
        <dd className="num">{none(limits.connections)}</dd>
        <dt>Replay</dt>
        <dd className="num">{limits.replay_events.toLocaleString()} events</dd>
      </dl>
    </section>
  );
}
