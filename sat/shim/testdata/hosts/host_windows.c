// A host on Windows.
#define _WIN32_WINNT 0x0601
#include <windows.h>

#include "host.h"

#include <fcntl.h>
#include <io.h>
#include <psapi.h>
#include <stdio.h>
#include <stdlib.h>

struct thread {
  HANDLE handle;
  void *(*run)(void *);
  void *argument, *result;
};

void system_start(void) {
  _setmode(_fileno(stdin), _O_BINARY);
  _setmode(_fileno(stdout), _O_BINARY);
}

void *library_load(const char *path) {
  HMODULE library = LoadLibraryA(path);
  if (!library) {
    printf("cannot load: error %lu\n", GetLastError());
    exit(1);
  }
  return library;
}

void library_free(void *library) { FreeLibrary(library); }
void *library_symbol(void *library, const char *name) { return (void *)GetProcAddress(library, name); }

static DWORD WINAPI run(void *argument) {
  thread *t = argument;
  t->result = t->run(t->argument);
  return 0;
}

thread *thread_start(void *(*start)(void *), void *argument) {
  thread *t = malloc(sizeof *t);
  t->run = start;
  t->argument = argument;
  t->handle = CreateThread(NULL, 0, run, t, 0, NULL);
  return t;
}

void *thread_join(thread *t) {
  WaitForSingleObject(t->handle, INFINITE);
  CloseHandle(t->handle);
  void *result = t->result;
  free(t);
  return result;
}

long long clock_ns(void) {
  LARGE_INTEGER now, second;
  QueryPerformanceCounter(&now);
  QueryPerformanceFrequency(&second);
  return now.QuadPart / second.QuadPart * 1000000000LL + now.QuadPart % second.QuadPart * 1000000000LL / second.QuadPart;
}

long memory_kib(void) {
  PROCESS_MEMORY_COUNTERS c = {.cb = sizeof c};
  GetProcessMemoryInfo(GetCurrentProcess(), &c, sizeof c);
  return (long)(c.WorkingSetSize / 1024);
}

// popped calls a function with eight words of zero and sees how many of them it
// took off the stack.
int popped(void *function) {
#ifdef __i386__
  int bytes;
  __asm__ volatile(
      "movl %%esp, %%esi\n\t"
      "pushl $0\n\tpushl $0\n\tpushl $0\n\tpushl $0\n\t"
      "pushl $0\n\tpushl $0\n\tpushl $0\n\tpushl $0\n\t"
      "movl %%esp, %%edi\n\t"
      "call *%%eax\n\t"
      "movl %%esp, %%ebx\n\t"
      "subl %%edi, %%ebx\n\t"
      "movl %%esi, %%esp"
      : "+a"(function), "=&b"(bytes)
      :
      : "ecx", "edx", "esi", "edi", "memory", "cc");
  return bytes / 4;
#else
  (void)function;
  return 0;
#endif
}

int system_command(char **words, int count) {
  (void)words, (void)count;
  return 0;
}
