// An EventSource, whoever made it, plays a client: see resume_foreign_test.go for what it says and is told. It
// does nothing to come back, that is the EventSource's part. When one has stopped, the next URL has its turn.
function playEventSource(EventSource, urls, say, told) {
  return new Promise((over) => {
    (function begin([url, ...others]) {
      const source = new EventSource(url);
      source.addEventListener('welcome', () => say({ open: true })); // by then it has a cursor, which it may have to come back with
      source.onmessage = ({ data, lastEventId }) => say({ message: data, cursor: lastEventId });
      source.addEventListener('gap', ({ data }) => {
        const { topics, from, to, reason } = JSON.parse(data);
        say({ gap: reason, topics: topics.join(' '), from, to });
      });
      source.addEventListener('closing', ({ data }) => {
        const { reason, reconnect_after_ms } = JSON.parse(data);
        say({ closing: reason, again: reconnect_after_ms > 0 });
      });
      source.onerror = async () => {
        if (source.readyState !== EventSource.CLOSED) return say({ away: true });
        await new Promise((resolve) => { setTimeout(resolve, 500); }); // more than it waits before it comes back
        await say({ stopped: true });
        begin(others);
      };
      if (others.length === 0) told().then(() => { source.close(); over(); });
    })(urls);
  });
}
if (typeof module !== 'undefined') module.exports = playEventSource;
