"""Traffic between pods that accounts for every byte and datagram; run by `deploy/lab exec POD -- python3 traffic.py ...`.

    traffic.py serve PORT NAME                     TCP and UDP echo; each answer begins with NAME
    traffic.py tcp ADDRESS PORT [--bytes N]        sends N random octets and compares what comes back
    traffic.py udp ADDRESS PORT [--count N] [--rate PER_SECOND] [--size OCTETS] [--wait SECONDS]
                                                   numbered datagrams; counts lost, repeated and reordered answers
    traffic.py stream ADDRESS PORT --seconds S     TCP echo without pause; the longest gap between answers

Prints one JSON object. UDP and stream end early, with what they have, on SIGTERM.
"""

import argparse
import asyncio
import hashlib
import json
import os
import selectors
import signal
import socket
import struct
import time

NUMBER = struct.Struct("!Qd")


async def serve(port: int, name: str) -> None:
    greeting = name.encode() + b"\n"

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(greeting)
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write_eof()
            await writer.drain()
        except (ConnectionError, OSError):
            pass
        finally:
            writer.close()

    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address) -> None:
            self.transport.sendto(greeting + data, address)

    loop = asyncio.get_running_loop()
    await asyncio.start_server(echo, None, port, backlog=1024)
    for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        s = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        s.bind((any_address, port))
        s.setblocking(False)
        await loop.create_datagram_endpoint(Datagrams, sock=s)
    print("ready", flush=True)
    await asyncio.Event().wait()


def tcp(address: str, port: int, count: int, timeout: float) -> dict:
    began = time.monotonic()
    try:
        connection = socket.create_connection((address, port), timeout=timeout)
    except OSError as error:
        return {"ok": False, "error": str(error)}
    connected = time.monotonic()
    sent, got = hashlib.sha256(), hashlib.sha256()
    name, received, left = b"", 0, count
    pending = b""
    selector = selectors.DefaultSelector()
    connection.setblocking(False)
    selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
    deadline = time.monotonic() + timeout + count / 1e6
    try:
        while received < count or not name.endswith(b"\n"):
            if time.monotonic() > deadline:
                return {"ok": False, "error": f"timed out after {received} of {count} octets"}
            for _, events in selector.select(0.5):
                if events & selectors.EVENT_WRITE:
                    if not pending and left:
                        pending = os.urandom(min(left, 65536))
                        sent.update(pending)
                        left -= len(pending)
                    if pending:
                        pending = pending[connection.send(pending):]
                    if not pending and not left:
                        selector.modify(connection, selectors.EVENT_READ)
                if events & selectors.EVENT_READ:
                    data = connection.recv(1 << 20)
                    if not data:
                        return {"ok": False, "error": f"closed after {received} of {count} octets"}
                    if not name.endswith(b"\n"):
                        head, newline, data = data.partition(b"\n")
                        name += head + newline
                    got.update(data)
                    received += len(data)
    except OSError as error:
        return {"ok": False, "error": str(error)}
    return {"ok": sent.digest() == got.digest(), "server": name.decode().strip(), "bytes": received,
            "connect_ms": round((connected - began) * 1e3, 3), "seconds": round(time.monotonic() - began, 3)}


def stopped_by_signal() -> list:
    stop: list = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    signal.signal(signal.SIGINT, lambda *_: stop.append(True))
    return stop


def udp(address: str, port: int, count: int, rate: float, size: int, wait: float) -> dict:
    stop = stopped_by_signal()
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    s.connect((address, port))
    s.setblocking(False)
    seen, repeated, reordered, highest, servers, rtts, errors = set(), 0, 0, -1, {}, [], 0
    pad = bytes(max(0, size - NUMBER.size))
    sent, began, last = 0, time.monotonic(), 0.0
    ended = None
    selector = selectors.DefaultSelector()
    selector.register(s, selectors.EVENT_READ)
    while True:
        now = time.monotonic()
        due = min(count, int((now - began) * rate) + 1)
        while sent < due and not stop:
            try:
                s.send(NUMBER.pack(sent, time.monotonic()) + pad)
            except BlockingIOError:
                break
            except OSError:
                errors += 1  # an ICMP error for an earlier one; this one was not sent, and counts as lost
            sent += 1
        if ended is None and (sent >= count or stop):
            ended = now
        if ended is not None and (len(seen) >= sent or now > ended + wait):
            break
        selector.select(min(0.05, 0.5 / rate))
        while True:
            try:
                data = s.recv(65536)
            except (BlockingIOError, OSError):
                break
            name, _, rest = data.partition(b"\n")
            number, when = NUMBER.unpack_from(rest)
            if number in seen:
                repeated += 1
                continue
            seen.add(number)
            last = time.time()
            reordered += number < highest
            highest = max(highest, number)
            servers[name.decode()] = servers.get(name.decode(), 0) + 1
            rtts.append((time.monotonic() - when) * 1e3)
    missing = [n for n in range(sent) if n not in seen]
    rtts.sort()
    return {"sent": sent, "received": len(seen), "lost": len(missing), "missing": missing[:20], "repeated": repeated,
            "reordered": reordered, "servers": servers, "errors": errors, "last_answer": last,
            "rtt_ms": {"min": round(rtts[0], 3), "median": round(rtts[len(rtts) // 2], 3), "max": round(rtts[-1], 3)} if rtts else None}


def stream(address: str, port: int, seconds: float) -> dict:
    """Small messages, each echoed before the next, on one connection."""
    stop = stopped_by_signal()
    try:
        s = socket.create_connection((address, port), timeout=seconds + 30)
    except OSError as error:
        return {"ok": False, "error": str(error)}
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    file = s.makefile("rb")
    server = file.readline().decode().strip()
    began = last = time.monotonic()
    rounds, gap = 0, 0.0
    try:
        while time.monotonic() - began < seconds and not stop:
            message = struct.pack("!Q", rounds) * 16
            s.sendall(message)
            if file.read(len(message)) != message:
                return {"ok": False, "error": f"other octets came back in round {rounds}"}
            rounds += 1
            now = time.monotonic()
            gap, last = max(gap, now - last), now
            time.sleep(0.001)
    except OSError as error:
        return {"ok": False, "error": str(error), "rounds": rounds}
    return {"ok": True, "server": server, "rounds": rounds, "longest_gap_ms": round(gap * 1e3, 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    p = commands.add_parser("serve")
    p.add_argument("port", type=int)
    p.add_argument("name")
    for word in ("tcp", "udp", "stream"):
        p = commands.add_parser(word)
        p.add_argument("address")
        p.add_argument("port", type=int)
        if word == "tcp":
            p.add_argument("--bytes", type=int, default=1000000)
            p.add_argument("--timeout", type=float, default=10)
        elif word == "udp":
            p.add_argument("--count", type=int, default=100)
            p.add_argument("--rate", type=float, default=1000)
            p.add_argument("--size", type=int, default=64)
            p.add_argument("--wait", type=float, default=2)
        else:
            p.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    if args.command == "serve":
        asyncio.run(serve(args.port, args.name))
        return
    if args.command == "tcp":
        result = tcp(args.address, args.port, args.bytes, args.timeout)
    elif args.command == "udp":
        result = udp(args.address, args.port, args.count, args.rate, args.size, args.wait)
    else:
        result = stream(args.address, args.port, args.seconds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
