// Package ipc is the local protocol between the library a POS program loads
// (sat/shim, in C) and the agent. Serve offers any sat.Device to it, Dial makes
// a sat.Device of the other end. The dossier on the SAT software interface,
// sections 1.7, 1.8 and 2.3, says what a till expects of the library; the
// protocol exists to answer one question truly in every case: can the device
// have seen the call?
//
// # Protocol, version 1
//
// A byte stream, one call at a time on each connection, any number of calls
// after each other. All integers are big-endian. A frame is
//
//	u32  n      length of what follows, 1 to 16 MiB
//	u8   kind   one of the letters below
//	     body   n-1 bytes
//
// A text is a u32 length and that many bytes; length 0xFFFFFFFF, followed by no
// bytes, is the C pointer NULL. The kinds and their bodies:
//
//	'G' greeting  server  8 bytes "zelo-sat", u16 version
//	'H' hello     client  text library (255 at most), text process name (255), u32 process id
//	'C' call      client  u32 id, u32 time left in ms, u8 function (1 to 16),
//	                      i32 numeroSessao (the library sends 0 to 999999, any
//	                      other modulo 1,000,000), text till (64),
//	                      u8 count, count texts: the arguments after numeroSessao,
//	                      integers in decimal
//	'R' reply     server  u32 id, then to the end the bytes for the till
//	'E' error     server  u32 id, u8 outcome (0 unknown, 1 not issued),
//	                      u8 gone (1: the equipment is no longer there), then to
//	                      the end a text for people (1024 bytes at most)
//	'T' taken     client  u32 id: the whole reply arrived
//
// The server speaks first. Until its greeting is there, whole and of a version
// the client knows, nothing was received and the client may say so to the till.
// The client then sends hello once, and may send its first call with it.
//
// Each call is answered by one reply or one error that repeats its id. The time
// left is the caller's, less a margin (Margin) so that the server's "time is
// over" arrives while the caller still listens; a call with no time left is
// answered "not issued" and carried out by nobody. A server that had to give up
// waiting for the device closes the connection after that error.
//
// After the first byte of a call left the client, only a reply or an error that
// says "not issued" is certain; a closed connection, silence, a frame that makes
// no sense or answers another id all mean "unknown". Losing the client never
// stops a call: the device finishes it, and the reply is dropped. The client
// confirms each reply with taken; it is the only proof that the till's library
// had the answer in its hands.
//
// The name of a library that converted texts of this connection's calls from
// Windows-1252 to UTF-8, because they were not UTF-8, ends in "; windows-1252".
//
// A frame that is malformed (a length out of bounds, a body too short or too
// long, an unknown kind or function, another number of arguments than the
// function has) ends its connection and nothing else.
//
// # With a key
//
// Between two computers the conversation is sealed with a key of 32 bytes that
// both hold. The server's greeting and the client's answer to it are then
//
//	'K' greeting  server  8 bytes "zelo-sat", u16 version, 16 random bytes
//	'N' nonce     client  16 random bytes
//
// and all that follows is sealed frames, of which the server sends the first: a
// greeting 'G', which proves that it holds the key before the client says
// anything. A client without a key finds no greeting it knows; one whose key does
// not open the sealed greeting has another key, and nothing was received.
//
// A sealed frame is the length n as in the clear, the n bytes encrypted, and a tag
// of 32 bytes. H(k, m) is HMAC-SHA256; "+" puts bytes together; numbers are
// big-endian. For each direction, with the texts "server" or "client" for the one
// who receives:
//
//	cipher key  H(key, "zelo-sat 1 to server cipher" + server's random bytes + client's)
//	tag key     H(key, "zelo-sat 1 to server tag" + server's random bytes + client's)
//	byte i      xored with byte i mod 32 of H(cipher key, u64 frame + u32 i div 32)
//	tag         H(tag key, u64 frame + u32 n + the encrypted bytes)
//
// where frame counts the direction's sealed frames from 0. A frame whose tag is
// not right ends the connection.
//
// # Calls made without the agent
//
// When the agent certainly has not received a call, the library may make it
// through the maker's library (the "ponte direta"). It leaves each such call that
// changes the device, and each question for a session, in a folder for the agent:
// a file UNIX_MS-PID-N.ponte (13 digits, a number, 10 digits; the names of one
// process sort by time) that holds the call as a frame 'C', written to the disk
// before the call is made, and then its reply as a frame 'R', written before the
// till has it. Secret arguments are NULL. A file that ends within the call was
// never made; one without a whole reply has an unknown outcome. See ReadSpool.
//
// The agent in turn leaves there, in a file em-aberto of 1024 bytes, the marks of
// its open sales and cancellations, 32 bytes each, zero where there is none: SHA-256
// over the function's number (one byte) and, for each argument after numeroSessao
// that is no secret, its length (u32) and its bytes. The library does not make a
// marked call. Before it makes another while there are marks, it asks the device
// for its last fiscal session, and leaves the answer like a call's: the next sale
// would take its place in the device's memory.
//
// Around the call, and around all that happens to the file, the library holds a
// lock on the device: flock on a file of Linux, default
// /var/lib/zelo/ponte/equipamento.lock; the mutex Global\ZeloEquipamento of Windows, Local\ if
// that is denied. Whoever uses the device holds it too. Who holds it and finds a
// file without a reply knows that none will come.
//
// testdata/vectors.txt holds frames of every kind, valid and malformed, and
// testdata/sealed.txt sealed ones; the Go test and the C test of sat/shim both
// read them.
package ipc
