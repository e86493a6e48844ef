import { Empty, Link } from '../shared/parts';

const WHY: Record<string, string> = {
  forbidden: 'Your role or projects do not allow it. Ask an owner of this host.',
  gone: 'You do not see this project any more, or it is not on this host.',
  not_found: 'It does not exist on this host, or its project was closed for good.',
};

export function NotHere({ what, refused }: { what: string; refused: string | undefined }) {
  return (
    <Empty
      alone
      title={refused === 'forbidden' ? `You may not see this ${what}` : `This ${what} is not here`}
      action={
        <Link className="button" to="/">
          All projects
        </Link>
      }
      testid="not-here"
    >
      <p>{WHY[refused ?? ''] ?? `The host knows no such ${what}. The link may be old or mistyped.`}</p>
    </Empty>
  );
}
