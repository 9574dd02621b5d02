// A maker's library that wants its texts back: once ConsultarSAT was called, a text
// that was not handed back is told by the next call.
#include <stdio.h>
#include <stdlib.h>

static int out;

char *ConsultarSAT(int session) {
  char *reply = malloc(100);
  puts(out == 0 ? "nada emprestado" : "falta devolver");
  fflush(stdout);
  out++;
  snprintf(reply, 100, "%06d|08000|SAT em operacao||", session);
  return reply;
}

void DesalocarString(char *text) {
  free(text);
  out--;
}
