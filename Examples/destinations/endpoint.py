"""Takes failure documents and prints a line for each, once: a document may come twice, but never under two ids."""
import http.server
import json

seen = set()


class Endpoint(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Sluice-Document-Id"] not in seen:
            seen.add(self.headers["Sluice-Document-Id"])
            batch = document["KinesisBatchInfo"]
            print(document["requestContext"]["condition"], batch["shardId"], batch["startSequenceNumber"], flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", 8099), Endpoint).serve_forever()
