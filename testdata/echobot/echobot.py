"""A bot that says what it is told: Python 3, its standard library only.

GRAPH_URL, PAGE_TOKEN, APP_SECRET and VERIFY_TOKEN come from the environment, the
port to listen on, 0 for any, as the only argument.
"""
import hashlib, hmac, json, os, sys, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


def say(psid, text):
    body = {"recipient": {"id": psid}, "messaging_type": "RESPONSE", "message": {"text": text}}
    call = urllib.request.Request(
        os.environ["GRAPH_URL"] + "/v26.0/me/messages", json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["PAGE_TOKEN"]})
    try:
        urllib.request.urlopen(call, timeout=5).close()
    except OSError as refused:  # HTTPError is one
        print("Graph:", refused, file=sys.stderr)


class Webhook(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
        known = asked.get("hub.verify_token") == os.environ["VERIFY_TOKEN"]
        self.answer(200 if known else 403, asked.get("hub.challenge", "") if known else "wrong verify token")

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        signed = "sha256=" + hmac.new(os.environ["APP_SECRET"].encode(), raw, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signed, self.headers.get("X-Hub-Signature-256", "")):
            return self.answer(401, "bad signature")
        self.answer(200, "ok")
        for entry in json.loads(raw)["entry"]:  # standby is for others to answer
            for event in entry.get("messaging", []):
                message = event.get("message", {})
                if "text" in message and not message.get("is_echo"):
                    say(event["sender"]["id"], message["text"])

    def answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Webhook)
print(f"echobot listens at http://127.0.0.1:{server.server_port}/webhook", flush=True)
server.serve_forever()
