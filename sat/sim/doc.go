// Package sim simulates a SAT or MFE: activation, sales, cancellations, blocks,
// session memory and the rest of the sixteen functions as devices were seen to
// carry them out, with documents that verify. It can be told to misbehave at any
// call, and keeps a list of what it issued that tests trust ([Record]).
//
// [Sim] is a [sat.Device] by itself; [Sim.Run] offers it on a pseudo terminal and
// over TCP (package link), for a process of its own. Given the same clock, seed,
// key and calls it writes the same bytes. With Options.Dir it survives being
// killed: a document is on the disk (issued.jsonl, one [Record] per line) before
// its reply leaves, and the next process is the same device.
//
// Sources: the dossiers on the SAT software interface (sections 2 to 5), on CF-e
// documents (1.5 to 1.7, 2, 4.1 to 4.3) and on the MFE (4). Where sources differ
// an option chooses, or the comment says what was taken.
//
// # Control protocol
//
// A process running [Sim.Run] takes commands on its control port: one JSON object
// per line with exactly one of these members, answered by one line
// {"ok":true} or {"ok":false,"error":"..."}.
//
//	{"set":{"online":false,"state":3,"cert_expires":"2026-12-11"}}
//	{"script":{"function":"EnviarDadosVenda","nth":2,"do":"late","before":true,"for":"5s","wait":true}}
//	{"release":true}
//	{"plug":false}
//	{"list":true}
//
// The members of set are those of [Settings], those of script the fields of
// [Fault]: without function every call counts, without nth the next one is meant,
// without for a late reply waits for release. With wait a second answer follows
// when the fault strikes, and until then the connection takes nothing else. The
// answer to list has "issued", an
// array of [Record] (documents and replies in base64), and "struck", how many
// faults have struck.
package sim
