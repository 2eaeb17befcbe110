// Chromium's own WebSocket plays a client: see foreign_test.go for what it says and is told.
export default async function play(page, say, told, url) {
  let over;
  const ended = new Promise((resolve) => { over = resolve; });
  await page.exposeFunction('say', (line) => {
    say(line);
    if (line.code) over();
  });
  await page.exposeFunction('told', told);
  await page.evaluate((url) => {
    function connect(first) {
      const ws = new WebSocket(url);
      let away = false;
      ws.onopen = () => {
        if (first) {
          ws.send(JSON.stringify({ topics: ['cats', 'dogs.>'] }));
          ws.send('ping');
        }
        say({ open: true });
      };
      ws.onmessage = ({ data }) => {
        if (data !== 'leave') return say({ message: data });
        away = true;
        ws.close();
      };
      ws.onclose = async ({ code, reason, wasClean }) => {
        if (!away) return say({ code, reason, unclean: !wasClean });
        await say({ away: true });
        await told();
        connect(false);
      };
    }
    connect(true);
  }, url);
  await ended;
}
