interface Props {
  label: string;
  unit: string;
  values: readonly (number | undefined)[];
}

const WIDTH = 96;
const HEIGHT = 24;

/** A small line of what was measured; nothing until there are two points. */
export function Plot({ label, unit, values }: Props) {
  const known = values.filter((value) => value !== undefined);
  if (known.length < 2) return null;
  const most = Math.max(...known);
  const step = WIDTH / (values.length - 1);
  let path = '';
  let gap = true;
  values.forEach((value, index) => {
    if (value === undefined) {
      gap = true;
      return;
    }
    const y = HEIGHT - 2 - (most === 0 ? 0 : (value / most) * (HEIGHT - 4));
    path += `${gap ? 'M' : 'L'}${(index * step).toFixed(1)} ${y.toFixed(1)}`;
    gap = false;
  });
  return (
    <svg
      className="plot"
      viewBox={`0 0 ${String(WIDTH)} ${String(HEIGHT)}`}
      role="img"
      aria-label={`${label}: at most ${String(most)} ${unit}, now ${String(known.at(-1) ?? 0)}`}
    >
      <title>{`${label}: at most ${String(most)} ${unit}`}</title>
      <path d={path} />
    </svg>
  );
}
