import { Dialog as Base } from '@base-ui/react/dialog';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { returnFocus } from './focus';

interface Props {
  open: boolean;
  onClose: () => void;
  title: string;
  about?: ReactNode;
  footer?: ReactNode;
  children?: ReactNode;
  testid?: string;
}

export function Dialog({ open, onClose, title, about, footer, children, testid }: Props) {
  const [was, setWas] = useState<{ open: boolean; before: Element | null }>({ open: false, before: null });
  if (was.open !== open) setWas({ open, before: open ? document.activeElement : was.before });
  return (
    <Base.Root
      open={open}
      onOpenChange={(next) => {
        if (!next) onClose();
      }}
    >
      <Base.Portal>
        <Base.Backdrop className="backdrop" />
        <Base.Popup className="dialog" data-testid={testid} finalFocus={() => returnFocus(was.before)}>
          <header>
            <Base.Title render={<h1 />}>{title}</Base.Title>
            {about && <Base.Description className="soft">{about}</Base.Description>}
          </header>
          <div className="body">{children}</div>
          {footer && <footer>{footer}</footer>}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}
