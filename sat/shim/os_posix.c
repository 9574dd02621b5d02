//go:build ignore

// Sockets, clock, threads on Linux. Another system implements the same
// functions of zelo.h in a file of its own.
#define _GNU_SOURCE
#include "zelo.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void os_lock(void) { pthread_mutex_lock(&lock); }
void os_unlock(void) { pthread_mutex_unlock(&lock); }

// A host that forks while another of its threads holds the lock must not leave
// it locked for ever in the child.
__attribute__((constructor)) static void at_load(void) { pthread_atfork(os_lock, os_unlock, os_unlock); }

uint64_t os_thread(void) { return (uint64_t)pthread_self(); }

int64_t os_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// wait_for waits until the connection can be read or written, or is broken.
static int wait_for(int conn, short events, int64_t until) {
  for (;;) {
    int64_t ms = until - os_now();
    if (ms <= 0) return 0;
    struct pollfd p = {.fd = conn, .events = events};
    int n = poll(&p, 1, ms > 60000 ? 60000 : (int)ms);
    if (n > 0) return 1;
    if (n < 0 && errno != EINTR) return 0;
  }
}

// os_connect also waits when the agent lives but has more callers in line than
// the system holds (EAGAIN).
int os_connect(const char *path, int64_t until, int *conn) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t size = strlen(path);
  if (size >= sizeof address.sun_path) return 0;
  memcpy(address.sun_path, path, size + 1);
  *conn = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (*conn < 0) return 0;
  while (connect(*conn, (struct sockaddr *)&address, sizeof address) != 0) {
    if ((errno != EAGAIN && errno != EINTR) || os_now() >= until) {
      close(*conn);
      return 0;
    }
    poll(NULL, 0, 5);
  }
  return 1;
}

// os_send reports in *sent the bytes the system took; none means that the other
// side cannot have any: a closed Unix socket refuses the first byte at once.
int os_send(int conn, const unsigned char *bytes, size_t size, int64_t until, size_t *sent) {
  *sent = 0;
  while (*sent < size) {
    ssize_t n = send(conn, bytes + *sent, size - *sent, MSG_NOSIGNAL);
    if (n >= 0) *sent += (size_t)n;
    else if (errno == EAGAIN) {
      if (!wait_for(conn, POLLOUT, until)) return 0;
    } else if (errno != EINTR) return 0;
  }
  return 1;
}

int os_receive(int conn, unsigned char *bytes, size_t size, int64_t until) {
  size_t have = 0;
  while (have < size) {
    ssize_t n = recv(conn, bytes + have, size - have, 0);
    if (n == 0) return 0;
    if (n > 0) have += (size_t)n;
    else if (errno == EAGAIN) {
      if (!wait_for(conn, POLLIN, until)) return 0;
    } else if (errno != EINTR) return 0;
  }
  return 1;
}

// os_disconnect ends the connection even if a forked child holds a copy of it.
void os_disconnect(int conn) {
  shutdown(conn, SHUT_RDWR);
  close(conn);
}

const char *os_process(void) { return program_invocation_short_name; }

uint32_t os_pid(void) { return (uint32_t)getpid(); }

uint32_t os_random(void) {
  uint32_t n = (uint32_t)os_now() * 2654435761u ^ os_pid();
  FILE *file = fopen("/dev/urandom", "re");
  if (!file) return n;
  uint32_t better;
  if (fread(&better, sizeof better, 1, file) == 1) n = better;
  fclose(file);
  return n;
}
