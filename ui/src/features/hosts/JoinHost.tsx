import { useState } from 'react';
import type { Joined } from '../../platform/hosts';
import { join as joinHost, showHost } from '../../store/hosts';
import { CallFailed } from '../../stream/calls';
import { Dialog } from '../../shared/Dialog';
import { Button } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';

/** The link of an invitation: it has all that is needed but a name. */
const INVITATION = /^\s*(https:\/\/[^#]+\/join#|signalbox:\/\/join\/[^#]+#)/;
const OWN_MACHINE = /^(https:|(http:\/\/)?(127\.|localhost\b|\[::1\]))/;

/** The host and port that an invitation's link leads to. */
function place(link: string): string {
  const found = /^\s*(?:https:\/\/([^/#]+)\/join|signalbox:\/\/join\/([^/#]+))/.exec(link);
  return found?.[1] ?? found?.[2] ?? '';
}

/** `invitation`: a link that was followed, and fills the field in. */
export function JoinHost({ onClose, invitation = '' }: { onClose: () => void; invitation?: string }) {
  const [url, setUrl] = useState(invitation);
  const [token, setToken] = useState('');
  const [name, setName] = useState('');
  const [joined, setJoined] = useState<Joined>();
  const join = useAction(async () => {
    try {
      const answer = await joinHost(url, token, name);
      if (answer.not_kept === null) {
        onClose();
        showHost(answer.host.id);
      } else setJoined(answer);
    } catch (error) {
      throw new CallFailed({ code: 'bad_request', message: String(error) });
    }
  });
  const invited = INVITATION.test(url);
  const ready = url.trim() !== '' && (invited ? name.trim() !== '' : token.trim() !== '');
  if (joined) {
    return (
      <Dialog
        open
        onClose={onClose}
        title={`${joined.host.name} is joined`}
        testid="host-joined"
        footer={
          <Button
            kind="primary"
            onClick={() => {
              onClose();
              showHost(joined.host.id);
            }}
            data-testid="host-show"
          >
            Show it
          </Button>
        }
      >
        <p>
          Its token is held only until this app ends, because {joined.not_kept}. After that, join it again; or start a
          keychain (GNOME Keyring, KWallet, KeePassXC) first.
        </p>
      </Dialog>
    );
  }
  const field = (
    id: string,
    label: string,
    value: string,
    set: (text: string) => void,
    about: string,
    hint: string,
  ) => (
    <div className="field">
      <label className="label" htmlFor={id}>
        {label}
      </label>
      <input
        id={id}
        className="input mono"
        type={id === 'host-token' ? 'password' : 'text'}
        value={value}
        placeholder={hint}
        autoComplete="off"
        spellCheck={false}
        data-testid={id}
        onChange={(event) => set(event.target.value)}
      />
      <span className="about">{about}</span>
    </div>
  );
  return (
    <Dialog
      open
      onClose={onClose}
      title="Join a host"
      about="See a host on another machine, and work on it, as far as its owner lets you."
      testid="join-host"
      footer={
        <>
          <Button onClick={onClose} data-testid="host-cancel">
            Cancel
          </Button>
          <Button
            kind="primary"
            type="submit"
            form="join-form"
            disabled={join.pending || !ready}
            data-testid="host-submit"
          >
            {join.pending ? 'Connecting…' : 'Join'}
          </Button>
        </>
      }
    >
      <form
        id="join-form"
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) void join.run();
        }}
      >
        {field(
          'host-url',
          'Invitation or address',
          url,
          setUrl,
          'The link that its owner sent you; or its address, if you have a token.',
          'https://192.168.1.7:7118/join#…',
        )}
        {invited && (
          <p data-testid="host-target">
            The invitation is to the host at <b className="mono">{place(url)}</b>. Join only if you know who sent it.
          </p>
        )}
        {invited ? (
          field('host-name', 'Your name', name, setName, 'What you are called there.', '')
        ) : (
          <>
            {field(
              'host-token',
              'Token',
              token,
              setToken,
              'Its owner makes one with “signalbox token create --role operator”.',
              '',
            )}
            {field('host-name', 'Name', name, setName, 'How it is called here. Empty: its address.', '')}
          </>
        )}
        {!invited && url.trim() !== '' && !OWN_MACHINE.test(url.trim()) && (
          <p className="soft" role="note">
            Over http the token and everything you see cross the network unencrypted. Use it in a network you trust, or
            an address with https.
          </p>
        )}
        <Problem error={join.error} />
      </form>
    </Dialog>
  );
}
