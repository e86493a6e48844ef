import { Menu as Base } from '@base-ui/react/menu';
import type { ReactElement, ReactNode } from 'react';

export interface MenuEntry {
  label: string;
  about?: string;
  disabled?: boolean;
  icon?: ReactNode;
  testid?: string;
  onSelect: () => void;
}

export function Menu({ trigger, entries }: { trigger: ReactElement; entries: readonly (MenuEntry | 'line')[] }) {
  return (
    <Base.Root>
      <Base.Trigger render={trigger} />
      <Base.Portal>
        <Base.Positioner className="menu-layer" align="end" sideOffset={4}>
          <Base.Popup className="menu">
            {entries.map((entry, index) =>
              entry === 'line' ? (
                <Base.Separator key={`line${String(index)}`} render={<hr />} />
              ) : (
                <Base.Item
                  key={entry.label}
                  className="menu-item"
                  data-testid={entry.testid}
                  disabled={entry.disabled ?? false}
                  onClick={entry.onSelect}
                >
                  {entry.icon}
                  <span>
                    {entry.label}
                    {entry.about && <small>{entry.about}</small>}
                  </span>
                </Base.Item>
              ),
            )}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}
