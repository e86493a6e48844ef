import { useEffect, useState } from 'react';
import { Quiet } from '../features/team/Quiet';
import { isDesktop } from '../platform/environment';
import { askPermission, permission, worker } from '../platform/notifications';
import { logout } from '../platform/session';
import type { LoginCode } from '../platform/protocol';
import { call, useLink, useStale } from '../store/client';
import { setTheme, useTheme } from '../store/preferences';
import type { Theme } from '../store/preferences';
import { useNow } from '../store/time';
import { Button } from '../shared/parts';
import { Page } from '../shared/Page';
import { Problem } from '../shared/Problem';
import { useAction } from '../shared/useAction';

const THEMES: readonly [Theme, string][] = [
  ['system', 'As the system'],
  ['light', 'Light'],
  ['dark', 'Dark'],
];
const CODE_MS = 60_000;

export function SettingsView() {
  const theme = useTheme();
  const link = useLink();
  return (
    <Page title="Settings" testid="view-settings">
      <div className="stack column">
        <section className="panel" aria-label="Look">
          <header>
            <h2>Look</h2>
          </header>
          <div className="body row wrap" role="radiogroup" aria-label="Theme">
            {THEMES.map(([key, label]) => (
              <label key={key} className="check card theme-choice">
                <input
                  type="radio"
                  name="theme"
                  checked={theme === key}
                  data-testid={`theme-${key}`}
                  onChange={() => setTheme(key)}
                />
                {label}
              </label>
            ))}
          </div>
        </section>
        <Notifications />
        <Quiet />
        <OtherBrowser />
        <section className="panel" aria-label="About">
          <header>
            <h2>About</h2>
          </header>
          <dl className="body facts">
            <dt>You are</dt>
            <dd>
              {link.memberName} ({link.role})
            </dd>
            <dt>This page</dt>
            <dd className="num">{__VERSION__}</dd>
            <dt>Host</dt>
            <dd className="num">{link.version}</dd>
          </dl>
          {!isDesktop && (
            <div className="body">
              <Button icon="logout" onClick={() => void logout().then(() => location.assign('/'))}>
                Log out of this browser
              </Button>
            </div>
          )}
        </section>
      </div>
    </Page>
  );
}

function Notifications() {
  const [allowed, setAllowed] = useState(permission);
  const [buttons, setButtons] = useState<boolean>();
  useEffect(() => {
    if (isDesktop || allowed !== 'granted') return;
    let current = true;
    void worker().then((found) => {
      if (current) setButtons(found !== undefined);
    });
    return () => {
      current = false;
    };
  }, [allowed]);
  const text = isDesktop
    ? 'The desktop app shows a system notification when a question waits for you.'
    : allowed === 'none'
      ? "This browser offers no notifications here. They need https or this machine's own address."
      : allowed === 'granted'
        ? 'On: this browser tells you when a question waits while you look elsewhere.'
        : allowed === 'denied'
          ? 'Blocked in this browser. Allow them in the site settings, beside the address.'
          : 'Off. The browser will ask once.';
  return (
    <section className="panel" aria-label="Notifications" data-testid="notifications" data-state={allowed}>
      <header>
        <h2>Notifications</h2>
      </header>
      <div className="body stack">
        <div className="row between wrap">
          <span className="soft grow">{text}</span>
          {!isDesktop && allowed === 'default' && (
            <Button data-testid="notifications-on" onClick={() => void askPermission().then(setAllowed)}>
              Turn on
            </Button>
          )}
        </div>
        {!isDesktop && allowed === 'granted' && buttons !== undefined && (
          <p className="soft" data-testid="notifications-buttons" data-state={buttons ? 'yes' : 'no'}>
            {buttons
              ? 'A question can be answered with the buttons of its notification.'
              : "A notification has no buttons here, because this browser does not trust the host's certificate: a click opens the question. Trust the certificate in the system, or put the host behind a name of your own, for buttons."}
          </p>
        )}
      </div>
    </section>
  );
}

function OtherBrowser() {
  const stale = useStale();
  const [code, setCode] = useState<LoginCode & { until: number }>();
  const now = useNow(code !== undefined);
  const make = useAction(async () => {
    const made = await call('login_code.create', {});
    setCode({ ...made, until: Date.now() + CODE_MS });
  });
  const left = code ? Math.ceil((code.until - now) / 1000) : 0;
  return (
    <section className="panel" aria-label="Another browser">
      <header>
        <h2 className="grow">Another browser</h2>
      </header>
      <div className="body stack">
        <p className="soft">A code logs another browser in as you, once, within a minute. Give it to nobody else.</p>
        {code && left > 0 ? (
          <div className="stack tight" data-testid="login-code">
            <div className="row wrap">
              <code className="login-code">{code.code}</code>
              <Button
                size="small"
                icon="copy"
                onClick={() => void navigator.clipboard.writeText(code.code).catch(() => undefined)}
              >
                Copy
              </Button>
              <span className="muted num">{left} s left</span>
            </div>
            {code.url ? (
              <p className="mono soft" style={{ overflowWrap: 'anywhere' }}>
                {code.url}
              </p>
            ) : (
              <p className="muted">The host does not listen for browsers yet.</p>
            )}
          </div>
        ) : (
          <div>
            <Button disabled={stale || make.pending} data-testid="make-code" onClick={() => void make.run()}>
              {code ? 'Make another code' : 'Make a code'}
            </Button>
          </div>
        )}
        <Problem error={make.error} />
      </div>
    </section>
  );
}
