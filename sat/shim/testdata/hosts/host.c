// A POS program for the tests: loads the library named by its argument and does
// what the lines on standard input say, one line of output for each.
//
//   call FUNCTION SESSION [ARG...]   "NULL" is NULL, "fill:N" is N letters
//   kept N                           are the replies to the last N calls unchanged?
//   begin SESSION                    a thread begins a call of ConsultarSAT
//   child                            a child that does nothing, forked during that call
//   end                              the reply to it
//   threads T N                      T threads make N calls each
//   fork N                           N children call while threads call
//   reload N                         free and load the library N times
//   sessions N                       N session numbers
//   version
//   time N FUNCTION SESSION [ARG...] N calls, each timed: p50 and p99 in ns
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

enum { KEPT = 8, WORDS = 8 };

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
};

static const char *path;
static void *library;

static void load(void) {
  library = dlopen(path, RTLD_NOW);
  if (!library) {
    printf("cannot load: %s\n", dlerror());
    exit(1);
  }
}

static void *symbol(const char *name) {
  void *f = dlsym(library, name);
  if (!f) {
    printf("no function %s\n", name);
    exit(1);
  }
  return f;
}

typedef char *(*call0)(int);
typedef char *(*calls)(int, char *);
typedef char *(*callss)(int, char *, char *);
typedef char *(*callsss)(int, char *, char *, char *);
typedef char *(*callsi)(int, char *, int);
typedef char *(*callissi)(int, int, char *, char *, int);
typedef char *(*callsiss)(int, char *, int, char *, char *);

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

static pthread_t begun;
static pid_t child;

static void begin(int session) {
  pthread_create(&begun, NULL, one, (void *)(size_t)session);
  puts("begun");
}

static void forked(void) {
  child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  puts("forked");
}

static void end(void) {
  void *reply;
  pthread_join(begun, &reply);
  puts(reply);
}

// own makes one call and says whether the answer is to that call.
static int own(int session) {
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

static void threads(int count, int calls) {
  pthread_t all[32];
  calls_each = calls;
  wrong = stop = 0;
  for (int i = 0; i < count; i++) pthread_create(&all[i], NULL, calling, (void *)(size_t)(i + 1));
  for (int i = 0; i < count; i++) pthread_join(all[i], NULL);
  printf("%d wrong\n", wrong);
}

static void *numbering(void *unused) {
  while (!stop) ((int (*)(void))symbol("GeraNumeroSessao"))();
  return unused;
}

// forks makes children while two threads call and two hold the library's lock
// as often as they can.
static void forks(int count) {
  pthread_t all[4];
  int bad = 0;
  calls_each = 9999;
  wrong = stop = 0;
  for (int i = 0; i < 4; i++) pthread_create(&all[i], NULL, i < 2 ? calling : numbering, (void *)(size_t)(i + 1));
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
  for (int i = 0; i < 4; i++) pthread_join(all[i], NULL);
  printf("%d wrong\n", bad + wrong);
}

static void reload(int times) {
  int bad = 0;
  for (int i = 0; i < times; i++) {
    if (i % 200 == 0 && !own(i)) bad++;
    dlclose(library);
    load();
  }
  printf("%d wrong\n", bad);
}

static void sessions(int count) {
  static char seen[1000000];
  int (*next)(void) = (int (*)(void))symbol("GeraNumeroSessao");
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

static void timed(int count, const char *name, int session, char **args) {
  long long *ns = malloc((size_t)count * sizeof *ns);
  for (int i = 0; i < count; i++) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    invoke(name, session, args);
    clock_gettime(CLOCK_MONOTONIC, &b);
    ns[i] = (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec;
  }
  qsort(ns, (size_t)count, sizeof *ns, ascending);
  printf("%lld %lld\n", ns[count / 2], ns[count * 99LL / 100]);
  free(ns);
}

static char *argument(char *word) {
  if (strcmp(word, "NULL") == 0) return NULL;
  if (strncmp(word, "fill:", 5) != 0) return strdup(word);
  size_t size = (size_t)atol(word + 5);
  char *s = malloc(size + 1);
  memset(s, 'x', size);
  s[size] = 0;
  return s;
}

static void obey(char *line) {
  char *words[WORDS], *args[WORDS] = {0};
  int n = 0;
  for (char *w = strtok(line, " \n"); w && n < WORDS; w = strtok(NULL, " \n")) words[n++] = w;
  int timing = n > 3 && strcmp(words[0], "time") == 0;
  if (timing || strcmp(words[0], "call") == 0) {
    char **from = words + (timing ? 2 : 1);
    int count = n - (int)(from - words) - 2;
    for (int i = 0; i < count; i++) args[i] = argument(from[2 + i]);
    if (timing) timed(atoi(words[1]), from[0], atoi(from[1]), args);
    else {
      char *reply = invoke(from[0], (int)strtol(from[1], NULL, 10), args);
      puts(reply);
      keep(reply);
    }
    for (int i = 0; i < count; i++) free(args[i]);
  } else if (strcmp(words[0], "kept") == 0) kept(atoi(words[1]));
  else if (strcmp(words[0], "begin") == 0) begin(atoi(words[1]));
  else if (strcmp(words[0], "child") == 0) forked();
  else if (strcmp(words[0], "end") == 0) end();
  else if (strcmp(words[0], "threads") == 0) threads(atoi(words[1]), atoi(words[2]));
  else if (strcmp(words[0], "fork") == 0) forks(atoi(words[1]));
  else if (strcmp(words[0], "reload") == 0) reload(atoi(words[1]));
  else if (strcmp(words[0], "sessions") == 0) sessions(atoi(words[1]));
  else if (strcmp(words[0], "version") == 0) puts(((char *(*)(void))symbol("VersaoLib"))());
  else puts("unknown command");
}

int main(int argc, char **argv) {
  char line[512];
  if (argc < 2) return 2;
  path = argv[1];
  load();
  while (fgets(line, sizeof line, stdin)) {
    obey(line);
    fflush(stdout);
  }
  if (child > 0) kill(child, SIGKILL);
  for (int i = 0; i < KEPT; i++) free(copies[i]);
  dlclose(library);
  return 0;
}
