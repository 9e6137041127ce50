/* A runtime as small as can be, for measuring what an invocation costs: it asks for events over one connection, reads
   each to its last byte, and answers with its first argument, or `{}`. Takes the replies apart only as far as it must. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static char *buffer;
static size_t capacity, filled, taken;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void send_all(int socket, const char *bytes, size_t count) {
  while (count > 0) {
    ssize_t sent = send(socket, bytes, count, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) fail("send");
    bytes += sent;
    count -= (size_t)sent;
  }
}

static void receive(int socket) {
  if (taken > 0) {
    memmove(buffer, buffer + taken, filled - taken);
    filled -= taken;
    taken = 0;
  }
  if (filled + 65536 > capacity) {
    capacity = capacity * 2 + 131072;
    buffer = realloc(buffer, capacity);
    if (!buffer) fail("realloc");
  }
  ssize_t count = recv(socket, buffer + filled, capacity - filled - 1, 0);
  if (count < 0 && errno == EINTR) return;
  if (count < 0) fail("recv");
  if (count == 0) exit(0);
  filled += (size_t)count;
  buffer[filled] = 0;
}

/* Reads one reply; gives its status, and copies the request id if it has one. */
static int read_reply(int socket, char *id, size_t room) {
  char *end;
  while (!(end = filled > taken ? strstr(buffer + taken, "\r\n\r\n") : NULL)) receive(socket);
  int status = atoi(buffer + taken + 9);
  size_t length = 0;
  for (char *line = strstr(buffer + taken, "\r\n") + 2; line < end; line = strstr(line, "\r\n") + 2) {
    if (!strncasecmp(line, "content-length:", 15)) length = strtoul(line + 15, NULL, 10);
    if (id && !strncasecmp(line, "lambda-runtime-aws-request-id:", 30)) {
      char *value = line + 30 + strspn(line + 30, " ");
      size_t count = strcspn(value, "\r");
      if (count >= room) count = room - 1;
      memcpy(id, value, count);
      id[count] = 0;
    }
  }
  size_t head = (size_t)(end + 4 - (buffer + taken));
  taken += head;
  while (filled - taken < length) receive(socket);
  taken += length;
  return status;
}

int main(int count, char **arguments) {
  const char *answer = count > 1 ? arguments[1] : "{}";
  const char *address = getenv("AWS_LAMBDA_RUNTIME_API");
  if (!address || !strchr(address, ':')) {
    fprintf(stderr, "AWS_LAMBDA_RUNTIME_API is not set\n");
    return 1;
  }
  char host[64];
  snprintf(host, sizeof host, "%.*s", (int)(strchr(address, ':') - address), address);
  struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(strchr(address, ':') + 1))};
  if (inet_pton(AF_INET, host, &target.sin_addr) != 1) fail("address");
  int connection = socket(AF_INET, SOCK_STREAM, 0);
  if (connection < 0 || connect(connection, (struct sockaddr *)&target, sizeof target) != 0) fail("connect");
  int on = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

  char next[256], id[128] = "", response[8192];
  int next_count = snprintf(
      next, sizeof next, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %s\r\n\r\n", address);
  for (;;) {
    send_all(connection, next, (size_t)next_count);
    if (read_reply(connection, id, sizeof id) != 200) return 1;
    int response_count = snprintf(
        response, sizeof response,
        "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: %s\r\n"
        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        id, address, strlen(answer), answer);
    if (response_count >= (int)sizeof response) return 1;
    send_all(connection, response, (size_t)response_count);
    if (read_reply(connection, NULL, 0) != 202) return 1;
  }
}
