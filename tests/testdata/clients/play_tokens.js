// A WebSocket, whoever made it, plays a client of belfry.v1 with a token: see tokens_foreign_test.go. When its token is
// about to end, it sends the next, if it has one.
function playTokens(WebSocket, url, token, next, say) {
  return new Promise((over) => {
    const ws = new WebSocket(url, ['bearer.' + token, 'belfry.v1']);
    ws.onmessage = ({ data }) => {
      const m = JSON.parse(data);
      switch (m.type) {
        case 'welcome':
          return say({ open: true, message: ws.protocol + ' ' + m.user_id });
        case 'expiring':
          say({ expiring: m.expires_in_ms <= 60000 });
          return next && ws.send(JSON.stringify({ op: 'auth', ref: 1, token: next }));
        case 'ack':
          return say({ ack: m.ref });
        case 'event':
          say({ message: m.data });
          return ws.close(1000);
      }
    };
    ws.onerror = () => {}; // the close event says what there is to say
    ws.onclose = async ({ code, reason }) => {
      await say({ code, reason });
      over();
    };
  });
}
if (typeof module !== 'undefined') module.exports = playTokens;
