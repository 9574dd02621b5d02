//go:build ignore

// Texts that a device can read, and short ones of our own. There is no printf here
// or elsewhere: Windows has as many of them as C libraries.
#include "zelo.h"

#include <stdlib.h>
#include <string.h>

void text_put(struct text *t, const char *s) {
  while (*s && t->at < t->end) *t->at++ = *s++;
  *t->at = 0;
}

void text_number(struct text *t, int64_t n, int width) {
  char digits[24], *at = digits + sizeof digits;
  uint64_t left = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
  *--at = 0;
  do {
    *--at = (char)('0' + left % 10);
    left /= 10;
  } while (left > 0 || at > digits + sizeof digits - 1 - width);
  if (n < 0) *--at = '-';
  text_put(t, at);
}

// A device takes XML in UTF-8 (dossier 1.6); old POS programs send it as Windows
// stores it in Brazil. What is UTF-8 stays as it is. In any other text each byte
// that is no part of a UTF-8 character is taken for Windows-1252: a program that
// puts a product's name of one kind into a sale of the other is understood too.

// character is the length of the UTF-8 character at s, 0 when there is none
// (RFC 3629: no longer form than needed, no surrogates, nothing beyond U+10FFFF).
static size_t character(const unsigned char *s) {
  unsigned char least = 0x80, most = 0xBF; // of the second byte
  size_t size;
  if (s[0] < 0x80) return 1;
  if (s[0] >= 0xC2 && s[0] <= 0xDF) size = 2;
  else if (s[0] >= 0xE0 && s[0] <= 0xEF) size = 3;
  else if (s[0] >= 0xF0 && s[0] <= 0xF4) size = 4;
  else return 0;
  if (s[0] == 0xE0) least = 0xA0;
  if (s[0] == 0xED) most = 0x9F;
  if (s[0] == 0xF0) least = 0x90;
  if (s[0] == 0xF4) most = 0x8F;
  if (s[1] < least || s[1] > most) return 0;
  for (size_t i = 2; i < size; i++)
    if (s[i] < 0x80 || s[i] > 0xBF) return 0;
  return size;
}

int text_is_utf8(const char *text) {
  const unsigned char *s = (const unsigned char *)text;
  while (*s) {
    size_t size = character(s);
    if (size == 0) return 0;
    s += size;
  }
  return 1;
}

// from_1252 is the code point of a byte. Five bytes have none of their own and
// keep their number.
static unsigned from_1252(unsigned char byte) {
  static const uint16_t high[32] = {
      0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
      0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
      0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178,
  };
  return byte >= 0x80 && byte < 0xA0 ? high[byte - 0x80] : byte;
}

static char *put(char *to, unsigned point) {
  if (point >= 0x800) {
    *to++ = (char)(0xE0 | point >> 12);
    *to++ = (char)(0x80 | (point >> 6 & 0x3F));
  } else *to++ = (char)(0xC0 | point >> 6);
  *to++ = (char)(0x80 | (point & 0x3F));
  return to;
}

char *text_to_utf8(const char *text) {
  const unsigned char *s = (const unsigned char *)text;
  char *made = malloc(3 * strlen(text) + 1); // no code point above takes more
  if (!made) return NULL;
  char *to = made;
  while (*s) {
    size_t size = character(s);
    if (size == 0) to = put(to, from_1252(*s++));
    else {
      memcpy(to, s, size);
      to += size;
      s += size;
    }
  }
  *to = 0;
  return made;
}
