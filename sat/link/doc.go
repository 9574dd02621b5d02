// Package link speaks Zelo's open framed protocol with a fiscal device over any
// byte stream: a serial port, a pair of USB bulk endpoints, a pseudo terminal, TCP.
// [Open] makes the till's side, a [sat.Device]; [Serve] is the device's side. No
// maker speaks it today (their bytes are private, dossier on the device link,
// section 2); the simulator does, and a device that wants to may: this page is all
// it takes. Its tables and bytes are checked by tests.
//
// # Line
//
// The protocol needs a line that carries all 256 values of a byte both ways, in
// order. It may lose, damage or add bytes.
//
//	serial port  115200 baud, 8 bits, no parity, 1 stop bit, no flow control; DTR and
//	             RTS mean nothing
//	USB          CDC-ACM, or an interface of class FF with exactly one bulk endpoint
//	             each way, of any numbers, in the first setting. Packets and transfers
//	             have no meaning: a frame may begin and end anywhere in them. The till
//	             ends a transfer that fills its last packet with an empty packet, and
//	             expects the device to end one so, or with a short packet. The serial
//	             number of the USB device should be that of the SAT
//	TCP          the device listens; one connection at a time
//
// # Frame
//
// All numbers are unsigned and big-endian.
//
//	offset  size  field
//	0       2     magic A5 5A
//	2       1     version, 1
//	3       1     type
//	4       4     client: random number of one Open, never 0
//	8       4     sequence: of the request, from 1; 0 in HELLO and WELCOME
//	12      4     n, the length of the payload, at most 8388608 (8 MiB)
//	16      2     CRC-16 of bytes 0 to 15
//	18      n     payload
//	18+n    4     CRC-32C of all bytes before it, magic and CRC-16 included
//
//	CRC-16   CCITT-FALSE: polynomial 1021, start FFFF, not reflected, not inverted;
//	         of the ASCII digits 123456789 it is 29B1
//	CRC-32C  Castagnoli: polynomial 1EDC6F41, start FFFFFFFF, reflected, inverted at
//	         the end; of the ASCII digits 123456789 it is E3069283
//
// A reader looks for the magic. A frame whose header or checksum is wrong, or
// whose bytes pause for more than half a second, was never a frame: the reader goes on
// looking one byte after its magic. So a frame is found whatever came before it,
// and damage is silence: the other side's timer repairs it. Frames of another
// version or of an unknown type are ignored.
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
// A device answers with the client and the sequence of the frame that it answers.
// Bytes behind what a payload should hold make a REQUEST unreadable (NAK refused) and
// are ignored in WELCOME, where later versions may say more.
//
// The functions: number, how long the till waits, name, and the arguments, which
// follow the session in the order of the State's specification:
//
//	1   1800 s  AtivarSAT subComando, codigoDeAtivacao, CNPJ, cUF
//	2    600 s  ComunicarCertificadoICPBRASIL codigoDeAtivacao, certificado
//	3     60 s  EnviarDadosVenda codigoDeAtivacao, dadosVenda
//	4     40 s  CancelarUltimaVenda codigoDeAtivacao, chave, dadosCancelamento
//	5     10 s  ConsultarSAT
//	6     40 s  TesteFimAFim codigoDeAtivacao, dadosVenda
//	7     20 s  ConsultarStatusOperacional codigoDeAtivacao
//	8     40 s  ConsultarNumeroSessao codigoDeAtivacao, cNumeroDeSessao
//	9    120 s  ConfigurarInterfaceDeRede codigoDeAtivacao, dadosConfiguracao
//	10  1800 s  AssociarAssinatura codigoDeAtivacao, CNPJvalue, assinaturaCNPJs
//	11  3600 s  AtualizarSoftwareSAT codigoDeAtivacao
//	12   180 s  ExtrairLogs codigoDeAtivacao
//	13  1200 s  BloquearSAT codigoDeAtivacao
//	14   300 s  DesbloquearSAT codigoDeAtivacao
//	15    40 s  TrocarCodigoDeAtivacao codigoDeAtivacao, opcao, novoCodigo, confNovoCodigo
//	16    40 s  ConsultarUltimaSessaoFiscal codigoDeAtivacao
//
// An argument that is a number in the specification (a sub-command, a State, a
// session) is its decimal digits. The payload of RESPONSE is what the maker's library
// would return: fields between bars, without the ending NUL.
//
// # Exchange
//
// It is stop and wait. The till sends a REQUEST with the next sequence and waits for
// its RESPONSE. When it hears nothing for a second it sends PING. The device answers
// with the RESPONSE it keeps, WORKING, or NAK missing, upon which the REQUEST is sent
// again. A device that has nothing to say any more (the call ended without a reply)
// stays silent, and the till's deadline ends the wait.
//
// A request is carried out once: a REQUEST whose sequence the device has already
// seen from this client is answered like a PING, an older one is ignored. The device
// therefore keeps its newest RESPONSE until the next REQUEST or client. A HELLO
// of another client makes the device forget the former one; what it had carried
// out must then be asked by session number, as with any SAT. A new request, or a
// new client, abandons the one still being carried out: its reply is dropped.
//
//	pause in a frame after which it is given up       0.5 s
//	till: silence after which it asks again           1 s
//	till: HELLO without WELCOME, until it gives up    10 s
//	till: line takes no byte, until it is broken      5 s
//
// # Example
//
// The till's client is 01020304. It greets, and asks under session 123456 what became
// of session 123455 (ConsultarNumeroSessao, activation code 12345678). The request is
// lost; after a second of silence the till asks for it, sends it again, asks again
// after another second, and then the reply comes. Spaces and line ends are not sent.
//
//	HELLO     a55a 01 01 01020304 00000000 00000000 b262 1eebe6c7
//	WELCOME   a55a 01 02 01020304 00000000 0000001b de9d
//	          00800000 03 534154 09 393030303030303031 08 30312e30302e3030 1e9e939a
//	REQUEST   a55a 01 03 01020304 00000001 0000001c 4148
//	          08 0001e240 02 00000008 3132333435363738 00000006 313233343535 dbfb3f00
//	PING      a55a 01 05 01020304 00000001 00000000 1d9e 3023fb59
//	NAK       a55a 01 07 01020304 00000001 00000001 8779 01 388945b8
//	REQUEST   a55a 01 03 01020304 00000001 0000001c 4148
//	          08 0001e240 02 00000008 3132333435363738 00000006 313233343535 dbfb3f00
//	PING      a55a 01 05 01020304 00000001 00000000 1d9e 3023fb59
//	WORKING   a55a 01 06 01020304 00000001 00000000 d23b eca76be0
//	RESPONSE  a55a 01 04 01020304 00000001 00000020 7c9f
//	          3132333435367c31313030337c53657373616f206e616f206578697374657c7c f499baf8
package link
