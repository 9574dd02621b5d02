/* A till as POS programs are: it loads libsat.so at run time, sells, and asks
   for the session when the answer says that nothing is certain yet. ZELO_CAIXA is
   its number.

   Usage: till libsat.so activation-code
   Reads one command per line and answers one line each:
     sale N            -> sale N KEY TRIES
     begin N           -> the same, or open N when nothing is certain yet: the
                          customer waits, and the next "sale N" asks what became of it
     cancel KEY        -> cancel KEY KEY-OF-THE-CANCELLATION TRIES
   A line that begins with "error" ends the till. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef char *(*sell_fn)(int, char *, char *);
typedef char *(*cancel_fn)(int, char *, char *, char *);
typedef char *(*query_fn)(int, char *, int);

static sell_fn sell;
static cancel_fn cancel_last;
static query_fn query;
static char *code, *till;
static int last_session;   /* of all calls; none is used twice */
static int waits, waiting; /* session and number of the sale whose customer waits */

/* What a reply says: the fields of interest. */
struct reply {
  char code[8];
  char key[48];
};

static struct reply parse(const char *raw) {
  struct reply r;
  memset(&r, 0, sizeof r);
  char *copy = strdup(raw ? raw : ""), *rest = copy, *field;
  for (int i = 0; (field = strsep(&rest, "|")) != NULL; i++) {
    if (i == 1) snprintf(r.code, sizeof r.code, "%s", field);
    if (i == 8) snprintf(r.key, sizeof r.key, "%s", strncmp(field, "CFe", 3) ? field : field + 3);
  }
  free(copy);
  return r;
}

static int new_session(void) { return last_session = last_session % 999999 + 1; }

static void breathe(void) {
  struct timespec t = {0, 500 * 1000 * 1000};
  nanosleep(&t, NULL);
}

static int is(const struct reply *r, const char *suffix) {
  return strlen(r->code) == 5 && strcmp(r->code + 2, suffix) == 0;
}

/* ask asks what became of a call. */
static struct reply ask(int session, int *never) {
  struct reply r = parse(query(new_session(), code, session));
  *never = !strcmp(r.code, "11003"); /* no such session: it never happened */
  return r;
}

/* fiscal carries a sale (cancels == NULL) or a cancellation through to its
   document: an uncertain answer is asked about until something is certain, and
   only a certain "it never happened" is tried again. A session that is not 0 is
   that of a call made before. On failure key holds the code of the refusal. */
static int fiscal(char *xml, char *cancels, int session, char *key, int *tries) {
  for (*tries = 1; *tries <= 60; (*tries)++, session = 0) {
    int never = 0; /* certainly not made */
    struct reply r;
    if (session) {
      r = ask(session, &never);
    } else {
      session = new_session();
      r = parse(cancels ? cancel_last(session, code, cancels, xml) : sell(session, code, xml));
      never = is(&r, "099"); /* the call reached no device */
    }
    for (int i = 0; i < 240 && !never; i++) {
      if (is(&r, "000") && r.key[0]) {
        strcpy(key, r.key);
        return 0;
      }
      if (!is(&r, "098") && strncmp(r.code, "11", 2)) { /* refused: a person must look */
        strcpy(key, r.code);
        return -1;
      }
      breathe();
      r = ask(session, &never);
    }
    breathe();
  }
  strcpy(key, "no answer");
  return -1;
}

static char *sale_xml(int n) {
  static char xml[4096];
  snprintf(xml, sizeof xml,
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><CFe><infCFe versaoDadosEnt=\"0.08\"><ide>"
    "<CNPJ>16716114000172</CNPJ><signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC>"
    "<numeroCaixa>%s</numeroCaixa></ide><emit><CNPJ>08723218000186</CNPJ><IE>562377111111</IE>"
    "<indRatISSQN>N</indRatISSQN></emit><dest/>"
    "<det nItem=\"1\"><prod><cProd>%03d</cProd><xProd>CAFE COADO %d</xProd><NCM>21011110</NCM><CFOP>5102</CFOP>"
    "<uCom>UN</uCom><qCom>1.0000</qCom><vUnCom>%d.50</vUnCom><indRegra>A</indRegra></prod>"
    "<imposto><ICMS><ICMS00><Orig>0</Orig><CST>00</CST><pICMS>7.00</pICMS></ICMS00></ICMS>"
    "<PIS><PISNT><CST>07</CST></PISNT></PIS><COFINS><COFINSNT><CST>07</CST></COFINSNT></COFINS></imposto></det>"
    "<total/><pgto><MP><cMP>01</cMP><vMP>99999.00</vMP></MP></pgto></infCFe></CFe>",
    till, n, n, n);
  return xml;
}

static char *cancel_xml(const char *key) {
  static char xml[1024];
  snprintf(xml, sizeof xml,
    "<CFeCanc><infCFe chCanc=\"CFe%s\"><ide><CNPJ>16716114000172</CNPJ>"
    "<signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC><numeroCaixa>%s</numeroCaixa></ide>"
    "<emit/><dest/><total/></infCFe></CFeCanc>", key, till);
  return xml;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    puts("error usage: till libsat.so activation-code");
    return 2;
  }
  void *lib = dlopen(argv[1], RTLD_NOW);
  if (!lib) {
    printf("error %s\n", dlerror());
    return 2;
  }
  code = argv[2];
  till = getenv("ZELO_CAIXA") ? getenv("ZELO_CAIXA") : "001";
  *(void **)&sell = dlsym(lib, "EnviarDadosVenda");
  *(void **)&cancel_last = dlsym(lib, "CancelarUltimaVenda");
  *(void **)&query = dlsym(lib, "ConsultarNumeroSessao");
  if (!sell || !cancel_last || !query) {
    puts("error the library lacks a function");
    return 2;
  }
  srand((unsigned)time(NULL) ^ (unsigned)getpid());
  last_session = rand() % 999999;
  setvbuf(stdout, NULL, _IOLBF, 0);
  char line[256], key[48];
  while (fgets(line, sizeof line, stdin)) {
    int n, tries;
    char arg[64], chave[80];
    if (sscanf(line, "sale %d", &n) == 1) {
      int session = n == waiting ? waits : 0;
      waiting = 0;
      if (fiscal(sale_xml(n), NULL, session, key, &tries)) {
        printf("error sale %d was not made: %s\n", n, key);
        return 1;
      }
      printf("sale %d %s %d\n", n, key, tries);
    } else if (sscanf(line, "begin %d", &n) == 1) {
      int session = new_session();
      struct reply r = parse(sell(session, code, sale_xml(n)));
      if (is(&r, "000") && r.key[0]) {
        printf("sale %d %s 1\n", n, r.key);
      } else if (is(&r, "098")) {
        waits = session;
        waiting = n;
        printf("open %d\n", n);
      } else {
        printf("error sale %d was answered %s\n", n, r.code);
        return 1;
      }
    } else if (sscanf(line, "cancel %63s", arg) == 1) {
      snprintf(chave, sizeof chave, "CFe%s", arg);
      if (fiscal(cancel_xml(arg), chave, 0, key, &tries)) {
        printf("error %s was not cancelled: %s\n", arg, key);
        return 1;
      }
      printf("cancel %s %s %d\n", arg, key, tries);
    }
  }
  return 0;
}
