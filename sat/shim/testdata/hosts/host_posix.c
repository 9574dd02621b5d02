// A host on Linux. Its own commands:
//
//   child    a child that does nothing, forked during the call that began
//   fork N   N children call while threads call
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct thread {
  pthread_t id;
};

void system_start(void) {}

// As a program that is linked with the library: its names are known to all.
void *library_load(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (!library) {
    printf("cannot load: %s\n", dlerror());
    exit(1);
  }
  return library;
}

void library_free(void *library) { dlclose(library); }
void *library_symbol(void *library, const char *name) { return dlsym(library, name); }

thread *thread_start(void *(*run)(void *), void *argument) {
  thread *t = malloc(sizeof *t);
  pthread_create(&t->id, NULL, run, argument);
  return t;
}

void *thread_join(thread *t) {
  void *result;
  pthread_join(t->id, &result);
  free(t);
  return result;
}

long long clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

long memory_kib(void) {
  long size, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file && fscanf(file, "%ld %ld", &size, &resident) != 2) resident = 0;
  if (file) fclose(file);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

int popped(void *function) {
  (void)function;
  return 0; // the caller's work here
}

static void forked(void) {
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    while (getppid() == parent) usleep(50000);
    _exit(0);
  }
  puts("forked");
}

static atomic_int stop;
static void *(*next_session)(void);

static void *numbering(void *unused) {
  while (!stop) next_session();
  return unused;
}

// forks makes children while two threads call and two hold the library's lock as
// often as they can.
static void forks(int count) {
  thread *callers[2], *others[2];
  int bad = 0;
  next_session = (void *(*)(void))dlsym(RTLD_DEFAULT, "GeraNumeroSessao");
  stop = 0;
  calling_start(callers, 2);
  for (int i = 0; i < 2; i++) others[i] = thread_start(numbering, NULL);
  for (int c = 0; c < count; c++) {
    pid_t child = fork();
    if (child == 0) {
      alarm(10); // a lock left locked
      for (int i = 0; i < 5; i++)
        if (!own(500000 + c * 10 + i)) _exit(1);
      _exit(0);
    }
    int status;
    if (!own(600000 + c)) bad++;
    waitpid(child, &status, 0);
    if (status != 0) {
      bad++;
      break;
    }
  }
  stop = 1;
  calling_stop(callers, 2);
  for (int i = 0; i < 2; i++) thread_join(others[i]);
  printf("%d wrong\n", bad + calling_wrong());
}

int system_command(char **words, int count) {
  if (count == 1 && strcmp(words[0], "child") == 0) forked();
  else if (count == 2 && strcmp(words[0], "fork") == 0) forks(atoi(words[1]));
  else return 0;
  return 1;
}
