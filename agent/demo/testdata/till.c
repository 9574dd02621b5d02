/* A till as POS programs are: it loads libsat.so at run time, sells, and asks
   for the session when the answer says that nothing is certain yet.

   Usage: till libsat.so activation-code
   Reads one command per line and answers one line each:
     sale N            -> sale N KEY TRIES
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
static char *code;

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

static int new_session(void) { return 100000 + rand() % 900000; }

static void breathe(void) {
  struct timespec t = {0, 500 * 1000 * 1000};
  nanosleep(&t, NULL);
}

static int is(const struct reply *r, const char *suffix) {
  return strlen(r->code) == 5 && strcmp(r->code + 2, suffix) == 0;
}

/* fiscal carries a sale (cancels == NULL) or a cancellation through to its
   document: an uncertain answer is asked about until something is certain, and
   only a certain "it never happened" is tried again. */
static int fiscal(char *xml, char *cancels, char *key, int *tries) {
  for (*tries = 1; *tries <= 20; (*tries)++) {
    int session = new_session();
    struct reply r = parse(cancels ? cancel_last(session, code, cancels, xml) : sell(session, code, xml));
    int never = is(&r, "099"); /* xx099: the call reached no device */
    for (int i = 0; i < 240 && !never; i++) {
      if (is(&r, "000") && r.key[0]) {
        strcpy(key, r.key);
        return 0;
      }
      if (!is(&r, "098") && strncmp(r.code, "11", 2)) return -1; /* refused: a person must look */
      breathe();
      r = parse(query(new_session(), code, session));
      never = !strcmp(r.code, "11003"); /* no such session: it never happened */
    }
    breathe();
  }
  return -1;
}

static char *sale_xml(int n) {
  static char xml[4096];
  snprintf(xml, sizeof xml,
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><CFe><infCFe versaoDadosEnt=\"0.08\"><ide>"
    "<CNPJ>16716114000172</CNPJ><signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC>"
    "<numeroCaixa>001</numeroCaixa></ide><emit><CNPJ>08723218000186</CNPJ><IE>562377111111</IE>"
    "<indRatISSQN>N</indRatISSQN></emit><dest/>"
    "<det nItem=\"1\"><prod><cProd>%03d</cProd><xProd>CAFE COADO %d</xProd><NCM>21011110</NCM><CFOP>5102</CFOP>"
    "<uCom>UN</uCom><qCom>1.0000</qCom><vUnCom>%d.50</vUnCom><indRegra>A</indRegra></prod>"
    "<imposto><ICMS><ICMS00><Orig>0</Orig><CST>00</CST><pICMS>7.00</pICMS></ICMS00></ICMS>"
    "<PIS><PISNT><CST>07</CST></PISNT></PIS><COFINS><COFINSNT><CST>07</CST></COFINSNT></COFINS></imposto></det>"
    "<total/><pgto><MP><cMP>01</cMP><vMP>100.00</vMP></MP></pgto></infCFe></CFe>",
    n, n, n);
  return xml;
}

static char *cancel_xml(const char *key) {
  static char xml[1024];
  snprintf(xml, sizeof xml,
    "<CFeCanc><infCFe chCanc=\"CFe%s\"><ide><CNPJ>16716114000172</CNPJ>"
    "<signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC><numeroCaixa>001</numeroCaixa></ide>"
    "<emit/><dest/><total/></infCFe></CFeCanc>", key);
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
  *(void **)&sell = dlsym(lib, "EnviarDadosVenda");
  *(void **)&cancel_last = dlsym(lib, "CancelarUltimaVenda");
  *(void **)&query = dlsym(lib, "ConsultarNumeroSessao");
  if (!sell || !cancel_last || !query) {
    puts("error the library lacks a function");
    return 2;
  }
  srand((unsigned)time(NULL) ^ (unsigned)getpid());
  setvbuf(stdout, NULL, _IOLBF, 0);
  char line[256], key[48];
  while (fgets(line, sizeof line, stdin)) {
    int n, tries;
    char arg[64], chave[80];
    if (sscanf(line, "sale %d", &n) == 1) {
      if (fiscal(sale_xml(n), NULL, key, &tries)) {
        printf("error sale %d was not made\n", n);
        return 1;
      }
      printf("sale %d %s %d\n", n, key, tries);
    } else if (sscanf(line, "cancel %63s", arg) == 1) {
      snprintf(chave, sizeof chave, "CFe%s", arg);
      if (fiscal(cancel_xml(arg), chave, key, &tries)) {
        printf("error %s was not cancelled\n", arg);
        return 1;
      }
      printf("cancel %s %s %d\n", arg, key, tries);
    }
  }
  return 0;
}
