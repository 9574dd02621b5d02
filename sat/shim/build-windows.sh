#!/bin/sh
# Builds the library for Windows: build-windows.sh FOLDER makes there
#
#   stdcall/SAT.dll  32 bits, as most makers' (dossier 1.2)
#   cdecl/SAT.dll    32 bits, as Gertec's, Epson's, Kryptus's, Control iD's and the
#                    emulator's
#   x64/SAT.dll      64 bits
#   mfe/mfe.dll      32 bits, stdcall, with the additions of Ceará's driver
#
# The same sources give the same bytes. CFLAGS may add to it. There is no C start-up
# code: nothing runs at load but what os_windows.c says, and the library has no
# thread-local storage, which old hosts cannot give to one they load late.
set -e
case $1 in /*) out=$1 ;; *) out=$PWD/$1 ;; esac
cd "$(dirname "$0")"

# build FOLDER FILE COMPILER-PREFIX ENTRY DEFINITIONS LINKER-FLAGS
build() {
  mkdir -p "$out/$1"
  resource=$out/$1/version.o
  $3-windres $5 -D "ZELO_FILE=\\\"$2\\\"" -c 65001 version.rc "$resource"
  $3-gcc -std=c11 -Os -Wall -Wextra -Werror $5 $CFLAGS -shared -nostartfiles -static-libgcc -s \
    -Wl,-e,"$4" -Wl,--dynamicbase -Wl,--nxcompat -Wl,--disable-auto-import \
    -Wl,--no-insert-timestamp -Wl,--disable-auto-image-base $6 \
    -o "$out/$1/$2" exports.c zelo.c function.c text.c channel.c seal.c sha256.c frame.c \
    bridge.c spool.c doubt.c reply.c config.c os_windows.c "$resource" -lws2_32 -ladvapi32
  rm "$resource"
}

# Old machines have processors without SSE2. Names leave the stdcall builds plain
# and as Name@N.
old="-march=i686 -mno-sse"
jobs=
build stdcall SAT.dll i686-w64-mingw32 _DllMainCRTStartup@12 "-DZELO_STDCALL" "$old -Wl,--add-stdcall-alias" & jobs="$jobs $!"
build cdecl SAT.dll i686-w64-mingw32 _DllMainCRTStartup@12 "" "$old" & jobs="$jobs $!"
build mfe mfe.dll i686-w64-mingw32 _DllMainCRTStartup@12 "-DZELO_STDCALL -DZELO_MFE" "$old -Wl,--add-stdcall-alias" & jobs="$jobs $!"
build x64 SAT.dll x86_64-w64-mingw32 DllMainCRTStartup "" "-Wl,--high-entropy-va" & jobs="$jobs $!"
for job in $jobs; do wait "$job"; done
