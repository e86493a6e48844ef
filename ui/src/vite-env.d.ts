/// <reference types="vite/client" />

/** The version of this page, from package.json. */
declare const __VERSION__: string;
