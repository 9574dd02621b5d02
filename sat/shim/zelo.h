// The library a POS program loads in place of the maker's: it forwards each of
// the sixteen SAT functions to the agent and always returns a reply a till can
// read. The protocol is described in sat/ipc/doc.go, the functions and replies
// in the dossier on the SAT software interface (1.1, 1.7, 2.1, 2.3).
//
//   zelo.c      the exported functions, and the story of one call
//   frame.c     the protocol's bytes
//   reply.c     what the till gets, and how long it stays valid
//   config.c    socket, till name, deadlines
//   os_posix.c  everything that differs between systems
//
// One connection per call. A kept one saves half of about 90 us (measured, sale
// of 2 KB, reply of 6 KB) of a call that costs two disk flushes and a device that
// takes seconds. But only a greeting received in this very call proves that the
// agent lives and has seen nothing, even when it hangs; and there is nothing to
// share between threads, to inherit over fork, or to go stale when the agent
// restarts.
#ifndef ZELO_H
#define ZELO_H

#include <stddef.h>
#include <stdint.h>

#define ZELO_LIBRARY "Zelo libsat 1"

// The functions, numbered as in the protocol.
enum function {
  ATIVAR_SAT = 1,
  COMUNICAR_CERTIFICADO,
  ENVIAR_DADOS_VENDA,
  CANCELAR_ULTIMA_VENDA,
  CONSULTAR_SAT,
  TESTE_FIM_A_FIM,
  CONSULTAR_STATUS_OPERACIONAL,
  CONSULTAR_NUMERO_SESSAO,
  CONFIGURAR_INTERFACE_DE_REDE,
  ASSOCIAR_ASSINATURA,
  ATUALIZAR_SOFTWARE_SAT,
  EXTRAIR_LOGS,
  BLOQUEAR_SAT,
  DESBLOQUEAR_SAT,
  TROCAR_CODIGO_DE_ATIVACAO,
  CONSULTAR_ULTIMA_SESSAO_FISCAL,
  FUNCTIONS_END
};

// frame.c

#define MAX_FRAME (16u << 20)  // of a frame without its length field
#define GREETING_FRAME 15      // bytes of a whole greeting
#define MAX_TILL 64

// buffer is a frame being written; failed once it is too large or memory ends.
struct buffer {
  unsigned char *bytes;
  size_t used, room;
  int failed;
};

// call is one call; a NULL argument travels as such.
struct call {
  uint32_t id, left_ms;
  enum function function;
  int32_t session;
  const char *till;
  const char *const *args;
  int count;
};

// answer is the body of a reply or an error; text points into the frame.
struct answer {
  int is_reply;   // else an error
  int not_issued; // an error that says the device certainly saw nothing
  const unsigned char *text;
  size_t size;
};

void frame_hello(struct buffer *b, const char *library, const char *process, uint32_t pid);
void frame_call(struct buffer *b, const struct call *c);
void frame_taken(struct buffer *b, uint32_t id);
void frame_free(struct buffer *b);
// These return 1 for a good frame, 0 for a malformed one.
int frame_length(const unsigned char head[4], uint32_t *length);
int frame_greeting(const unsigned char frame[GREETING_FRAME]);
int frame_answer(const unsigned char *frame, size_t length, uint32_t id, struct answer *a);

// reply.c: memory for the till; see there for how long it stays valid.

char *reply_keep(const unsigned char *text, size_t size); // NULL when it is no reply
char *reply_unknown(enum function f, int32_t session);    // xx098: the device may have seen the call
char *reply_unsent(enum function f, int32_t session);     // xx099: it certainly has not


// config.c

struct config {
  char socket[108];
  char till[MAX_TILL + 1];
  uint32_t deadline_ms[FUNCTIONS_END];
};

const struct config *config_get(void);
const char *function_name(enum function f);

// os_posix.c. Instants are milliseconds of a clock that never jumps. Functions
// that return int return 1 when done, 0 when not.

int64_t os_now(void);
void os_lock(void); // one lock for what threads share; never held while waiting
void os_unlock(void);
uint64_t os_thread(void); // a number of the calling thread, not 0
int os_connect(const char *path, int64_t until, int *conn);
int os_send(int conn, const unsigned char *bytes, size_t size, int64_t until, size_t *sent);
int os_receive(int conn, unsigned char *bytes, size_t size, int64_t until);
void os_disconnect(int conn);
const char *os_process(void);
uint32_t os_pid(void);
uint32_t os_random(void);

#endif
