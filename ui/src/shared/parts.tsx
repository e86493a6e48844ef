import type { ButtonHTMLAttributes, ReactNode } from 'react';
import { navigate } from '../store/route';
import { useNow } from '../store/time';
import { duration, ago, exact } from './format';
import { Icon } from './Icon';
import type { IconName } from './Icon';

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & {
  kind?: 'primary' | 'danger' | 'quiet' | undefined;
  size?: 'small' | undefined;
  icon?: IconName | undefined;
};

export function Button({ kind, size, icon, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      className="button"
      data-kind={kind}
      data-size={size}
      data-icon={children === undefined ? '' : undefined}
      {...rest}
    >
      {icon && <Icon name={icon} size={16} />}
      {children}
    </button>
  );
}

type LinkProps = React.AnchorHTMLAttributes<HTMLAnchorElement> & { to: string; replace?: boolean };

/** A link within the app: a plain click stays in the page, anything else is the browser's. */
export function Link({ to, replace, onClick, ...rest }: LinkProps) {
  return (
    <a
      href={to}
      {...rest}
      onClick={(event) => {
        onClick?.(event);
        if (
          event.defaultPrevented ||
          event.button !== 0 ||
          event.metaKey ||
          event.ctrlKey ||
          event.shiftKey ||
          event.altKey
        )
          return;
        event.preventDefault();
        navigate(to, replace ? { replace } : {});
      }}
    />
  );
}

export function Kbd({ children }: { children: string }) {
  return <kbd className="kbd">{children}</kbd>;
}

export function Meter({ value, label }: { value: number; label: string }) {
  const part = Math.min(1, Math.max(0, value));
  return (
    <div
      className="meter"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(part * 100)}
    >
      <i style={{ width: `${String(part * 100)}%` }} />
    </div>
  );
}

export function Elapsed({ from, until }: { from: number | undefined; until?: number | undefined }) {
  const now = useNow(from !== undefined && until === undefined);
  if (from === undefined) return null;
  return <span className="num">{duration((until ?? Math.max(now, from)) - from)}</span>;
}

export function Ago({ at }: { at: number }) {
  const now = useNow();
  return (
    <time dateTime={new Date(at).toISOString()} title={exact(at)} className="num">
      {ago(at, now)}
    </time>
  );
}

export function Empty({
  title,
  children,
  action,
  testid,
  alone,
}: {
  title: string;
  /** It is all that the screen holds: its title is the screen's. */
  alone?: boolean;
  children?: ReactNode;
  action?: ReactNode;
  testid?: string;
}) {
  return (
    <div className="empty" data-testid={testid}>
      <svg
        className="art"
        width="96"
        height="44"
        viewBox="0 0 96 44"
        fill="none"
        stroke="currentColor"
        strokeWidth="3"
        strokeLinecap="round"
        aria-hidden="true"
      >
        <path d="M4 34h28l12-20h48M32 34h60" />
        <circle cx="44" cy="14" r="4" fill="var(--paper)" />
        <circle cx="32" cy="34" r="4" fill="var(--paper)" />
      </svg>
      {alone ? <h1>{title}</h1> : <h2>{title}</h2>}
      {children}
      {action}
    </div>
  );
}

export function Loading({ lines = 3, label = 'Loading' }: { lines?: number; label?: string }) {
  return (
    <div className="stack" role="status" aria-label={label}>
      {Array.from({ length: lines }, (_, index) => (
        <div key={index} className="skeleton" style={{ width: `${String(90 - index * 14)}%` }} />
      ))}
    </div>
  );
}
