import { Feed } from '../features/activity/Feed';
import { Page } from '../shared/Page';

export function ActivityView() {
  return (
    <Page title="Activity" testid="view-activity">
      <div className="column">
        <Feed />
      </div>
    </Page>
  );
}
