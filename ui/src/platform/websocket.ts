import type { ServerFrame } from './protocol';
import type { Transport, TransportHandlers } from './transport';

/** The host's own WebSocket. The HttpOnly cookie proves who it is, so `hello` carries no token. */
export function websocket(): Transport {
  let socket: WebSocket | undefined;
  let handlers: TransportHandlers | undefined;
  const finish = (code: number, reason: string) => {
    const target = handlers;
    handlers = undefined;
    target?.close(code, reason);
  };
  return {
    credit: false,
    open(target) {
      handlers = target;
      const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
      socket = new WebSocket(`${scheme}://${location.host}/api/v1/ws`, 'signalbox.v1');
      socket.onopen = () => handlers?.open();
      socket.onmessage = (message: MessageEvent<string>) => {
        let frame: ServerFrame;
        try {
          frame = JSON.parse(message.data) as ServerFrame;
        } catch {
          // Half a frame means that the stream can no longer be trusted: start again from the cursor.
          socket?.close(4000, 'unreadable frame');
          finish(4000, 'unreadable frame');
          return;
        }
        handlers?.frames(Array.isArray(frame) ? (frame as ServerFrame[]) : [frame]);
      };
      socket.onclose = (event) => {
        finish(event.code, event.reason);
      };
    },
    send(frame) {
      if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
    },
    close() {
      handlers = undefined;
      socket?.close(1000);
    },
  };
}
