# python3-websockets plays a client of belfry.v1 that comes back: see play_v1.js, whose part it is.
import asyncio
import json
import sys
import threading
from urllib.parse import quote

import websockets


def say(**line):
    print(json.dumps({k: v for k, v in line.items() if v is not None}), flush=True)


class Client:
    def __init__(self, url):
        self.url, self.cursor, self.topics, self.pause = url, None, None, 0.02

    def target(self):
        query = ["topic=" + quote(topic) for topic in self.topics or []]
        if self.cursor:
            query.append("after=" + self.cursor)
        return self.url + ("?" + "&".join(query) if query else "")

    async def heard(self, ws, m):
        kind, self.cursor = m["type"], m.get("cursor", self.cursor)
        if kind == "welcome":
            say(open=True, topics=" ".join(m["topics"]), cursor=m["cursor"])
            if self.topics is None and "user_id" not in m:
                await ws.send('{"op":"subscribe","topics":["cats","dogs.>"],"last":2,"ref":1}')
            self.topics = [] if "user_id" in m else m["topics"]
        elif kind == "event":
            say(message=m["data"], cursor=m.get("cursor"), replay=m.get("replay"))
        elif kind == "gap":
            say(gap=m["reason"], topics=" ".join(m["topics"]), **{"from": m["from"]}, to=m["to"])
        elif kind == "closing":
            self.pause = m["reconnect_after_ms"] / 1000
            say(closing=m["reason"], again=self.pause > 0, cursor=m["cursor"])
        elif kind in ("ack", "live"):
            self.topics = ["cats", "dogs.>"]
            say(**{kind: m["ref"]}, cursor=m["cursor"])
        elif kind != "heartbeat":
            say(error=json.dumps(m))

    async def run(self):
        while True:
            code, reason = 1006, ""
            try:
                ws = await websockets.connect(self.target(), subprotocols=["belfry.v1"])
                self.pause = 0.02
                while True:
                    await self.heard(ws, json.loads(await ws.recv()))
            except websockets.ConnectionClosed:
                code, reason = ws.close_code, ws.close_reason
            except (OSError, websockets.InvalidHandshake):
                pass  # cut while it was connecting
            say(code=code, reason=reason, unclean=code == 1006)
            if 4000 <= code < 4100:
                return
            await asyncio.sleep(self.pause)


async def main(urls):
    for url in urls[:-1]:
        await Client(url).run()
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def wait():
        sys.stdin.readline()
        loop.call_soon_threadsafe(told.set)

    threading.Thread(target=wait, daemon=True).start()
    last = asyncio.ensure_future(Client(urls[-1]).run())
    await asyncio.wait([last, asyncio.ensure_future(told.wait())], return_when=asyncio.FIRST_COMPLETED)
    last.cancel()


asyncio.run(main(sys.argv[1:]))
