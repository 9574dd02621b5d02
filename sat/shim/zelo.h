// The library a POS program loads in place of the maker's: it forwards each of
// the sixteen SAT functions to the agent and always returns a reply a till can
// read. When the agent certainly has not received a call, the library may make it
// itself through the maker's (the "ponte direta"). The protocol is described in
// sat/ipc/doc.go, the functions and replies in the dossier on the SAT software
// interface (1.1, 1.7, 2.1, 2.3).
//
//   exports.c     the functions a till calls
//   zelo.c        the story of one call
//   function.c    what is known of each function
//   text.c        texts a device can read: UTF-8
//   channel.c     a conversation with the agent; seal.c and sha256.c keep it
//                 private between two computers
//   frame.c       the protocol's bytes
//   bridge.c      the call made directly; spool.c keeps it for the agent
//   doubt.c       sales the agent may have made
//   reply.c       what the till gets, and how long it stays valid
//   config.c      settings
//   os_posix.c, os_windows.c  everything that differs between systems
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
#define ZELO_PORT 9019 // of the agent, where it is reached by TCP

// How a function leaves the library. Only 32-bit Windows knows two ways to call
// one; makers are divided (dossier 1.2), so there is a build for each.
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#ifdef ZELO_STDCALL
#define CALL __stdcall
#else
#define CALL
#endif

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

#define MAX_ARGS 4     // after numeroSessao
#define MAX_TILL 64    // bytes of a till's name
#define MAX_PROCESS 255
#define MAX_PATH_BYTES 1024

// call is one call, its arguments after numeroSessao as texts. A NULL one travels
// as such.
struct call {
  enum function function;
  int32_t session;
  const char *till;
  const char *args[MAX_ARGS];
  int count;
  int converted; // a text was not UTF-8 and has been made so
  uint32_t id, left_ms;
};

// zelo.c

char *perform(enum function f, int32_t session, const char *const *args, int count);

// function.c

// What a call does to the device. ASKS takes from it a reply that real devices
// give only once (dossier 5.2).
enum effect { READS, ASKS, CHANGES };

struct function_row {
  const char *name;
  const char *shape; // of the arguments: i an int, s a text, x XML; upper case when secret
  uint32_t seconds;  // the deadline
  enum effect effect;
};

extern const struct function_row functions[FUNCTIONS_END];
int is_fiscal(enum function f); // issues a document with fiscal value

// text.c

// text is one being written; what does not fit up to end, where its NUL goes, is
// left out.
struct text {
  char *at, *end;
};

#define TEXT(room) {(room), (room) + sizeof(room) - 1}

void text_put(struct text *t, const char *s);
void text_number(struct text *t, int64_t n, int width); // with zeros up to width, at most 20
int text_is_utf8(const char *s);
char *text_to_utf8(const char *s); // the caller frees it; NULL for want of memory

// frame.c

#define MAX_FRAME (16u << 20)  // of a frame without its length field
#define GREETING_FRAME 15      // bytes of a whole greeting
#define NONCE 16               // bytes that follow the greeting of a private conversation

// buffer is a frame being written; failed once it is too large or memory ends.
struct buffer {
  unsigned char *bytes;
  size_t used, room;
  int failed;
};

// answer is the body of a reply or an error; text points into the frame.
struct answer {
  int is_reply;   // else an error
  int not_issued; // an error that says the device certainly saw nothing
  const unsigned char *text;
  size_t size;
};

void frame_hello(struct buffer *b, const char *library, const char *process, uint32_t pid);
void frame_nonce(struct buffer *b, const unsigned char nonce[NONCE]);
void frame_call(struct buffer *b, const struct call *c);
void frame_reply(struct buffer *b, uint32_t id, const char *text);
void frame_taken(struct buffer *b, uint32_t id);
void frame_bytes(struct buffer *b, const void *bytes, size_t size);
void frame_free(struct buffer *b);
uint32_t frame_get32(const unsigned char bytes[4]);
void frame_set32(unsigned char bytes[4], uint32_t n);
// These return 1 for a good frame, 0 for a malformed one.
int frame_length(const unsigned char head[4], uint32_t *length);
int frame_greeting(const unsigned char frame[GREETING_FRAME]);
int frame_keyed_greeting(const unsigned char frame[GREETING_FRAME]); // a nonce follows
int frame_answer(const unsigned char *frame, size_t length, uint32_t id, struct answer *a);

// sha256.c

#define SHA256_SIZE 32

struct sha256 {
  uint32_t h[8];
  uint64_t size;
  unsigned char block[64];
};

void sha256_start(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *bytes, size_t size);
void sha256_end(struct sha256 *s, unsigned char sum[SHA256_SIZE]);

// hmac is HMAC-SHA256 under one key; a copy of a started one starts another.
struct hmac {
  struct sha256 inner, outer;
};

void hmac_start(struct hmac *m, const unsigned char key[SHA256_SIZE]);
void hmac_add(struct hmac *m, const void *bytes, size_t size);
void hmac_end(struct hmac *m, unsigned char sum[SHA256_SIZE]);

// seal.c: one direction of a private conversation.

struct seal {
  struct hmac cipher, tag;
  uint64_t count; // of frames so far
};

enum { TO_SERVER, TO_CLIENT };

void seal_start(struct seal *s, int direction, const unsigned char key[SHA256_SIZE], const unsigned char server[NONCE],
                const unsigned char client[NONCE]);
void seal_frame(struct seal *s, unsigned char *bytes, uint32_t length, unsigned char tag[SHA256_SIZE]);
int seal_open(struct seal *s, unsigned char *bytes, uint32_t length, const unsigned char tag[SHA256_SIZE]);

// reply.c: memory for the till; see there for how long it stays valid.

char *reply_keep(const char *text, size_t size);          // NULL when it is no reply
char *reply_unknown(enum function f, int32_t session);    // xx098: the device may have seen the call

// Why a call certainly has not reached the device (xx099).
enum unsent { UNREACHED, WRONG_KEY, IN_USE, NO_LOCK, NO_LIBRARY, NO_FUNCTION, NO_SPOOL };

char *reply_unsent(enum function f, int32_t session, enum unsent why, const char *path);
char *reply_not_offered(int prefix, int32_t session);

// config.c

struct config {
  char till[MAX_TILL + 1];
  char process[MAX_PROCESS + 1];
  char socket[108];  // of the agent; empty when it is reached by TCP
  uint32_t host;     // IPv4 address
  uint16_t port;
  int keyed;         // key is given
  unsigned char key[SHA256_SIZE];
  char library[MAX_PATH_BYTES]; // the maker's; empty without a bridge
  int cdecl_library;            // matters to 32-bit Windows only
  char spool[MAX_PATH_BYTES], lock[MAX_PATH_BYTES];
  uint32_t deadline_ms[FUNCTIONS_END];
};

const struct config *config_get(void);

// channel.c

enum reach { REACHED, NOBODY, KEY_REFUSED }; // the last also for another computer without a key

struct channel {
  intptr_t conn;
  int keyed;
  struct seal out, in;
};

enum reach channel_open(struct channel *ch, const struct config *cfg, int64_t deadline);
int channel_send(struct channel *ch, struct buffer *frames, int64_t deadline, size_t *sent);
int channel_receive(struct channel *ch, int64_t deadline, unsigned char **frame, uint32_t *length);
void channel_close(struct channel *ch);

// doubt.c

void doubt_note(const struct call *c, const char *reply); // the agent's, NULL for none
int doubt_about(const struct config *cfg, const struct call *c);
int doubt_any(const struct config *cfg);

// bridge.c and spool.c

char *bridge(const struct config *cfg, const struct call *c, int64_t deadline);

struct spool {
  int open;
  intptr_t file;
  uint32_t id;
  char path[MAX_PATH_BYTES + 64];
};

int spool_begin(struct spool *s, const struct config *cfg, const struct call *c);
void spool_end(struct spool *s, const char *reply);

// os_posix.c, os_windows.c. Paths and other texts are UTF-8. Instants are
// milliseconds of a clock that never jumps. Functions that return int return 1
// when done, 0 when not, unless they say more.

int64_t os_now(void);
int64_t os_unix_ms(void); // the calendar's clock, which may jump
void os_lock(void);       // one lock for what threads share; never held while waiting
void os_unlock(void);
uint64_t os_thread(void); // a number of the calling thread, not 0
uint32_t os_pid(void);
void os_process(char *name, size_t room);
int os_random(void *bytes, size_t size);

int os_connect(const struct config *cfg, int64_t until, intptr_t *conn);
int os_send(intptr_t conn, const unsigned char *bytes, size_t size, int64_t until, size_t *sent);
int os_receive(intptr_t conn, unsigned char *bytes, size_t size, int64_t until);
void os_disconnect(intptr_t conn);

void os_defaults(struct config *cfg);
int os_settings(int n, char *path, size_t room); // the n-th file of settings, from 0
size_t os_read(const char *path, char *text, size_t room);
int os_environment(const char *name, char *value, size_t room);

int os_create(const char *path, intptr_t *file);  // a new file, never an old one
int os_append(intptr_t file, const void *bytes, size_t size); // and waits for the disk
void os_close(intptr_t file);
void os_remove(const char *path);

void *os_library(const char *path);
void *os_symbol(void *library, const char *name);

enum reserve { RESERVED, STILL_IN_USE, NO_SUCH_LOCK };

enum reserve os_reserve(const char *lock, int64_t until, intptr_t *guard);
void os_release(intptr_t guard);

#endif
