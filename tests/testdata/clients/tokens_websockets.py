# python3-websockets plays a client with a token in a header: see tokens_foreign_test.go. It is told its tokens by a line.
import asyncio
import json
import sys

import websockets


def say(**line):
    print(json.dumps(line), flush=True)


async def main(url):
    say(away=True)
    token, after = sys.stdin.readline().rstrip("\n").split(" ")
    headers = {"Authorization": "Bearer " + token}
    ws = await websockets.connect(url, subprotocols=["belfry.v1"], extra_headers=headers)
    try:
        async for text in ws:
            m = json.loads(text)
            if m["type"] == "welcome":
                say(open=True, message=f"{ws.subprotocol} {m['user_id']}")
            elif m["type"] == "expiring":
                say(expiring=m["expires_in_ms"] <= 60000)
                if after:
                    await ws.send(json.dumps({"op": "auth", "ref": 1, "token": after}))
            elif m["type"] == "ack":
                say(ack=m["ref"])
            elif m["type"] == "event":
                say(message=m["data"])
                await ws.close()
    except websockets.ConnectionClosed:
        pass
    say(code=ws.close_code, reason=ws.close_reason)


asyncio.run(main(sys.argv[1]))
