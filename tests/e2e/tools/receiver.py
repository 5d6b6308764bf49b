#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""receiver.py PORT FOLDER: takes webhooks.  A line of FOLDER/log per request: path, event, whether the signature is that of
the secret in FOLDER/secret, body.  Answers with the status in FOLDER/status."""
import hashlib
import hmac
import http.server
import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[2])


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        secret = (folder / "secret").read_text().strip().encode()
        wanted = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        given = self.headers.get("X-Perch-Signature", "")
        said = {
            "path": self.path,
            "event": self.headers.get("X-Perch-Event"),
            "signed": "no" if not given else "yes" if hmac.compare_digest(given, wanted) else "wrong",
            "status": int((folder / "status").read_text()),
            "body": json.loads(body),
        }
        with open(folder / "log", "a") as log:
            log.write(json.dumps(said) + "\n")
        self.send_response(said["status"])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
