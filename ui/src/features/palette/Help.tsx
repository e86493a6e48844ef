import { bindings } from '../../store/keys';
import type { Binding } from '../../store/keys';
import { Dialog } from '../../shared/Dialog';
import { Kbd } from '../../shared/parts';

const MAC = navigator.platform.startsWith('Mac');

function name(key: string): string {
  return key.replace('mod', MAC ? '⌘' : 'Ctrl').replace('shift', 'Shift');
}

/** What the keys do here and now. */
export function Help({ onClose }: { onClose: () => void }) {
  const groups = new Map<string, Binding[]>();
  // Where two layers bind a key, the newest has it.
  const inForce = new Map(bindings().map((binding) => [binding.keys, binding]));
  for (const binding of inForce.values()) groups.set(binding.group, [...(groups.get(binding.group) ?? []), binding]);
  return (
    <Dialog open onClose={onClose} title="Keyboard" testid="help">
      <div className="help">
        {[...groups].map(([group, list]) => (
          <section key={group}>
            <h2>{group}</h2>
            <dl>
              {list.map((binding) => (
                <div key={binding.keys} className="row between">
                  <dt>{binding.label}</dt>
                  <dd className="row" style={{ gap: 3 }}>
                    {binding.keys
                      .split(' ')
                      .flatMap((part) => part.split('+'))
                      .map((key, index) => (
                        <Kbd key={index}>{name(key.length === 1 ? key.toUpperCase() : key)}</Kbd>
                      ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
