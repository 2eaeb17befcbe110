// npm eventsource or npm ws plays a client that comes back: see play_eventsource.js and play_v1.js.
const readline = require('node:readline');

const [kind, ...urls] = process.argv.slice(2);
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (line) => console.log(JSON.stringify(line));
const told = () => lines.next();

(kind === 'eventsource'
  ? require('./play_eventsource.js')(require('eventsource').EventSource, urls, say, told)
  : require('./play_v1.js')(require('ws'), urls, say, told)
).then(() => process.exit(0));
