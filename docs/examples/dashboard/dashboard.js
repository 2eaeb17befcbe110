// A dashboard: the newest value of each sensor, and its history. The parameters broker and topic of
// the URL replace the defaults.
const query = new URLSearchParams(location.search);
const broker = query.get('broker') || 'http://127.0.0.1:8000';
const topic = query.get('topic') || 'sensors.>';
const KEPT = 120; // values per sensor
const COLOURS = 6; // in style.css

const $ = (id) => document.getElementById(id);
const sensors = new Map(); // by topic
let due = false;

/** Takes an event. Its data is a number or { value, unit }. Anything else is shown as text. */
function take({ topic, time, data }) {
  let sensor = sensors.get(topic);
  if (!sensor) sensors.set(topic, sensor = newSensor(topic));
  const value = typeof data === 'number' ? data : data?.value;
  sensor.when = Date.parse(time);
  sensor.text = typeof value === 'number' ? value.toFixed(1) + (data.unit ? ' ' + data.unit : '') : typeof data === 'string' ? data : JSON.stringify(data);
  if (typeof value === 'number') {
    sensor.values.push({ at: sensor.when, value });
    if (sensor.values.length > KEPT) sensor.values.shift();
  }
  sensor.fresh = true;
  paintSoon();
}

// Topics and messages are shown as text, never as HTML.
function newSensor(topic) {
  const row = document.createElement('tr');
  const cell = (kind, className) => row.appendChild(Object.assign(document.createElement(kind), { className }));
  const name = cell('th', 'name');
  name.scope = 'row';
  name.textContent = topic.replace(/^sensors\./, '');
  const sensor = { topic, row, values: [], colour: sensors.size % COLOURS, now: cell('td', 'number'), trend: cell('td', 'trend'), changed: cell('td', 'when') };
  row.className = 'colour' + sensor.colour;
  sensor.spark = sensor.trend.appendChild(shape('svg', { viewBox: '0 0 100 24', preserveAspectRatio: 'none' })).appendChild(shape('path', {}));
  const after = [...sensors.values()].filter((s) => s.topic > topic).sort((a, b) => (a.topic < b.topic ? -1 : 1))[0];
  $('rows').insertBefore(row, after ? after.row : null);
  return sensor;
}

function shape(name, attributes, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function paintSoon() {
  if (!due) requestAnimationFrame(paint);
  due = true;
}

function paint() {
  due = false;
  $('empty').hidden = $('try').hidden = sensors.size > 0;
  for (const s of sensors.values()) {
    s.now.textContent = s.text;
    s.changed.textContent = new Date(s.when).toLocaleTimeString('en-GB');
    s.changed.title = new Date(s.when).toISOString();
    if (!s.fresh) continue;
    s.fresh = false;
    s.row.classList.remove('fresh');
    requestAnimationFrame(() => s.row.classList.add('fresh'));
    const values = s.values.slice(-40);
    const [low, high] = bounds(values);
    s.spark.setAttribute('d', line(values, (v, i) => [(i * 100) / (values.length - 1 || 1), 22 - (20 * (v.value - low)) / (high - low)]));
  }
  paintChart();
}

function bounds(values) {
  const all = values.map(({ value }) => value);
  const low = Math.min(...all), high = Math.max(...all);
  return low < high ? [low, high] : [low - 1, high + 1];
}

const line = (values, place) => values.map((v, i) => (i ? 'L' : 'M') + place(v, i).map((n) => n.toFixed(1)).join(' ')).join('');

function paintChart() {
  const chart = $('chart');
  const width = chart.clientWidth, height = chart.clientHeight;
  const all = [...sensors.values()].flatMap((s) => s.values);
  chart.replaceChildren();
  chart.setAttribute('viewBox', `0 0 ${width} ${height}`);
  if (!all.length) return;
  const left = 34, right = width - 8, top = 8, bottom = height - 22;
  let [low, high] = bounds(all);
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1e4, 1e5, 1e6].find((n) => (high - low) / n <= 5) || high - low;
  low = Math.floor(low / step) * step;
  high = Math.ceil(high / step) * step;
  const from = Math.min(...all.map((v) => v.at)), to = Math.max(...all.map((v) => v.at), from + 1000);
  const x = (at) => left + ((right - left) * (at - from)) / (to - from);
  const y = (value) => bottom - ((bottom - top) * (value - low)) / (high - low);
  for (let v = low; v <= high + step / 2; v += step) {
    chart.append(shape('line', { class: 'grid', x1: left, x2: right, y1: y(v), y2: y(v) }), shape('text', { class: 'scale', x: left - 6, y: y(v) + 4, 'text-anchor': 'end' }, v));
  }
  for (const [at, anchor] of [[from, 'start'], [(from + to) / 2, 'middle'], [to, 'end']]) {
    chart.append(shape('text', { class: 'scale', x: x(at), y: height - 4, 'text-anchor': anchor }, new Date(at).toLocaleTimeString('en-GB')));
  }
  for (const s of sensors.values()) {
    if (!s.values.length) continue;
    const last = s.values.at(-1);
    const one = shape('g', { class: 'colour' + s.colour });
    one.append(shape('path', { d: line(s.values, (v) => [x(v.at), y(v.value)]) }), shape('circle', { cx: x(last.at), cy: y(last.value), r: 3.5 }));
    chart.append(one);
  }
}

function say(text) {
  $('notice').hidden = !text;
  $('notice').textContent = text;
}

new ResizeObserver(paintSoon).observe($('chart'));

function follow({ connect }) {
  const client = connect(new URL('/ws', broker).href);
  client.addEventListener('state', ({ detail }) => {
    $('state').textContent = $('state').className = detail.state;
  });
  client.addEventListener('error', ({ detail }) => say(detail.message));
  client.addEventListener('gap', () => say('Some values are missing: the broker no longer has them.'));
  client.subscribe(topic, { last: 60 }, take);
}

const script = await import(broker.replace(/\/*$/, '/belfry.js')).catch(() => {
  $('state').textContent = $('state').className = 'offline';
  say(`There is no broker at ${broker}. Start it, and load this page again.`);
});
if (script) follow(script);
