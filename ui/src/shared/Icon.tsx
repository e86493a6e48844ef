const PATHS = {
  projects:
    'M3 5.5A1.5 1.5 0 0 1 4.5 4h3l2 2.500h6A1.5 1.5 0 0 1 17 8v6.500a1.5 1.5 0 0 1-1.5 1.500h-11A1.5 1.5 0 0 1 3 14.500z',
  inbox: 'M3 11h4l1 2h4l1-2h4M5 4h10l2 7v4.500A.5.5 0 0 1 16.5 16h-13a.5.5 0 0 1-.5-.500V11z',
  activity: 'M2.5 10h3.500l2.5-6 3.5 12 2.5-6h3',
  agent:
    'M6 7h8a2 2 0 0 1 2 2v5a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2zM10 7V4M8 11v1M12 11v1M2.500 11v2M17.500 11v2',
  team: 'M7.500 9.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2 16.500c0-3 2.500-4.500 5.500-4.500s5.500 1.500 5.500 4.500M13.500 9.500a2.500 2.500 0 1 0-1-4.800M14.500 12.200c2.200.4 3.500 1.900 3.500 4.300',
  system: 'M4 4h12v5H4zM4 11h12v5H4zM7 6.500h.01M7 13.500h.01',
  settings: 'M4 6h7M15 6h1M4 10h2M10 10h6M4 14h8M16 14h0M13 4v4M8 8v4M14 12v4',
  search: 'M9 14.500A5.5 5.5 0 1 0 9 3.500a5.5 5.5 0 0 0 0 11zM13 13l4 4',
  play: 'M6.5 4.500v11l9-5.500z',
  stop: 'M5.5 5.500h9v9h-9z',
  pause: 'M7 5v10M13 5v10',
  retry: 'M15.5 8A6 6 0 1 0 16 11.500M16 4v4h-4',
  close: 'M5 5l10 10M15 5L5 15',
  down: 'M5 8l5 5 5-5',
  up: 'M5 12l5-5 5 5',
  right: 'M8 5l5 5-5 5',
  left: 'M12 5l-5 5 5 5',
  more: 'M5 10h.01M10 10h.01M15 10h.01',
  edit: 'M4 16h3l8.5-8.5-3-3L4 13zM11 6l3 3',
  wrap: 'M3 5h14M3 10h11a2.5 2.5 0 0 1 0 5h-3M13 12.500L10.5 15l2.5 2.500M3 15h4',
  download: 'M10 3v9M6 9l4 4 4-4M4 16h12',
  folder:
    'M3 5.500A1.5 1.5 0 0 1 4.5 4h3l2 2.500h6A1.5 1.5 0 0 1 17 8v6.500a1.5 1.5 0 0 1-1.5 1.500h-11A1.5 1.5 0 0 1 3 14.500z',
  plus: 'M10 4v12M4 10h12',
  copy: 'M7 7h9v9H7zM4 13V4h9',
  case: 'M3 14l3.5-9L10 14M4.2 11h4.600M16.5 9.500v5M16.5 12a2.2 2.2 0 1 1-4.4 0 2.2 2.2 0 0 1 4.4 0z',
  fit: 'M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4',
  logout: 'M8 4H4v12h4M9 10h8M14 7l3 3-3 3',
  side: 'M3 4h14v12H3zM11 4v12',
  below: 'M3 4h14v12H3zM3 10h14',
  eye: 'M2.500 10S5 5 10 5s7.500 5 7.500 5-2.500 5-7.500 5-7.500-5-7.500-5zM10 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4z',
  trash: 'M4 6h12M8 6V4h4v2M5.500 6l.7 10h7.600l.7-10M8.500 9v4M11.500 9v4',
  swap: 'M4 7h11M12 4l3 3-3 3M16 13H5M8 10l-3 3 3 3',
  terminal: 'M3 4h14v12H3zM6 8l2.500 2.500L6 13M10.500 13H14',
  bulb: 'M8 14.500h4M8.500 17h3M7.500 12.500C6 11.500 5.500 10 5.500 8.500a4.500 4.500 0 0 1 9 0c0 1.500-.5 3-2 4z',
  globe:
    'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM3 10h14M10 3c-4.500 4.500-4.500 9.500 0 14M10 3c4.500 4.500 4.500 9.500 0 14',
  help: 'M7.5 7.500A2.5 2.5 0 1 1 10 10.200V12M10 15h.01',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth={name === 'more' ? 2.4 : 1.6}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
