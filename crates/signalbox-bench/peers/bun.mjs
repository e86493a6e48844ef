// Bun's own server and its publish(): what arrives at /pub goes to everybody else. Prints its port.
const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  fetch(request, server) {
    const publisher = new URL(request.url).pathname === '/pub';
    if (!server.upgrade(request, { data: { publisher } })) return new Response('WebSocket only', { status: 426 });
  },
  websocket: {
    open(socket) {
      if (!socket.data.publisher) socket.subscribe('bench');
    },
    message(_, text) {
      server.publish('bench', text);
    },
  },
});
console.log(server.port);
