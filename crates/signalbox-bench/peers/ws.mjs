// The package `ws` with the loop of its documentation: what arrives goes to everybody else. Prints its port.
import { WebSocket, WebSocketServer } from 'ws';

const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
server.on('listening', () => console.log(server.address().port));
server.on('connection', (socket) => {
  socket.on('error', () => {}); // the load cuts its connections
  socket.on('message', (data, binary) => {
    for (const client of server.clients) {
      if (client !== socket && client.readyState === WebSocket.OPEN) client.send(data, { binary });
    }
  });
});
