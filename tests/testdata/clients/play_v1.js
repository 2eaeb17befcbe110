// A WebSocket, whoever made it, plays a client of belfry.v1: see resume_foreign_test.go for what it says and is
// told. It comes back with the last cursor that it has seen, as docs/protocol.md says, unless the close code is
// one that forbids it: then the next URL has its turn.
function playV1(WebSocket, urls, say, told) {
  return new Promise((over) => {
    (function begin([url, ...others]) {
      let cursor, topics, pause, current, ended = false;
      (function connect() {
        const target = new URL(url);
        for (const topic of topics || []) target.searchParams.append('topic', topic);
        if (cursor) target.searchParams.set('after', cursor);
        const ws = new WebSocket(target.href, 'belfry.v1');
        current = ws;
        pause = 20;
        ws.onmessage = ({ data }) => {
          const m = JSON.parse(data);
          if (m.cursor) cursor = m.cursor;
          switch (m.type) {
            case 'welcome':
              say({ open: true, topics: m.topics.join(' '), cursor: m.cursor });
              if (!topics && !m.user_id) ws.send('{"op":"subscribe","topics":["cats","dogs.>"],"last":2,"ref":1}');
              topics = m.user_id ? [] : m.topics;
              break;
            case 'ack':
              topics = ['cats', 'dogs.>'];
              // falls through
            case 'live':
              say({ [m.type]: m.ref, cursor: m.cursor });
              break;
            case 'event':
              say({ message: m.data, cursor: m.cursor, replay: m.replay });
              break;
            case 'gap':
              say({ gap: m.reason, topics: m.topics.join(' '), from: m.from, to: m.to });
              break;
            case 'closing':
              pause = m.reconnect_after_ms;
              say({ closing: m.reason, again: pause > 0, cursor: m.cursor });
              break;
            case 'heartbeat':
              break;
            default:
              say({ error: data });
          }
        };
        ws.onerror = () => {}; // the close event says what there is to say
        ws.onclose = async ({ code, reason, wasClean }) => {
          if (ended) return over();
          await say({ code, reason, unclean: !wasClean });
          if (code < 4000 || code >= 4100) setTimeout(connect, pause);
          else begin(others);
        };
      })();
      if (others.length === 0) told().then(() => { ended = true; current.close(); });
    })(urls);
  });
}
if (typeof module !== 'undefined') module.exports = playV1;
