// A maker's library for the tests whose device is at the other end of a TCP
// connection, at the address 127.0.0.1 and the port that ZELO_TEST_DEVICE names.
// Each call is a connection of its own: the function's name, the session and the
// arguments go there, each ended by NUL; what comes back is the reply, and nothing
// is NULL. It waits for 3 s. With MAKER_STDCALL its functions take their arguments
// off the stack.
#ifdef _WIN32
#include <winsock2.h>
#define EXPORT __declspec(dllexport)
typedef DWORD timeout;
#define MILLISECONDS(n) (n)
#else
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#define EXPORT
#define SD_SEND SHUT_WR
#define closesocket close
typedef struct timeval timeout;
#define MILLISECONDS(n) {.tv_sec = (n) / 1000}
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef MAKER_STDCALL
#define CALL __stdcall
#else
#define CALL
#endif

static char reply[8 << 20];

static void tell(int device, const char *text) {
  const char *end = text + strlen(text) + 1;
  while (text < end) {
    int n = (int)send(device, text, (size_t)(end - text), 0);
    if (n <= 0) return; // the reply will be missing
    text += n;
  }
}

static char *answer(const char *const *call) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  timeout patience = MILLISECONDS(3000);
  size_t size = 0;
  int n;
#ifdef _WIN32
  WSADATA data;
  WSAStartup(MAKEWORD(2, 2), &data);
#endif
  int device = (int)socket(AF_INET, SOCK_STREAM, 0);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons((unsigned short)atoi(getenv("ZELO_TEST_DEVICE")));
  setsockopt(device, SOL_SOCKET, SO_RCVTIMEO, (const char *)&patience, sizeof patience);
  if (connect(device, (struct sockaddr *)&at, sizeof at) == 0) {
    while (*call) tell(device, *call++);
    shutdown(device, SD_SEND);
    while ((n = (int)recv(device, reply + size, sizeof reply - 1 - size, 0)) > 0) size += (size_t)n;
  }
  closesocket(device);
  reply[size] = 0;
  return size ? reply : NULL;
}

struct decimal {
  char digits[12];
};

static const char *decimal(struct decimal *d, int n) {
  snprintf(d->digits, sizeof d->digits, "%d", n);
  return d->digits;
}

#define INT(n) decimal(&(struct decimal){""}, n)
#define FUNCTION(name, params, ...)               \
  EXPORT char *CALL name params {                 \
    return answer((const char *[]){#name, __VA_ARGS__, NULL}); \
  }

FUNCTION(AtivarSAT, (int s, int a, char *b, char *c, int d), INT(s), INT(a), b, c, INT(d))
FUNCTION(ComunicarCertificadoICPBRASIL, (int s, char *a, char *b), INT(s), a, b)
FUNCTION(EnviarDadosVenda, (int s, char *a, char *b), INT(s), a, b)
FUNCTION(CancelarUltimaVenda, (int s, char *a, char *b, char *c), INT(s), a, b, c)
FUNCTION(ConsultarSAT, (int s), INT(s))
FUNCTION(TesteFimAFim, (int s, char *a, char *b), INT(s), a, b)
FUNCTION(ConsultarStatusOperacional, (int s, char *a), INT(s), a)
FUNCTION(ConsultarNumeroSessao, (int s, char *a, int b), INT(s), a, INT(b))
FUNCTION(ConsultarUltimaSessaoFiscal, (int s, char *a), INT(s), a)
FUNCTION(ConfigurarInterfaceDeRede, (int s, char *a, char *b), INT(s), a, b)
FUNCTION(AssociarAssinatura, (int s, char *a, char *b, char *c), INT(s), a, b, c)
FUNCTION(AtualizarSoftwareSAT, (int s, char *a), INT(s), a)
FUNCTION(ExtrairLogs, (int s, char *a), INT(s), a)
FUNCTION(BloquearSAT, (int s, char *a), INT(s), a)
FUNCTION(DesbloquearSAT, (int s, char *a), INT(s), a)
FUNCTION(TrocarCodigoDeAtivacao, (int s, char *a, int b, char *c, char *d), INT(s), a, INT(b), c, d)
