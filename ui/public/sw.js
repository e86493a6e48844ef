// Notifications with buttons: a browser gives them to a service worker only. It keeps nothing and answers no requests
// of the page; without it a click on a notification opens the question.
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

async function show(path) {
  const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const page = pages[0];
  if (!page) return self.clients.openWindow(path);
  await page.focus().catch(() => undefined);
  page.postMessage({ kind: 'open', path });
}

async function answer({ path, calls }, action) {
  const call = calls?.[action];
  if (!call) return show(path);
  // The cookie says who it is; the host says whether they may, and whether somebody was first.
  const answered = await fetch(`/api/v1/call/${call.method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(call.params),
  }).catch(() => undefined);
  if (!answered?.ok) await show(path);
}

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil(answer(event.notification.data ?? { path: '/inbox' }, event.action));
});
