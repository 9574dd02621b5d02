//go:build ignore

// SHA-256 (FIPS 180-4) and HMAC (RFC 2104).
#include "zelo.h"

#include <string.h>

static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void take(struct sha256 *s, const unsigned char *block) {
  uint32_t w[64], a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3], e = s->h[4], f = s->h[5], g = s->h[6], h = s->h[7];
  for (int i = 0; i < 16; i++) w[i] = frame_get32(block + 4 * i);
  for (int i = 16; i < 64; i++) {
    uint32_t zero = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3;
    uint32_t one = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + zero + w[i - 7] + one;
  }
  for (int i = 0; i < 64; i++) {
    uint32_t one = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25), choice = (e & f) ^ (~e & g);
    uint32_t zero = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22), majority = (a & b) ^ (a & c) ^ (b & c);
    uint32_t first = h + one + choice + k[i] + w[i];
    h = g, g = f, f = e, e = d + first;
    d = c, c = b, b = a, a = first + zero + majority;
  }
  s->h[0] += a, s->h[1] += b, s->h[2] += c, s->h[3] += d;
  s->h[4] += e, s->h[5] += f, s->h[6] += g, s->h[7] += h;
}

void sha256_start(struct sha256 *s) {
  static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(s->h, first, sizeof first);
  s->size = 0;
}

void sha256_add(struct sha256 *s, const void *bytes, size_t size) {
  const unsigned char *from = bytes;
  while (size > 0) {
    size_t at = s->size % 64, part = 64 - at;
    if (part > size) part = size;
    memcpy(s->block + at, from, part);
    s->size += part;
    from += part;
    size -= part;
    if (at + part == 64) take(s, s->block);
  }
}

void sha256_end(struct sha256 *s, unsigned char sum[SHA256_SIZE]) {
  static const unsigned char padding[64] = {0x80};
  unsigned char bits[8];
  frame_set32(bits, (uint32_t)(s->size >> 29));
  frame_set32(bits + 4, (uint32_t)(s->size << 3));
  sha256_add(s, padding, 1 + (119 - s->size % 64) % 64);
  sha256_add(s, bits, 8);
  for (int i = 0; i < 8; i++) frame_set32(sum + 4 * i, s->h[i]);
}

void hmac_start(struct hmac *m, const unsigned char key[SHA256_SIZE]) {
  unsigned char pad[64];
  memset(pad, 0x36, sizeof pad);
  for (int i = 0; i < SHA256_SIZE; i++) pad[i] ^= key[i];
  sha256_start(&m->inner);
  sha256_add(&m->inner, pad, sizeof pad);
  for (int i = 0; i < 64; i++) pad[i] ^= 0x36 ^ 0x5c;
  sha256_start(&m->outer);
  sha256_add(&m->outer, pad, sizeof pad);
}

void hmac_add(struct hmac *m, const void *bytes, size_t size) { sha256_add(&m->inner, bytes, size); }

void hmac_end(struct hmac *m, unsigned char sum[SHA256_SIZE]) {
  sha256_end(&m->inner, sum);
  sha256_add(&m->outer, sum, SHA256_SIZE);
  sha256_end(&m->outer, sum);
}
