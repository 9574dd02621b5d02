// A maker's library for the tests that misbehaves as its callers ask: by the
// session number. Real ones did (dossier on the device link, 1.4). With COMPANION
// defined it is the library it depends on, which lies beside it.
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

#ifdef COMPANION
EXPORT const char *companion(void) { return "companheira"; }
#else
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *companion(void);

static char reply[17 << 20];
static int freed;

// tell writes the process id to the pipe "began" in the working folder, which
// stays open as long as the process lives.
static void tell(void) {
  int began = open("began", O_WRONLY);
  dprintf(began, "%d\n", getpid());
}

char *ConsultarSAT(int s) {
  char folder[512];
  switch (s) {
  case 1: snprintf(reply, sizeof reply, "%06d|08000|%s %s||", s, getcwd(folder, sizeof folder), companion()); break;
  case 2: return NULL;
  case 3: raise(SIGSEGV); break;
  case 4: exit(0);
  case 5: abort();
  case 6: tell(); for (;;) pause();
  case 7: snprintf(reply, sizeof reply, "%06d|08098|0000|SAT em processamento...||", s); break;
  case 8: snprintf(reply, sizeof reply, "123456|9999|SAT Desconectado"); break;
  case 9: snprintf(reply, sizeof reply, "%06d|08000|SAT em opera\xe7\xe3o||", s); break;
  case 10: memset(reply, 'x', sizeof reply); break;
  case 11: strcpy(reply, "Error [2] openning serial COM3"); break;
  case 12: reply[0] = 0; break;
  case 13: snprintf(reply, sizeof reply, "%06d|08000|%d||", s, freed); break;
  case 14: snprintf(reply, sizeof reply, "%06d|08000|%d||", s, getpid()); break;
  case 15: // everything a library can do to what it inherited
    for (int i = 0; i < 1000; i++) printf("{\"Raw\":\"AAAA\"} barulho\n"), fprintf(stderr, "erro\n");
    fflush(stdout);
    close(0);
    close(1);
    /* fall through */
  default: snprintf(reply, sizeof reply, "%06d|08000|SAT em operacao||", s);
  }
  return reply;
}

// Prints what it was given.
char *ConsultarStatusOperacional(int s, char *code) {
  printf("codigo=%s CPF 111.444.777-35, chave 35261108723218000186599000040190000010000019\n", code);
  fflush(stdout);
  snprintf(reply, sizeof reply, "%06d|10001|Codigo de ativacao invalido||", s);
  return reply;
}

// Waits until the pipe "go" in the working folder has a writer.
char *EnviarDadosVenda(int s, char *code, char *sale) {
  (void)code, (void)sale;
  tell();
  close(open("go", O_RDONLY));
  snprintf(reply, sizeof reply, "%06d|06010|1999|Erro de validacao||", s);
  return reply;
}

void DesalocarString(char *text) {
  if (text == reply) freed++;
}
#endif
