//go:build ignore

// One direction of a conversation that only the two holders of a key can read or
// write. What is computed is laid down in sat/ipc/doc.go.
#include "zelo.h"

#include <string.h>

static void derive(struct hmac *m, const char *label, const unsigned char key[SHA256_SIZE], const unsigned char server[NONCE],
                   const unsigned char client[NONCE]) {
  unsigned char derived[SHA256_SIZE];
  struct hmac from;
  hmac_start(&from, key);
  hmac_add(&from, label, strlen(label));
  hmac_add(&from, server, NONCE);
  hmac_add(&from, client, NONCE);
  hmac_end(&from, derived);
  hmac_start(m, derived);
}

void seal_start(struct seal *s, int direction, const unsigned char key[SHA256_SIZE], const unsigned char server[NONCE],
                const unsigned char client[NONCE]) {
  int out = direction == TO_SERVER;
  derive(&s->cipher, out ? "zelo-sat 1 to server cipher" : "zelo-sat 1 to client cipher", key, server, client);
  derive(&s->tag, out ? "zelo-sat 1 to server tag" : "zelo-sat 1 to client tag", key, server, client);
  s->count = 0;
}

// header is the frame's number and one more number of 32 bits.
static void header(unsigned char bytes[12], uint64_t count, uint32_t n) {
  frame_set32(bytes, (uint32_t)(count >> 32));
  frame_set32(bytes + 4, (uint32_t)count);
  frame_set32(bytes + 8, n);
}

static void cipher(const struct seal *s, unsigned char *bytes, uint32_t length) {
  unsigned char head[12], stream[SHA256_SIZE];
  for (uint32_t at = 0; at < length; at++) {
    if (at % SHA256_SIZE == 0) {
      struct hmac m = s->cipher;
      header(head, s->count, at / SHA256_SIZE);
      hmac_add(&m, head, sizeof head);
      hmac_end(&m, stream);
    }
    bytes[at] ^= stream[at % SHA256_SIZE];
  }
}

static void sign(const struct seal *s, const unsigned char *bytes, uint32_t length, unsigned char tag[SHA256_SIZE]) {
  unsigned char head[12];
  struct hmac m = s->tag;
  header(head, s->count, length);
  hmac_add(&m, head, sizeof head);
  hmac_add(&m, bytes, length);
  hmac_end(&m, tag);
}

void seal_frame(struct seal *s, unsigned char *bytes, uint32_t length, unsigned char tag[SHA256_SIZE]) {
  cipher(s, bytes, length);
  sign(s, bytes, length, tag);
  s->count++;
}

int seal_open(struct seal *s, unsigned char *bytes, uint32_t length, const unsigned char tag[SHA256_SIZE]) {
  unsigned char right[SHA256_SIZE], difference = 0;
  sign(s, bytes, length, right);
  for (int i = 0; i < SHA256_SIZE; i++) difference |= right[i] ^ tag[i]; // takes the same time however wrong it is
  if (difference) return 0;
  cipher(s, bytes, length);
  s->count++;
  return 1;
}
