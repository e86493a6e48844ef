import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Gate } from './app/Gate';
import { isDesktop } from './platform/environment';
import { keepOneBeat } from './shared/beat';
import { connect } from './store/client';
import { handleKey } from './store/keys';
import './styles/tokens.css';
import './styles/base.css';
import './styles/parts.css';
import './styles/shell.css';

window.addEventListener('keydown', handleKey);
keepOneBeat();

// Nobody has to log in to the host of their own app: it is asked while the page is drawn for the first time.
if (isDesktop) void connect();

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <Gate />
    </StrictMode>,
  );
}
