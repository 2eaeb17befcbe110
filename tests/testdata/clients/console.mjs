// Goes through the console in Chromium: see console_test.go. The arguments are the browser and a case, as JSON; a line says
// what was looked at, and one at the end what went wrong on the page by itself.
import { chromium } from 'playwright-core';

const [executablePath, text] = process.argv.slice(2);
const given = JSON.parse(text);
const browser = await chromium.launch({
  timeout: 150_000, // on a busy machine
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const context = await browser.newContext({ viewport: { width: 1200, height: 800 } });
context.setDefaultTimeout(60_000);
const page = await context.newPage();
const faults = [];
page.on('pageerror', (error) => faults.push('error: ' + error.message));
page.on('dialog', (dialog) => { faults.push('a script ran: ' + dialog.message()); dialog.dismiss(); });
page.on('console', (message) => {
  // That a call is refused the browser says by itself.
  if (message.type() === 'error' && !message.text().startsWith('Failed to load resource: the server responded with a status of 40')) faults.push(message.text());
});
page.on('request', (request) => {
  if (!request.url().startsWith(given.base)) faults.push('asks ' + request.url());
});
await page.addInitScript(() => document.addEventListener('securitypolicyviolation',
  (violation) => console.error('violation: ' + violation.violatedDirective + ' ' + violation.blockedURI)));

const said = (message) => console.log(JSON.stringify({ message }));
const view = (hash) => page.evaluate((to) => { location.hash = to; }, hash);
const seen = (what) => page.locator('main').getByText(what).first().waitFor();
const heading = (name) => page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
const row = (name) => page.getByRole('row').filter({ hasText: name }).first();
const views = ['overview', 'clients', 'clients/' + given.handle, 'topics', 'topics/' + encodeURIComponent(given.hostile), 'tail?pattern=%3E',
  'publish', 'explain?client=' + given.handle + '&topic=cats', 'config'];

const enter = async (key) => {
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Enter' }).click();
};

const scenes = {
  async keys() {
    await heading('Enter');
    for (const [key, told] of [[given.wrong, 'does not know this key'], [given.weak, 'does not have the right admin'], ['two words', 'no spaces']]) {
      await enter(key);
      await page.getByRole('alert').filter({ hasText: told }).waitFor();
    }
    await enter(given.key);
    await heading('Overview');
  },
  async storage() { // which a browser refuses where cookies are blocked
    const other = await context.newPage();
    other.on('pageerror', (error) => faults.push('without storage: ' + error.message));
    await other.addInitScript(() => {
      for (const name of ['localStorage', 'sessionStorage']) {
        Object.defineProperty(window, name, { get() { throw new DOMException('The operation is insecure.', 'SecurityError'); } });
      }
    });
    await other.goto(given.base + '/console');
    await other.getByLabel('API key').fill(given.key);
    await other.getByRole('button', { name: 'Enter' }).click();
    await other.getByText('live, once a second').first().waitFor();
    await other.getByLabel('Theme').selectOption('dark');
    await other.locator('html[data-theme=dark]').waitFor();
    await other.close();
  },
  async overview() {
    await view('#/overview');
    await seen('live, once a second');
    const card = page.locator('.card').filter({ hasText: 'Publishes a second' }).locator('.value');
    await card.filter({ hasText: /^[1-9]/ }).waitFor();
    await page.locator('.card').filter({ hasText: 'Deliveries a second' }).locator('.value').filter({ hasText: /^[1-9]/ }).waitFor();
    await seen('accepting events');
  },
  async clients() {
    await view('#/clients');
    await heading('Clients');
    await page.getByLabel('User').fill(given.hostile);
    await page.getByRole('button', { name: 'Search' }).click();
    await row(given.hostile).getByRole('link', { name: given.handle }).waitFor();
    await page.getByLabel('User').fill('nobody at all');
    await page.getByRole('button', { name: 'Search' }).click();
    await seen('There is no such client.');
  },
  async client() {
    await view('#/clients/' + given.handle);
    await heading('Client ' + given.handle);
    await seen('yes: it can come back');
    await seen(given.hostile);
  },
  async topics() {
    await view('#/topics');
    await row(given.hostile).getByRole('link', { name: given.hostile }).click();
    await heading(given.hostile);
    await row(given.message).waitFor();
    await page.getByRole('table', { name: 'Users who get the topic' }).getByRole('link', { name: given.hostile }).waitFor();
  },
  async tail() {
    await page.getByRole('link', { name: 'Follow' }).click();
    const log = page.getByRole('log');
    await log.getByText(given.message).first().waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    const newest = await log.getByRole('listitem').first().textContent();
    await page.locator('.state').filter({ hasText: /paused, [1-9]/ }).waitFor();
    if (await log.getByRole('listitem').first().textContent() !== newest) faults.push('the pause is none');
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.locator('.state').filter({ hasNotText: 'paused' }).waitFor();
    await page.getByLabel('Topic or pattern').fill('a..b');
    await page.getByRole('button', { name: 'Follow' }).click();
    await page.getByRole('alert').filter({ hasText: 'the broker ended the connection' }).waitFor();
  },
  async publish() {
    await view('#/publish?topic=quiet');
    await page.getByLabel('JSON').check();
    await page.getByLabel('Message', { exact: true }).fill('{"n":1.50');
    await page.getByRole('button', { name: 'Publish' }).click();
    await page.getByRole('alert').filter({ hasText: 'not JSON' }).waitFor();
    await page.getByLabel('Message', { exact: true }).fill('{"n":1.50}');
    await page.getByRole('button', { name: 'Publish' }).click();
    await seen('of them are connected and will get it');
    await page.getByLabel('Topic').fill('a.*');
    await page.getByRole('button', { name: 'Publish' }).click();
    await page.getByRole('alert').filter({ hasText: 'invalid_topic' }).waitFor();
    await view('#/topics/quiet');
    await seen('{"n":1.50}');
  },
  async explain() {
    await view(`#/explain?client=${given.handle}&topic=${encodeURIComponent(given.hostile)}`);
    await page.getByRole('heading', { name: 'would get' }).waitFor();
    await page.getByLabel('one event, by its id').check();
    await page.getByLabel('Topic or event id').fill('no-such-event');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.getByRole('heading', { name: 'unknown event' }).waitFor();
    await page.getByRole('listitem').filter({ hasText: 'registered' }).getByText('yes').waitFor();
  },
  async config() {
    await view('#/config');
    await page.getByLabel('Setting').fill('max_message');
    await row('65536').waitFor();
    if (given.key) {
      await page.getByLabel('Setting').fill('keys.');
      await row('admin').waitFor();
    }
  },
  async addresses() { // what the proxy says who it is for
    await view('#/clients?user_id=proxied');
    await row('proxied').waitFor();
    await row('proxied').getByText('127.0.0.1').waitFor();
  },
  async keyboard() {
    await view('#/publish');
    await heading('Publish');
    await page.keyboard.press('Tab'); // from here on the focus is shown
    await page.evaluate(() => document.querySelector('.skip').focus());
    const focused = () => page.evaluate(() => {
      const e = document.activeElement, style = getComputedStyle(e);
      return { name: (e.labels?.[0] ?? e).textContent, shown: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, body: e === document.body };
    });
    const reached = [];
    for (let at = await focused(); !at.body && reached.length < 40; at = await focused()) {
      if (!at.shown) faults.push('the focus is not to be seen at ' + at.name);
      reached.push(at.name);
      await page.keyboard.press('Tab');
    }
    for (const name of ['Skip to content', 'Overview', 'Configuration', 'Theme', 'Topic', 'Message', 'Publish']) {
      if (!reached.includes(name)) faults.push(`${name} is not reached, of ${reached}`);
    }
    await page.evaluate(() => document.querySelector('.skip').focus());
    await page.keyboard.press('Enter');
    if (await page.evaluate(() => document.activeElement.id) !== 'main') faults.push('the skip link skips nothing');
    await page.keyboard.press('Tab');
    await page.keyboard.type('by.keyboard');
    await page.keyboard.press('Enter');
    await seen('of them are connected and will get it');
  },
  async parts() { // what a reader of the screen is told
    for (const to of views) {
      await view('#/' + to);
      await page.getByRole('heading', { level: 1 }).waitFor();
      const wrong = await page.evaluate(() => {
        const count = (selector) => document.querySelectorAll(selector).length, wrong = [];
        if (count('main') !== 1 || count('header') !== 1 || count('header nav[aria-label]') !== 1 || count('h1') !== 1) wrong.push('landmarks');
        if (count('[aria-current=page]') !== 1) wrong.push('where we are');
        for (const field of document.querySelectorAll('input, select, textarea')) if (!field.labels.length) wrong.push('a field without a label');
        for (const table of document.querySelectorAll('table')) if (!table.caption || !table.querySelector('th[scope=col]')) wrong.push('a table without heads');
        for (const element of document.querySelectorAll('[onclick], [style]')) wrong.push('inline: ' + element.tagName);
        return wrong;
      });
      for (const what of wrong) faults.push(`${to}: ${what}`);
    }
  },
  async phone() {
    await page.setViewportSize({ width: 360, height: 740 });
    for (const scheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: scheme });
      for (const to of views) {
        await view('#/' + to);
        await page.getByRole('heading', { level: 1 }).waitFor();
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (over > 0) faults.push(`${to} is ${over} too wide`);
      }
    }
    await page.setViewportSize({ width: 1200, height: 800 });
  },
  async theme() {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.getByLabel('Theme').selectOption('light');
    const light = await ground();
    await page.getByLabel('Theme').selectOption('dark');
    if (await ground() === light) faults.push('dark is light');
    await page.reload();
    if (await ground() === light) faults.push('the theme is forgotten');
  },
  async disconnect() {
    await view('#/clients/' + given.handle);
    await page.getByRole('button', { name: 'Disconnect' }).click();
    await page.getByRole('dialog').getByText(given.hostile).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await seen('yes: it can come back');
    await page.getByRole('button', { name: 'Disconnect' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
    await heading('Clients');
    await view('#/clients/' + given.handle);
    await page.getByRole('alert').filter({ hasText: 'unknown_client' }).waitFor();
  },
  async silence() { // of a line that is dead and does not say so
    const other = await context.newPage();
    const opened = [];
    await other.routeWebSocket(/\/ws/, (socket) => {
      opened.push(socket.url());
      const cursor = 'a'.repeat(23) + opened.length;
      socket.send(JSON.stringify({ type: 'welcome', topics: ['cats'], cursor, heartbeat_ms: opened.length > 1 ? 60_000 : 10 }));
      if (opened.length > 1) socket.send(JSON.stringify({ type: 'event', topic: 'cats', id: 'e', time: new Date().toISOString(), data: 'still here', cursor }));
    });
    await other.goto(given.base + '/console#/tail?pattern=cats');
    if (given.key) {
      await other.getByLabel('API key').fill(given.key);
      await other.getByRole('button', { name: 'Enter' }).click();
    }
    await other.getByRole('log').getByText('still here').waitFor();
    if (!opened[1].includes('after=' + 'a'.repeat(23) + '1')) faults.push('it comes back at ' + opened[1]);
    await other.close();
  },
  async forget() {
    await page.getByRole('button', { name: 'Forget key' }).click();
    await heading('Enter');
    await page.reload();
    await heading('Enter');
  },
};

await page.goto(given.base + '/console');
for (const name of given.scenes) {
  await scenes[name]();
  said(name);
}
if (await page.locator('img:not(.brand img)').count()) faults.push('an image was made');
said('faults: ' + faults.join('; '));
await browser.close();
