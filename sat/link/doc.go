// Package link speaks Zelo's open framed protocol with a fiscal device over any
// byte stream: a serial port, a pseudo terminal, TCP. [Open] makes the till's
// side, a [sat.Device]; [Serve] is the device's side. No maker speaks it today
// (their bytes are private, dossier on the device link, section 2); the
// simulator does, and a device that wants to may.
//
// # Frame
//
// All numbers are big-endian.
//
//	offset  size  field
//	0       2     magic A5 5A
//	2       1     version, 1
//	3       1     type
//	4       4     client: random number of one Open, never 0
//	8       4     sequence: of the request, from 1; 0 in HELLO and WELCOME
//	12      4     length of the payload, at most 8 MiB
//	16      2     CRC-16 of bytes 0 to 15 (polynomial 1021, start FFFF, not reflected)
//	18      n     payload
//	18+n    4     CRC-32C of all bytes before it
//
// A reader looks for the magic. A frame whose header or checksum is wrong, or
// whose bytes pause for more than half a second, was never a frame: the reader goes on
// looking one byte after its magic. So a frame is found whatever came before it,
// and damage is silence: the other side's timer repairs it.
//
// # Messages
//
//	1 HELLO     till → device  empty. Begins a client; repeated until answered
//	2 WELCOME   device → till  largest payload taken (4 bytes), then model, serial
//	                           number, software: each 1 byte of length and UTF-8
//	3 REQUEST   till → device  function (1), session (4), number of arguments (1),
//	                           then each argument: length (4) and bytes
//	4 RESPONSE  device → till  the reply's bytes as the device writes them
//	5 PING      till → device  empty. "What became of this sequence?"
//	6 WORKING   device → till  empty. "It is being carried out."
//	7 NAK       device → till  reason (1): 1 missing: this sequence was not
//	                           received, send it; 2 stranger: this client is not
//	                           known (the device restarted); 3 refused: the request
//	                           cannot be read or its reply does not fit
//
// The exchange is stop and wait. The till sends a REQUEST with the next sequence
// and waits for its RESPONSE. When it hears nothing for a second it sends PING.
// The device answers with the RESPONSE it keeps, WORKING, or NAK missing, upon
// which the REQUEST is sent again. A device that has nothing to say any more (the
// call ended without a reply) stays silent, and the till's deadline ends the wait.
//
// A request is carried out once: a REQUEST whose sequence the device has already
// seen from this client is answered like a PING, an older one is ignored. A HELLO
// of another client makes the device forget the former one; what it had carried
// out must then be asked by session number, as with any SAT. A new request, or a
// new client, abandons the one still being carried out: its reply is dropped.
package link
