// A maker's library for the tests that behaves as its callers ask: by the session
// number. Real ones did (dossier on the device link, 1.4). It is built with gcc and
// mingw, with MAKER_STDCALL for the other convention of 32-bit Windows. With
// COMPANION defined it is the library it depends on, which lies beside it.
#ifdef _WIN32
#include <windows.h>
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

#ifdef COMPANION
EXPORT const char *companion(void) { return "companheira"; }
#else
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef _WIN32
static void wait_ms(int ms) { Sleep((DWORD)ms); }
static unsigned long thread(void) { return GetCurrentThreadId(); }
static void began(void) {}
static void proceed(void) {}
static void leave(const char *program) { WinExec(program, SW_HIDE); }
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
static void wait_ms(int ms) { usleep((useconds_t)ms * 1000); }
static unsigned long thread(void) { return (unsigned long)syscall(SYS_gettid); }

// began writes the process id to the pipe "began" in the working folder, which
// stays open as long as the process lives.
static void began(void) {
  int pipe = open("began", O_WRONLY);
  if (pipe >= 0) dprintf(pipe, "%d\n", getpid());
}

// proceed waits until the pipe "go" in the working folder has a writer.
static void proceed(void) { close(open("go", O_RDONLY)); }

static void leave(const char *program) { (void)program; }
#endif
#ifdef MAKER_STDCALL
#define CALL __stdcall
#else
#define CALL
#endif

const char *companion(void);

static char reply[17 << 20];
static int freed;
static unsigned long loader;

// at_border returns n bytes without an end, behind which there is no memory.
static char *at_border(size_t n) {
  const size_t size = 1 << 16;
#ifdef _WIN32
  char *at = VirtualAlloc(NULL, 2 * size, MEM_RESERVE, PAGE_NOACCESS);
  if (!at || !VirtualAlloc(at, size, MEM_COMMIT, PAGE_READWRITE)) exit(97);
#else
  char *at = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED || mprotect(at + size, size, PROT_NONE) != 0) exit(97);
#endif
  return memset(at + size - n, 'x', n);
}

// pop_up shows a box that nobody answers.
static void pop_up(void) {
#ifdef _WIN32
  MessageBoxA(NULL, "SAT desconectado", "SAT", MB_OK | MB_ICONERROR);
#endif
}

// hang never comes back, and leaves behind the program that it is told of.
static void hang(void) {
  const char *program = getenv("ZELO_TEST_LEFT");
  if (program) leave(program);
  began();
  printf("parada\n");
  fflush(stdout);
  for (;;) wait_ms(1000);
}

// loaded runs while the library is loaded, and may spoil it.
__attribute__((constructor)) static void loaded(void) {
  const char *how = getenv("ZELO_TEST_LOAD");
  loader = thread();
  if (how && strcmp(how, "crash") == 0) abort();
  if (how && strcmp(how, "hang") == 0) hang();
}

static char *line(int s, int code, const char *text) {
  const char *alert = code == 6010 ? "1999|" : code / 1000 == 6 ? "0000|" : "";
  snprintf(reply, sizeof reply, "%06d|%05d|%s%s||", s, code, alert, text);
  return reply;
}

// issued is the reply of a sale with a document, if a short one.
static char *issued(int s, const char *text) {
  snprintf(reply, sizeof reply, "%06d|06000|0000|%s|||"
    "PENGZT48aW5mQ0ZlIElkPSJDRmUzNTI2MTEwODcyMzIxODAwMDE4NjU5OTAwMDA0MDE5MDAwMDAxMDAwMDAxMCI+PC9pbmZDRmU+PC9DRmU+"
    "|20261121102030|CFe35261108723218000186599000040190000010000010|1.00||QUJD", s, text);
  return reply;
}

// beside reads the first word of a file called by a name without a folder.
static const char *beside(const char *name) {
  static char word[64];
  FILE *f = fopen(name, "r");
  if (!f || fscanf(f, "%63s", word) != 1) strcpy(word, "nada");
  if (f) fclose(f);
  return word;
}

static char *prints(int s) { // everything a library can do to what it inherited
  for (int i = 0; i < 1000; i++) printf("{\"Raw\":\"AAAA\"} barulho\n"), fprintf(stderr, "erro\n");
  fflush(stdout);
  close(0);
  close(1);
  return line(s, 8000, "SAT em operacao");
}

// behave does what the session is for; sale says for which function.
static char *behave(int s, int sale) {
  char text[256];
  int size;
  switch (s) {
  case 1: snprintf(text, sizeof text, "%s %s", companion(), beside("sat.conf")); return line(s, 8000, text);
  case 2: return NULL;
  case 3: raise(SIGSEGV); break;
  case 4: exit(0);
  case 5: abort();
  case 6: hang(); break;
  case 7: snprintf(reply, sizeof reply, "%06d|%s|0000|SAT em processamento...||", s, sale ? "06098" : "08098"); return reply;
  case 8: return strcpy(reply, "123456|9999|SAT Desconectado");
  case 9: return sale ? issued(s, "Emitido: opera\xe7\xe3o") : line(s, 8000, "SAT em opera\xe7\xe3o");
  case 10: return memset(reply, 'x', sizeof reply);
  case 11: return strcpy(reply, "Error [2] openning serial COM3");
  case 12: return strcpy(reply, "");
  case 13: snprintf(text, sizeof text, "%d", freed); return line(s, 8000, text);
  case 14: snprintf(text, sizeof text, "%d", (int)getpid()); return line(s, 8000, text);
  case 15: return prints(s);
  case 25: wait_ms(300); return issued(s, "Emitido com atraso");
  case 18: return at_border(100);
  case 19: return line(s, 6010, "Erro de valida\xe7\xe3o");
  case 20: snprintf(reply, sizeof reply, "%06d|9999|SAT Desconectado", s); return reply;
  case 21: pop_up(); break;
  case 22: // ten megabytes, with an end
    size = sprintf(reply, "%06d|08000|", s);
    strcpy(memset(reply + size, 'x', 10 << 20) + (10 << 20), "||");
    return reply;
  case 23: snprintf(text, sizeof text, "%lu %lu", loader, thread()); return line(s, 8000, text);
  case 24: began(); proceed(); break;
  }
  return sale ? issued(s, "Emitido com sucesso") : line(s, 8000, "SAT em operacao");
}

EXPORT char *CALL ConsultarSAT(int s) { return behave(s, 0); }

EXPORT char *CALL EnviarDadosVenda(int s, char *code, char *sale) {
  return *code && *sale ? behave(s, 1) : NULL;
}

// Prints what it was given.
EXPORT char *CALL ConsultarStatusOperacional(int s, char *code) {
  printf("codigo=%s CPF 111.444.777-35, chave 35261108723218000186599000040190000010000019\n", code);
  fflush(stdout);
  return line(s, 10001, "Codigo de ativacao invalido");
}

EXPORT void CALL DesalocarString(char *text) {
  if (text == reply) freed++;
}
#endif
