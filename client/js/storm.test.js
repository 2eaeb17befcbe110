// Tabs that share a connection, in all that may happen to them: each has each event once and in order.
import { test, mock } from 'node:test';
import assert from 'node:assert/strict';
import { Storm } from './storm.js';

// Those that found a loss, a repeat or a tab that was never live again, and some that nobody has chosen. More: STORM=0-10000.
const FOUND = [26, 27, 28, 34, 104, 133, 155, 156, 161, 178, 188, 194, 209, 246, 249, 264, 288, 292, 867];
const seeds = () => {
  const [from, to] = (process.env.STORM || '0-20').split('-').map(Number);
  return [...Array(to - from).keys()].map((i) => from + i).concat(process.env.STORM ? [] : FOUND);
};
const TOPICS = ['a', 'b', 'c'];

/** What a seed makes happen to a few tabs. The result is what went wrong, or nothing. */
async function weather(seed, debug = process.env.TRACE) {
  const storm = new Storm(seed);
  storm.debug = debug;
  const chaos = [1, 0.5, 0.2][seed % 3]; // how much of it there is
  const list = () => TOPICS.filter(() => storm.once(2));
  const join = async (tab) => {
    const topics = list();
    if (topics.length) await storm.subscribe(tab, topics, storm.once(3) ? { after: storm.cursor } : {});
  };
  const acts = [
    [40, () => storm.publish(storm.pick(TOPICS))],
    [3, async () => { if (storm.tabs.length < 4) await join(await storm.open({ minBackoff: 100, maxBackoff: 1000 })); }],
    [4, () => storm.wait()],
    [2, () => { const tab = storm.pick(storm.tabs); if (tab) tab.stalled = !tab.stalled; }],
    [1, () => { for (const tab of storm.tabs) tab.stalled = false; }],
    [1, async () => { const tab = storm.pick(storm.tabs); if (tab) await storm.close(tab); }],
    [1, async () => { const tab = storm.pick(storm.tabs); if (tab) await storm.kill(tab); }],
    [1, async () => { const tab = storm.pick(storm.tabs); if (tab) await storm.tell(tab, 'pagehide'); }],
    [2, async () => { for (const tab of storm.tabs) await storm.tell(tab, 'pageshow'); }],
    [2, () => storm.cut()],
    [2, () => storm.beat()],
    [2, async () => { const tab = storm.pick(storm.tabs); if (tab) await join(tab); }],
    [1, async () => { const tab = storm.pick(storm.tabs), sub = tab && storm.pick(tab.subs); if (sub) await storm.unsubscribe(tab, sub); }],
  ];
  const total = acts.reduce((sum, [weight]) => sum + weight, 0);
  const act = async () => {
    let at = storm.pick([...Array(total).keys()]);
    for (const [weight, f] of acts) if ((at -= weight) < 0) return f();
  };
  for (let i = 0; i < 2; i++) await join(await storm.open({ minBackoff: 100, maxBackoff: 1000 }));
  for (let i = 0; i < 300; i++) {
    if (storm.once(8 / chaos) || !await storm.step()) await act();
  }
  for (const tab of storm.tabs) await storm.tell(tab, 'pageshow');
  await storm.calm(120e3);
  for (const topic of TOPICS) storm.publish(topic);
  await storm.calm(0);
  const faults = [];
  for (const tab of storm.tabs) {
    if (tab.client.state !== 'live') faults.push(`${tab.name} is ${tab.client.state}`);
    for (const sub of tab.subs) {
      const fault = storm.fault(sub);
      if (fault) faults.push(`${tab.name} of ${sub.topics}, from ${sub.start}: ${fault}`);
    }
  }
  for (const tab of [...storm.tabs]) await storm.close(tab);
  mock.restoreAll();
  if (debug) console.log(storm.trace.join('\n'));
  return faults;
}

test('each tab has each event of its topics once and in order', async () => {
  const wrong = [];
  for (const seed of seeds()) for (const fault of await weather(seed)) wrong.push(`seed ${seed}: ${fault}`);
  assert.deepEqual(wrong.slice(0, 20), []);
});
