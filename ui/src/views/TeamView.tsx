import { Audit } from '../features/team/Audit';
import { Members } from '../features/team/Members';
import { Sharing } from '../features/team/Sharing';
import { useLink } from '../store/client';
import { Page } from '../shared/Page';

export function TeamView() {
  const owner = useLink().role === 'owner';
  return (
    <Page title="Team" testid="view-team">
      <div className="stack">
        <Sharing />
        <Members />
        {owner && <Audit />}
      </div>
    </Page>
  );
}
