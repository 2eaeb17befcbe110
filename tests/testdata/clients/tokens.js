// npm ws plays a client with a token: see play_tokens.js. It is told its tokens by a line.
const readline = require('node:readline');
const playTokens = require('./play_tokens.js');

const say = (line) => console.log(JSON.stringify(line));
say({ away: true });
readline.createInterface({ input: process.stdin }).once('line', async (line) => {
  await playTokens(require('ws'), process.argv[2], ...line.split(' '), say);
  process.exit(0);
});
