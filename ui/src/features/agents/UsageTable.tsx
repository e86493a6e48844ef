import { Problem } from '../../shared/Problem';
import { money, tokens } from '../../shared/used';
import { useQuery } from '../../shared/useQuery';
import { useTick } from '../../shared/useTick';

const POLL_MS = 60_000;
const DAYS = 30;
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeZone: 'UTC' });

/** What agents used up, by day and agent. Nothing is shown as long as nothing was used. */
export function UsageTable() {
  const { data, error } = useQuery('usage.report', { days: DAYS }, useTick(POLL_MS));
  if (error !== undefined && !data) return <Problem error={error} kind="warning" />;
  if (!data || data.days.length === 0) return null;
  return (
    <section className="panel column" aria-label={`Used in the last ${String(DAYS)} days`} data-testid="usage">
      <header>
        <h2 className="grow">Used in the last {DAYS} days</h2>
      </header>
      {/* On a narrow screen it scrolls: also by keys. */}
      <div className="table-scroll" role="region" aria-label="Use by day and agent" tabIndex={0}>
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Day (UTC)</th>
              <th scope="col">Agent</th>
              <th scope="col" className="right">
                Attempts
              </th>
              <th scope="col" className="right">
                Tokens in
              </th>
              <th scope="col" className="right">
                Tokens out
              </th>
              <th scope="col" className="right">
                Cost
              </th>
            </tr>
          </thead>
          <tbody className="num">
            {data.days.map(({ day, agent, attempts, usage }) => (
              <tr key={`${String(day)} ${agent}`}>
                <td>{DAY.format(day)}</td>
                <td>{agent}</td>
                <td className="right">{attempts}</td>
                <td className="right">{tokens(usage.input_tokens)}</td>
                <td className="right">{tokens(usage.output_tokens)}</td>
                <td className="right">{usage.usd === undefined ? 'not told' : money(usage.usd)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
