import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

export default {
  preprocess: vitePreprocess({ style: false }),
  // Styles are files, never part of a script: the policy of the page allows nothing else.
  compilerOptions: {
    css: 'external',
    runes: true,
    // What scrolls is reached with the keyboard, also where it is no control.
    warningFilter: (warning) => warning.code !== 'a11y_no_noninteractive_tabindex',
  },
};
