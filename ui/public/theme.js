// Before the first paint, so that neither a chosen theme nor a font flashes; a file, because the page allows no inline script.
const os = /Mac|iP(hone|ad)/.test(navigator.platform) ? 'mac' : /Win/.test(navigator.platform) ? 'windows' : 'other';
document.documentElement.dataset.os = os;
try {
  const theme = localStorage.getItem('signalbox.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: the system's theme it is.
}
