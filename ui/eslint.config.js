import hooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

const folders = ['platform', 'stream', 'store', 'shared', 'features', 'views', 'app'];

/** A folder may import from itself and from the folders named here: arrows point one way. */
const arrows = {
  platform: ['stream'],
  stream: ['platform'],
  store: ['platform', 'stream'],
  shared: ['store', 'platform', 'stream'],
  features: ['shared', 'store', 'platform', 'stream'],
  views: ['features', 'shared', 'store', 'platform', 'stream'],
  app: ['views', 'features', 'shared', 'store', 'platform', 'stream'],
};

const features = [
  'activity',
  'agents',
  'approvals',
  'connection',
  'editor',
  'graph',
  'log',
  'palette',
  'projects',
  'queue',
  'risks',
  'runs',
  'steps',
  'system',
  'timeline',
  'workflows',
];

const tauri = { group: ['@tauri-apps/*'], message: 'Only platform/ipc.ts talks to the desktop shell.' };

const boundary = (files, patterns, extra = {}) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns: [tauri, ...patterns] }] },
  ...extra,
});

export default tseslint.config(
  { ignores: ['dist', 'dist-demo', 'node_modules', 'scripts', 'src/platform/protocol.ts'] },
  ...tseslint.configs.recommended,
  hooks.configs.flat['recommended-latest'],
  {
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'max-lines': ['error', 600],
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  ...Object.entries(arrows).map(([folder, allowed]) =>
    boundary(
      [`src/${folder}/**`],
      folders
        .filter((other) => other !== folder && !allowed.includes(other))
        .map((other) => ({ group: [`**/${other}/**`], message: `${folder}/ may not import ${other}/.` })),
    ),
  ),
  ...features.map((feature) =>
    boundary(
      [`src/features/${feature}/**`],
      [
        ...['views', 'app'].map((other) => ({
          group: [`**/${other}/**`],
          message: `features/ may not import ${other}/.`,
        })),
        {
          group: features.filter((other) => other !== feature).map((other) => `../${other}/*`),
          message: 'Features do not import one another: a view composes them.',
        },
      ],
    ),
  ),
  boundary(
    ['src/stream/**'],
    [
      {
        group: ['react', 'react-dom', '**/store/**', '**/features/**', '**/views/**', '**/app/**', '**/shared/**'],
        message: 'The hot path knows no React.',
      },
    ],
  ),
  { files: ['src/platform/ipc.ts'], rules: { 'no-restricted-imports': 'off' } },
);
