import type { Member } from '../../platform/protocol';
import { call, useStale } from '../../store/client';
import { Dialog } from '../../shared/Dialog';
import { Button } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';

/** Asks before a member is shut out: it cannot be taken back, only a new invitation lets them in again. */
export function Revoke({ member, onClose }: { member: Member; onClose: () => void }) {
  const stale = useStale();
  const revoke = useAction(async () => {
    await call('token.revoke', { member: member.id });
    onClose();
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={`Revoke ${member.name}?`}
      about="This closes its connections now; its token is good for nothing any more."
      testid="revoke-dialog"
      footer={
        <>
          <span className="grow" />
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="danger"
            disabled={stale || revoke.pending}
            data-testid="revoke-sure"
            onClick={() => void revoke.run()}
          >
            Revoke
          </Button>
        </>
      }
    >
      <p>To let {member.name} in again, make a new invitation.</p>
      <Problem error={revoke.error} />
    </Dialog>
  );
}
