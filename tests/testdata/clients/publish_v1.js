// npm ws publishes over belfry.v1: see publish_foreign_test.go for what it is told. All is sent before anything is read.
const WebSocket = require('ws');

const say = (line) => console.log(JSON.stringify(line));
const ws = new WebSocket(process.argv[2], 'belfry.v1');
const publish = (ref, members) => ws.send(`{"op":"publish","ref":${ref},${members}}`);
ws.on('error', (error) => say({ error: error.message }));
ws.on('open', () => {
  publish(1, '"topic":"cats","data":"purr","id":"one","key":"k"');
  publish(2, '"topic":"cats","data":"purr","id":"one","key":"k"');
  publish(3, '"topic":"cats","data":"hiss","id":"one","key":"k"');
  publish(4, '"topic":"cats","data":{"n": 1.0},"id":"two","expires_in":60');
  publish(5, '"topic":"dogs","data":null,"id":"three","user_id":"7"');
  publish(6, '"topic":"a..b","data":1');
  publish(7, '"topic":"$a","data":1');
  publish(8, '"topic":"cats"');
  publish(9, '"data":1');
  publish(10, '"topic":"cats","data":1,"last":1');
  publish(11, '"topic":"cats","data":1,"id":""');
  publish(12, '"topic":"cats","data":1,"expires_in":0');
  ws.send('{"op":"ping","ref":13}');
});
ws.on('message', (text) => {
  const raw = text.toString(), m = JSON.parse(raw);
  switch (m.type) {
    case 'event':
      return say({ message: `event ${m.id} ${m.topic} ${/"data":(.*),"cursor"/.exec(raw)[1]}` });
    case 'ack':
      return say({ message: `ack ${m.ref} ${m.receipt.id} duplicate=${m.receipt.duplicate} queued=${m.receipt.queued}` });
    case 'error':
      return say({ message: `error ${m.ref} ${m.code}` });
    case 'pong':
      say({ message: `pong ${m.ref}` });
      ws.close();
  }
});
ws.on('close', (code) => say({ code }));
