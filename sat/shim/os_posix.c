//go:build ignore

// Sockets, clock, threads, files on Linux.
#define _GNU_SOURCE
#include "zelo.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// Tills run old systems. Without these the library built here would ask for the
// C library of 2021, which changed where the two live, not what they do.
#ifdef __x86_64__
__asm__(".symver dlopen,dlopen@GLIBC_2.2.5");
__asm__(".symver dlsym,dlsym@GLIBC_2.2.5");
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void os_lock(void) { pthread_mutex_lock(&lock); }
void os_unlock(void) { pthread_mutex_unlock(&lock); }

// A host that forks while another of its threads holds the lock must not leave
// it locked for ever in the child.
__attribute__((constructor)) static void at_load(void) { pthread_atfork(os_lock, os_unlock, os_unlock); }

uint64_t os_thread(void) { return (uint64_t)pthread_self(); }

static int64_t clock_ms(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t os_now(void) { return clock_ms(CLOCK_MONOTONIC); }
int64_t os_unix_ms(void) { return clock_ms(CLOCK_REALTIME); }

uint32_t os_pid(void) { return (uint32_t)getpid(); }

void os_process(char *name, size_t room) { snprintf(name, room, "%s", program_invocation_short_name); }

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

// by_socket also waits when the agent lives but has more callers in line than the
// system holds (EAGAIN).
static int by_socket(int conn, const char *path, int64_t until) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, path, strlen(path) + 1);
  while (connect(conn, (struct sockaddr *)&address, sizeof address) != 0) {
    if ((errno != EAGAIN && errno != EINTR) || os_now() >= until) return 0;
    poll(NULL, 0, 5);
  }
  return 1;
}

static int by_tcp(int conn, uint32_t host, uint16_t port, int64_t until) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host)};
  int yes = 1, error = 0;
  socklen_t size = sizeof error;
  setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (connect(conn, (struct sockaddr *)&address, sizeof address) == 0) return 1;
  if ((errno != EINPROGRESS && errno != EINTR) || !wait_for(conn, POLLOUT, until)) return 0;
  return getsockopt(conn, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

int os_connect(const struct config *cfg, int64_t until, intptr_t *conn) {
  int by_path = cfg->socket[0] != 0;
  int fd = socket(by_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return 0;
  if (by_path ? by_socket(fd, cfg->socket, until) : by_tcp(fd, cfg->host, cfg->port, until)) {
    *conn = fd;
    return 1;
  }
  close(fd);
  return 0;
}

// os_send reports in *sent the bytes the system took; none means that the other
// side cannot have any: a closed Unix socket refuses the first byte at once.
int os_send(intptr_t conn, const unsigned char *bytes, size_t size, int64_t until, size_t *sent) {
  *sent = 0;
  while (*sent < size) {
    ssize_t n = send((int)conn, bytes + *sent, size - *sent, MSG_NOSIGNAL);
    if (n >= 0) *sent += (size_t)n;
    else if (errno == EAGAIN) {
      if (!wait_for((int)conn, POLLOUT, until)) return 0;
    } else if (errno != EINTR) return 0;
  }
  return 1;
}

int os_receive(intptr_t conn, unsigned char *bytes, size_t size, int64_t until) {
  size_t have = 0;
  while (have < size) {
    ssize_t n = recv((int)conn, bytes + have, size - have, 0);
    if (n == 0) return 0;
    if (n > 0) have += (size_t)n;
    else if (errno == EAGAIN) {
      if (!wait_for((int)conn, POLLIN, until)) return 0;
    } else if (errno != EINTR) return 0;
  }
  return 1;
}

// os_disconnect ends the connection even if a forked child holds a copy of it.
void os_disconnect(intptr_t conn) {
  shutdown((int)conn, SHUT_RDWR);
  close((int)conn);
}

void os_defaults(struct config *cfg) {
  strcpy(cfg->socket, "/run/zelo/sat.sock");
  strcpy(cfg->lock, "/var/lib/zelo/ponte/equipamento.lock");
  strcpy(cfg->spool, "/var/lib/zelo/ponte");
}

int os_settings(int n, char *path, size_t room) {
  snprintf(path, room, "/etc/zelo/sat.ini");
  return n == 0;
}

int os_environment(const char *name, char *value, size_t room) {
  const char *found = getenv(name);
  if (!found || strlen(found) >= room) return 0;
  strcpy(value, found);
  return 1;
}

// read_some fills a buffer as far as the file goes.
static size_t read_some(const char *path, void *bytes, size_t size) {
  size_t have = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  while (have < size) {
    ssize_t n = read(fd, (char *)bytes + have, size - have);
    if (n > 0) have += (size_t)n;
    else if (n == 0 || errno != EINTR) break;
  }
  close(fd);
  return have;
}

size_t os_read(const char *path, char *text, size_t room) {
  size_t size = read_some(path, text, room - 1);
  text[size] = 0;
  return size;
}

int os_random(void *bytes, size_t size) { return read_some("/dev/urandom", bytes, size) == size; }

// sync_folder makes a new file's name as durable as its content.
static int sync_folder(const char *path) {
  char folder[MAX_PATH_BYTES];
  snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return 0;
  int done = fsync(fd) == 0;
  close(fd);
  return done;
}

int os_create(const char *path, intptr_t *file) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return 0;
  *file = fd;
  if (sync_folder(path)) return 1;
  close(fd);
  unlink(path);
  return 0;
}

int os_append(intptr_t file, const void *bytes, size_t size) {
  const char *from = bytes;
  while (size > 0) {
    ssize_t n = write((int)file, from, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return 0;
    from += n;
    size -= (size_t)n;
  }
  return fdatasync((int)file) == 0;
}

void os_close(intptr_t file) { close((int)file); }
void os_remove(const char *path) { unlink(path); }

// A maker's library finds its own functions before ours of the same names, which
// the POS may have made known to the whole process. (Sanitizers refuse that way
// of loading.)
void *os_library(const char *path) {
  int how = RTLD_NOW | RTLD_LOCAL;
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
  how |= RTLD_DEEPBIND;
#endif
  return path[0] == '/' ? dlopen(path, how) : NULL;
}

void *os_symbol(void *library, const char *name) { return dlsym(library, name); }

// removed tells whether the open file is no longer the one at its path: the agent
// may have been removed, and installed anew, while we waited. (The functions that
// compare files would ask for a newer C library.)
static int removed(int fd) {
  static const char mark[] = " (deleted)";
  char link[32], path[MAX_PATH_BYTES];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path);
  size_t end = sizeof mark - 1;
  return size > (ssize_t)end && memcmp(path + (size_t)size - end, mark, end) == 0;
}

static int open_lock(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0 || errno != ENOENT) return fd;
  fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd >= 0) fchmod(fd, 0666); // for every user's program; not ours when another was faster
  return fd;
}

enum reserve os_reserve(const char *path, int64_t until, intptr_t *guard) {
  for (;;) {
    int fd = open_lock(path);
    if (fd < 0) return NO_SUCH_LOCK;
    int locked;
    while ((locked = flock(fd, LOCK_EX | LOCK_NB)) != 0 && (errno == EWOULDBLOCK || errno == EINTR) && os_now() < until) poll(NULL, 0, 5);
    if (locked == 0 && !removed(fd)) {
      *guard = fd;
      return RESERVED;
    }
    close(fd);
    if (locked != 0) return STILL_IN_USE;
  }
}

// os_release unlocks before it closes: a forked child holds a copy.
void os_release(intptr_t guard) {
  flock((int)guard, LOCK_UN);
  close((int)guard);
}
