/* The least that can be a Runtime API: one event from a file, again and again, for so many seconds. Starts the runtime
   itself and prints how many invocations it finished in a second, the first ones left out.

   Usage: runtime-stub EVENT SECONDS COMMAND… */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { most = 8, room = 1 << 20, warm_up = 200 };
static struct { int handle; size_t filled; char bytes[room]; } connections[most];
static int connection_count;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void send_all(int handle, const char *bytes, size_t count) {
  while (count > 0) {
    ssize_t sent = send(handle, bytes, count, MSG_NOSIGNAL);
    if (sent <= 0) fail("send");
    bytes += sent;
    count -= (size_t)sent;
  }
}

/* The length of the first whole request, or 0. */
static size_t request_length(int place) {
  char *bytes = connections[place].bytes;
  bytes[connections[place].filled] = 0;
  char *end = strstr(bytes, "\r\n\r\n");
  if (!end) return 0;
  size_t body = 0;
  for (char *line = strstr(bytes, "\r\n"); line && line < end; line = strstr(line + 2, "\r\n"))
    if (!strncasecmp(line + 2, "content-length:", 15)) body = strtoul(line + 17, NULL, 10);
  size_t whole = (size_t)(end + 4 - bytes) + body;
  return whole <= connections[place].filled ? whole : 0;
}

int main(int count, char **arguments) {
  if (count < 4) return 64;
  FILE *file = fopen(arguments[1], "rb");
  if (!file) fail(arguments[1]);
  static char event[1 << 22], reply[(1 << 22) + 1024];
  size_t event_count = fread(event, 1, sizeof event, file);
  double seconds = atof(arguments[2]);

  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, most)) fail("listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  char text[64];
  snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address.sin_port));
  setenv("AWS_LAMBDA_RUNTIME_API", text, 1);
  pid_t child = fork();
  if (child == 0) {
    if (!freopen("/dev/null", "w", stdout)) _exit(1);
    execvp(arguments[3], arguments + 3);
    _exit(127);
  }

  int head_count = snprintf(
      reply, sizeof reply,
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
      "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:bench\r\n"
      "Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n"
      "Lambda-Runtime-Trace-Id: Root=1-5bdb40ca-556d8b0c50bd44e0bb8a5b3c;Parent=53995c3f42cd8ad8;Sampled=0\r\n"
      "Lambda-Runtime-Deadline-Ms: %lld\r\nContent-Length: %zu\r\n\r\n",
      ((long long)time(NULL) + 600) * 1000, event_count);
  memcpy(reply + head_count, event, event_count);
  static const char accepted[] =
      "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n";

  long finished = 0;
  double begun = 0, end = 0;
  while (end == 0 || now() < end) {
    struct pollfd handles[most + 1] = {{.fd = listener, .events = POLLIN}};
    for (int place = 0; place < connection_count; place++)
      handles[place + 1] = (struct pollfd){.fd = connections[place].handle, .events = POLLIN};
    if (poll(handles, (nfds_t)connection_count + 1, 10000) <= 0) fail("nothing comes");
    for (int place = connection_count - 1; place >= 0; place--) {
      if (!handles[place + 1].revents) continue;
      ssize_t received = recv(
          connections[place].handle, connections[place].bytes + connections[place].filled,
          room - 1 - connections[place].filled, 0);
      if (received <= 0) {
        close(connections[place].handle);
        connections[place] = connections[--connection_count];
        continue;
      }
      connections[place].filled += (size_t)received;
      size_t whole;
      while ((whole = request_length(place)) > 0) {
        int is_next = connections[place].bytes[0] == 'G';
        memmove(connections[place].bytes, connections[place].bytes + whole, connections[place].filled -= whole);
        if (is_next) {
          send_all(connections[place].handle, reply, (size_t)head_count + event_count);
        } else {
          if (++finished == warm_up) {
            begun = now();
            end = begun + seconds;
          }
          send_all(connections[place].handle, accepted, sizeof accepted - 1);
        }
      }
    }
    if (handles[0].revents && connection_count < most) {
      int handle = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
      setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      connections[connection_count].handle = handle;
      connections[connection_count++].filled = 0;
    }
  }
  printf("%.0f\n", (double)(finished - warm_up) / (now() - begun));
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}
