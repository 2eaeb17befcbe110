// npm ws plays a client: see foreign_test.go for what it prints and is told.
const WebSocket = require('ws');
const readline = require('node:readline');

const url = process.argv[2];
const say = (line) => console.log(JSON.stringify(line));
const told = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function connect(first) {
  const ws = new WebSocket(url);
  let away = false;
  ws.on('open', () => {
    if (first) {
      ws.send(JSON.stringify({ topics: ['cats', 'dogs.>'] }));
      ws.send('ping');
    }
    say({ open: true });
  });
  ws.on('message', (data, binary) => {
    const text = data.toString();
    if (binary) say({ error: 'a binary frame' });
    if (text !== 'leave') return say({ message: text });
    away = true;
    ws.terminate();
  });
  ws.on('close', async (code, reason) => {
    if (!away) {
      say({ code, reason: reason.toString() });
      process.exit(0);
    }
    say({ away: true });
    await told.next();
    connect(false);
  });
  ws.on('error', (error) => say({ error: error.message }));
}

connect(true);
