import { useEffect, useState } from 'react';
import { isDesktop } from '../platform/environment';
import { login } from '../platform/session';
import { connect, useLink, useShownHost } from '../store/client';
import { navigate } from '../store/route';
import { JoinView } from '../views/JoinView';
import { LoginView } from '../views/LoginView';
import { App } from './App';
import { takeInvitation } from './invitation';
import { Wishes } from './wishes';

const CODE = /^#code=([^&]+)/;
const INVALID_TOKEN = 4500;
const TOKEN_EXPIRED = 4005;

/** The code of a link logs in at once, and leaves the address: it is of no more use, and nobody should copy it. */
async function enter(): Promise<string | undefined> {
  const found = CODE.exec(location.hash);
  if (!found?.[1]) return undefined;
  history.replaceState(null, '', location.pathname + location.search);
  let code: string;
  try {
    code = decodeURIComponent(found[1]);
  } catch {
    return 'The code in this link is damaged. Ask for a new one.';
  }
  return login(code);
}

let entering: Promise<string | undefined> | undefined;

// Before anything is drawn or fetched: the address must not keep it.
const invitation = isDesktop ? undefined : takeInvitation(location, history);

export function Gate() {
  const [invited, setInvited] = useState(invitation);
  if (invited === undefined) return <Inside />;
  const done = () => {
    navigate('/', { replace: true });
    setInvited(undefined);
  };
  return <JoinView code={invited} onDone={done} />;
}

function Inside() {
  const link = useLink();
  const host = useShownHost();
  const [problem, setProblem] = useState<string>();
  useEffect(() => {
    entering ??= enter();
    const go = (failed: string | undefined) => {
      setProblem(failed);
      void connect();
    };
    void entering.then(go);
    // A link opened in a page that is already here changes the fragment only.
    const onHash = () => {
      if (CODE.test(location.hash)) void enter().then(go);
    };
    window.addEventListener('hashchange', onHash);
    return () => window.removeEventListener('hashchange', onHash);
  }, []);
  const code = link.closed?.code;
  const locked = link.phase === 'refused' && (code === INVALID_TOKEN || code === TOKEN_EXPIRED);
  // The desktop app has no cookie to renew: it says what the host said, and offers the other hosts.
  if (locked && !isDesktop) return <LoginView problem={problem} onDone={() => void connect()} />;
  return (
    <>
      {/* Drawn anew for each host: no state of one may be taken for the other's. */}
      <App key={host ?? ''} />
      {isDesktop && <Wishes />}
    </>
  );
}
