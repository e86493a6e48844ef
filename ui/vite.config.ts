import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import manifest from './package.json' with { type: 'json' };

export default defineConfig({
  plugins: [react({ babel: { plugins: ['babel-plugin-react-compiler'] } })],
  define: { __VERSION__: JSON.stringify(manifest.version) },
  build: {
    target: ['es2022', 'safari16'],
    // The polyfill would be needed only by browsers that the targets leave out.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
  },
  server: { port: 5173, strictPort: true },
});
