// As the app's page does when its first view is complete: two frames later it is painted.
requestAnimationFrame(() =>
  requestAnimationFrame(() => {
    performance.mark('ready');
    document.documentElement.dataset.ready = 'true';
  }),
);
