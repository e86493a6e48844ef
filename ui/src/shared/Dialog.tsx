import { Dialog as Base } from '@base-ui/react/dialog';
import type { ReactNode } from 'react';

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
  return (
    <Base.Root
      open={open}
      onOpenChange={(next) => {
        if (!next) onClose();
      }}
    >
      <Base.Portal>
        <Base.Backdrop className="backdrop" />
        <Base.Popup className="dialog" data-testid={testid}>
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
