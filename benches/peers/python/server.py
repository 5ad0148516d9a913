"""python-socketio as an ASGI application on uvicorn: the handlers of our `measured` server."""

import argparse
import socket

import socketio
import uvicorn

io = socketio.AsyncServer(async_mode="asgi", http_compression=False, cors_allowed_origins="*")


@io.on("echo")
async def echo(sid, value):
    await io.emit("echo", value, to=sid)


@io.on("ack")
async def ack(sid, value):
    return value


@io.on("join")
async def join(sid, room):
    await io.enter_room(sid, room)
    return "ok"


@io.on("broadcast")
async def broadcast(sid, value):
    await io.emit("broadcast", value, to="room1")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    # The other servers take more options than there are of use here.
    options, _ = parser.parse_known_args()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    listener.listen(4096)
    config = uvicorn.Config(
        socketio.ASGIApp(io),
        http="httptools",
        loop="uvloop",
        ws="websockets-sansio",
        ws_max_size=16_000_000,
        ws_per_message_deflate=False,
        # Engine.IO has its own.
        ws_ping_interval=None,
        backlog=4096,
        access_log=False,
        log_level="warning",
        timeout_keep_alive=60,
    )
    print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


main()
