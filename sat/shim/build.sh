#!/bin/sh
# Builds the library: build.sh OUTPUT. CC and CFLAGS may add to it.
#
# nodelete: a POS that frees the library after each sale must not take away the
# replies it was given. now, relro: nothing is left to resolve during a sale.
set -e
case $1 in /*) out=$1 ;; *) out=$PWD/$1 ;; esac
cd "$(dirname "$0")"
exec ${CC:-cc} -std=c11 -Os -Wall -Wextra -Werror -fPIC -fvisibility=hidden $CFLAGS \
  -shared -Wl,-soname,libsat.so -Wl,-z,now -Wl,-z,relro -Wl,-z,nodelete \
  -o "$out" exports.c zelo.c function.c text.c channel.c seal.c sha256.c frame.c \
  bridge.c spool.c doubt.c reply.c config.c os_posix.c -pthread
