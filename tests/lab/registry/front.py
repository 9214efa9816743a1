"""Stands before the lab's registry and hands everything on; slow or broken if STATE/faults.json says so.

Arguments: the address to listen at, the registry's, and STATE. A fault is {"path": REGEX of the requests it is for,
"times": how many of them, then all is well (absent: all)} and one of "status": NUMBER and "message": TEXT for the
registry's answer, "cut": BYTES after which the connection ends, "rate": BYTES a second. The file has a list of them;
the first that fits counts. STATE/requests has a line for each request, with the fault that it met.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE, REGISTRY, STATE = sys.argv[1], sys.argv[2], Path(sys.argv[3])
PIECE = 16384
LOCK = threading.Lock()
MET = {"file": 0, "counts": []}  # which faults.json, and how many requests met each fault of it


def fault_of(path: str) -> dict:
    """Returns the fault that a request for `path` meets, or {}."""
    file = STATE / "faults.json"
    with LOCK:
        try:
            faults, stamp = json.loads(file.read_text()), file.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if stamp != MET["file"]:
            MET.update(file=stamp, counts=[0] * len(faults))
        for number, fault in enumerate(faults):
            if re.search(fault["path"], path) and MET["counts"][number] < fault.get("times", float("inf")):
                MET["counts"][number] += 1
                return fault
    return {}


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        fault = fault_of(self.path)
        with LOCK, open(STATE / "requests", "a") as file:
            file.write(f"{self.command} {self.path} {json.dumps(fault)}\n")
        if "status" in fault:
            code = {429: "TOOMANYREQUESTS"}.get(fault["status"], "UNKNOWN")
            body = json.dumps({"errors": [{"code": code, "message": fault["message"]}]}).encode()
            self.head(fault["status"], [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            self.wfile.write(body if self.command == "GET" else b"")
            return
        upstream = http.client.HTTPSConnection(REGISTRY, context=CLIENT)
        headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
        upstream.request(self.command, self.path, headers=headers)
        answer = upstream.getresponse()
        self.head(answer.status, answer.getheaders())
        left = fault.get("cut", float("inf"))
        while self.command == "GET" and (piece := answer.read(min(PIECE, left))):
            self.wfile.write(piece)
            left -= len(piece)
            if not left:
                self.close_connection = True
                break
            if "rate" in fault:
                time.sleep(len(piece) / fault["rate"])
        upstream.close()

    do_HEAD = do_GET

    def head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.send_response_only(status)
        for key, value in headers:
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """The file `requests` says it."""


CLIENT = ssl.create_default_context(cafile=str(STATE / "tls/minica.pem"))
CLIENT.check_hostname = False  # it is asked for by its address; the certificate has the hosts' names
server = ThreadingHTTPServer((HERE, 443), Front)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(STATE / "tls/cert.pem", STATE / "tls/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
