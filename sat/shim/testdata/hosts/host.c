// A POS program for the tests: loads the library named by its argument and does
// what the lines on standard input say, one line of output for each.
//
//   call FUNCTION SESSION [ARG...]   see argument
//   kept N                           are the replies to the last N calls unchanged?
//   begin SESSION                    a thread begins a call of ConsultarSAT
//   end                              the reply to it
//   leave                            ends the program, whatever is under way
//   threads T N                      T threads make N calls each
//   reload N                         free and load the library N times
//   sessions N                       N session numbers
//   text FUNCTION                    a function without parameters that returns text
//   number FUNCTION                  the same that returns a number
//   popped FUNCTION                  words it takes off the stack
//   memory, without                  resident KiB of this process, now and before
//                                    the library was loaded
//   time T N FUNCTION SESSION [ARG...] T threads make N calls each, timed: p50 and
//                                    p99 in ns, and calls per second
//   child, fork N                    on Linux, see host_posix.c
#include "host.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HOST_STDCALL
#define CALL __stdcall
#else
#define CALL
#endif

enum { KEPT = 8, WORDS = 9, THREADS = 32 };

// The parameters after numeroSessao: i an int, s a string.
static const struct {
  const char *name, *shape;
} functions[] = {
    {"AtivarSAT", "issi"}, {"ComunicarCertificadoICPBRASIL", "ss"}, {"EnviarDadosVenda", "ss"},
    {"CancelarUltimaVenda", "sss"}, {"ConsultarSAT", ""}, {"TesteFimAFim", "ss"},
    {"ConsultarStatusOperacional", "s"}, {"ConsultarNumeroSessao", "si"}, {"ConfigurarInterfaceDeRede", "ss"},
    {"AssociarAssinatura", "sss"}, {"AtualizarSoftwareSAT", "s"}, {"ExtrairLogs", "s"},
    {"BloquearSAT", "s"}, {"DesbloquearSAT", "s"}, {"TrocarCodigoDeAtivacao", "siss"},
    {"ConsultarUltimaSessaoFiscal", "s"},
    {"ConsultarStatusOperacionalMFE", "s"}, {"ConfigurarInterfaceDeRedeMFE", "ss"}, {"ReiniciarMFE", "s"},
    {"AtualizarDriverMFE", ""}, {"EnviarStatusAC", "sss"}, {"InformarProducaoMFE", "sss"},
};

static const char *path;
static long memory_before;
static void *library;

static void *symbol(const char *name) {
  void *f = library_symbol(library, name);
  if (!f) {
    printf("no function %s\n", name);
    exit(1);
  }
  return f;
}

typedef char *(CALL *call0)(int);
typedef char *(CALL *calls)(int, char *);
typedef char *(CALL *callss)(int, char *, char *);
typedef char *(CALL *callsss)(int, char *, char *, char *);
typedef char *(CALL *callsi)(int, char *, int);
typedef char *(CALL *callissi)(int, int, char *, char *, int);
typedef char *(CALL *callsiss)(int, char *, int, char *, char *);

static char *invoke(const char *name, int session, char **a) {
  const char *shape = NULL;
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
    if (strcmp(name, functions[i].name) == 0) shape = functions[i].shape;
  void *f = shape ? symbol(name) : NULL;
  if (!shape) exit(1);
  if (strcmp(shape, "") == 0) return ((call0)f)(session);
  if (strcmp(shape, "s") == 0) return ((calls)f)(session, a[0]);
  if (strcmp(shape, "ss") == 0) return ((callss)f)(session, a[0], a[1]);
  if (strcmp(shape, "sss") == 0) return ((callsss)f)(session, a[0], a[1], a[2]);
  if (strcmp(shape, "si") == 0) return ((callsi)f)(session, a[0], atoi(a[1]));
  if (strcmp(shape, "issi") == 0) return ((callissi)f)(session, atoi(a[0]), a[1], a[2], atoi(a[3]));
  return ((callsiss)f)(session, a[0], atoi(a[1]), a[2], a[3]);
}

// The library's own memory, and what was in it.
static char *replies[KEPT], *copies[KEPT];
static int made;

static void keep(char *reply) {
  int i = made++ % KEPT;
  free(copies[i]);
  replies[i] = reply;
  copies[i] = strdup(reply);
}

static void kept(int count) {
  for (int age = 1; age <= count; age++) {
    int i = (made - age + KEPT) % KEPT;
    if (strcmp(replies[i], copies[i]) != 0) {
      printf("reply %d calls ago changed from %.40s to %.40s\n", age, copies[i], replies[i]);
      return;
    }
  }
  printf("%d kept\n", count);
}

static void *one(void *session) { return ((call0)symbol("ConsultarSAT"))((int)(size_t)session); }

static thread *begun;

static void begin(int session) {
  begun = thread_start(one, (void *)(size_t)session);
  puts("begun");
}

static void end(void) { puts(thread_join(begun)); }

// own makes one call and says whether the answer is to that call.
int own(int session) {
  char want[16];
  char *reply = ((call0)symbol("ConsultarSAT"))(session);
  snprintf(want, sizeof want, "%06d|08000|", session);
  return strncmp(reply, want, strlen(want)) == 0;
}

static atomic_int wrong, stop;
static int calls_each;

static void *calling(void *first) {
  int session = (int)(size_t)first * 10000;
  for (int i = 0; i < calls_each && !stop; i++)
    if (!own(session + i)) wrong++;
  return NULL;
}

int calling_wrong(void) { return wrong; }

void calling_start(thread **all, int count) {
  wrong = stop = 0;
  for (int i = 0; i < count; i++) all[i] = thread_start(calling, (void *)(size_t)(i + 1));
}

void calling_stop(thread **all, int count) {
  stop = 1;
  for (int i = 0; i < count; i++) thread_join(all[i]);
}

static void threads(int count, int calls) {
  thread *all[THREADS];
  calls_each = calls;
  calling_start(all, count);
  for (int i = 0; i < count; i++) thread_join(all[i]);
  printf("%d wrong\n", wrong);
}

static void reload(int times) {
  int bad = 0;
  for (int i = 0; i < times; i++) {
    if (i % 200 == 0 && !own(i)) bad++;
    library_free(library);
    library = library_load(path);
  }
  printf("%d wrong\n", bad);
}

static void sessions(int count) {
  static char seen[1000000];
  int (CALL *next)(void) = (int (CALL *)(void))symbol("GeraNumeroSessao");
  int bad = 0;
  for (int i = 0; i < count; i++) {
    int n = next();
    if (n < 100000 || n > 999999 || seen[n]++) bad++;
  }
  printf("%d wrong\n", bad);
}

static int ascending(const void *a, const void *b) {
  long long x = *(const long long *)a, y = *(const long long *)b;
  return (x > y) - (x < y);
}

// What each of the timed threads does, and where it notes how long that takes.
static struct {
  int count, session;
  const char *name;
  char **args;
  long long *ns;
} timed;

static void *timing(void *number) {
  long long *ns = timed.ns + (size_t)number * (size_t)timed.count;
  for (int i = 0; i < timed.count; i++) {
    long long before = clock_ns();
    invoke(timed.name, timed.session, timed.args);
    ns[i] = clock_ns() - before;
  }
  return NULL;
}

static void time_calls(int count) {
  thread *all[THREADS];
  long long n = (long long)count * timed.count, before = clock_ns();
  timed.ns = malloc((size_t)n * sizeof *timed.ns);
  for (int i = 0; i < count; i++) all[i] = thread_start(timing, (void *)(size_t)i);
  for (int i = 0; i < count; i++) thread_join(all[i]);
  double seconds = (double)(clock_ns() - before) / 1e9;
  qsort(timed.ns, (size_t)n, sizeof *timed.ns, ascending);
  printf("%lld %lld %.0f\n", timed.ns[n / 2], timed.ns[n * 99 / 100], (double)n / seconds);
  free(timed.ns);
}

// argument makes of a word: NULL, N letters ("fill:N"), any bytes ("hex:..."), or
// itself.
static char *argument(char *word) {
  if (strcmp(word, "NULL") == 0) return NULL;
  if (strncmp(word, "fill:", 5) == 0) {
    size_t size = (size_t)atol(word + 5);
    char *s = malloc(size + 1);
    memset(s, 'x', size);
    s[size] = 0;
    return s;
  }
  if (strncmp(word, "hex:", 4) != 0) return strdup(word);
  size_t size = strlen(word + 4) / 2;
  char *s = calloc(1, size + 1);
  for (size_t i = 0; i < size; i++) {
    char two[3] = {word[4 + 2 * i], word[5 + 2 * i], 0};
    s[i] = (char)strtol(two, NULL, 16);
  }
  return s;
}

static void call(char **words, int count) {
  char *args[WORDS] = {0};
  int timing = strcmp(words[0], "time") == 0;
  char **from = words + (timing ? 3 : 1);
  int n = count - (int)(from - words) - 2;
  for (int i = 0; i < n; i++) args[i] = argument(from[2 + i]);
  if (timing) {
    timed.count = atoi(words[2]);
    timed.name = from[0];
    timed.session = atoi(from[1]);
    timed.args = args;
    time_calls(atoi(words[1]));
  } else {
    char *reply = invoke(from[0], (int)strtol(from[1], NULL, 10), args);
    puts(reply);
    keep(reply);
  }
  for (int i = 0; i < n; i++) free(args[i]);
}

static void obey(char *line) {
  char *words[WORDS] = {0};
  int n = 0;
  for (char *w = strtok(line, " \n"); w && n < WORDS; w = strtok(NULL, " \n")) words[n++] = w;
  if (n > 2 && (strcmp(words[0], "call") == 0 || strcmp(words[0], "time") == 0)) call(words, n);
  else if (strcmp(words[0], "kept") == 0) kept(atoi(words[1]));
  else if (strcmp(words[0], "begin") == 0) begin(atoi(words[1]));
  else if (strcmp(words[0], "end") == 0) end();
  else if (strcmp(words[0], "leave") == 0) exit(0);
  else if (strcmp(words[0], "threads") == 0) threads(atoi(words[1]), atoi(words[2]));
  else if (strcmp(words[0], "reload") == 0) reload(atoi(words[1]));
  else if (strcmp(words[0], "sessions") == 0) sessions(atoi(words[1]));
  else if (strcmp(words[0], "text") == 0) puts(((char *(CALL *)(void))symbol(words[1]))());
  else if (strcmp(words[0], "number") == 0) printf("%d\n", ((int (CALL *)(void))symbol(words[1]))());
  else if (strcmp(words[0], "popped") == 0) printf("%d\n", popped(symbol(words[1])));
  else if (strcmp(words[0], "without") == 0) printf("%ld\n", memory_before);
  else if (strcmp(words[0], "memory") == 0) printf("%ld\n", memory_kib());
  else if (!system_command(words, n)) exit(1);
}

int main(int argc, char **argv) {
  static char line[1 << 20];
  if (argc < 2) return 2;
  system_start();
  path = argv[1];
  memory_before = memory_kib();
  library = library_load(path);
  while (fgets(line, sizeof line, stdin)) {
    obey(line);
    fflush(stdout);
  }
  for (int i = 0; i < KEPT; i++) free(copies[i]);
  library_free(library);
  return 0;
}
