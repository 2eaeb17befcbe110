// Chromium, started once for all tests that want a page: see chromium_test.go. A connection to the address that it prints
// is a client: its first line says what it plays, as a list of a module and arguments; then it is told and says lines, as a
// program of its own would.
import net from 'node:net';
import readline from 'node:readline';
import { chromium } from 'playwright-core';

const browser = await chromium.launch({
  executablePath: process.argv[2],
  timeout: 180_000, // on a busy machine
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync', '--ignore-certificate-errors', '--no-proxy-server', '--host-resolver-rules=MAP evil.example 127.0.0.1'],
});

async function play(socket) {
  const lines = readline.createInterface({ input: socket })[Symbol.asyncIterator]();
  const say = (line) => { if (socket.writable) socket.write(JSON.stringify(line) + '\n'); };
  const told = async () => (await lines.next()).value;
  const context = await browser.newContext();
  socket.on('close', () => context.close());
  try {
    const [module, ...args] = JSON.parse(await told());
    const { default: part } = await import('./' + module);
    await part(await context.newPage(), say, told, ...args);
  } catch (error) {
    say({ error: String(error) });
  }
  await context.close();
  socket.end();
}

const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => {}); // a test that has failed hangs up
  play(socket);
});
server.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`));
process.stdin.on('end', async () => {
  await browser.close();
  process.exit(0);
}).resume();
