# python3-websockets plays a client: see foreign_test.go for what it prints and is told.
import asyncio
import json
import sys

import websockets


def say(**line):
    print(json.dumps(line), flush=True)


async def main(url):
    first = True
    while True:
        ws = await websockets.connect(url)
        if first:
            await ws.send(json.dumps({"topics": ["cats", "dogs.>"]}))
            await ws.send("ping")
        first = False
        say(open=True)
        try:
            while True:
                text = await ws.recv()
                if not isinstance(text, str):
                    say(error="a binary frame")
                if text == "leave":
                    break
                say(message=text)
        except websockets.ConnectionClosed:
            say(code=ws.close_code, reason=ws.close_reason)
            return
        ws.transport.abort()
        say(away=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


asyncio.run(main(sys.argv[1]))
