package wire

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Remote commands (DESIGN.md, decisions 7 and 10, invariant 9).
//
// The collector publishes a Signed on DownTopic(agent, DownCommand), encoded by
// Codec.Encode and never packed. Nothing is certain of its arrival: the collector
// publishes it again, the same bytes, until the first Report of it came, and
// whenever it wants to hear again how it stands. An agent carries a command out once,
// however often it hears it, and answers each repetition with its latest Report.
//
// The agent answers with Items of KindCommand on StreamCommands, buffered and
// acknowledged like documents. Item.Body is a Report in CBOR (Codec.Encode),
// Item.Serial the device, Item.Code the Report's State. Reports of one command are
// numbered from 1 in the order in which they were written; the one with the highest
// number says how the command stands:
//
//	accepted -> waiting -> running -> done, failed, unknown
//	accepted -> waiting -> expired        (nothing begins after Expires)
//	accepted -> waiting -> refused        (nothing was done)
//
// A command that has not begun can be taken back: the collector publishes another
// Signed with the same bytes, signed as Cancel. The agent notes for good that the
// command must not begin, also when it has not heard of it yet, and answers refused
// with RefusedCancelled; if it has begun, with its latest Report. Agents that know no
// Cancel pass it over.
//
// Any of the steps before an end may be passed over. waiting and running may come
// again with another text, and running goes back to waiting when the agent was stopped
// before it had done anything.
//
// A Report that carries a Part is not about a state (State is "", Number 0): it brings
// a piece of a result. The final Report names the result by its SHA-256; the pieces with
// that Body, in the order of Index, are it. All pieces are written before the Report
// that names them; pieces that no Report names are remains of a run that was cut off
// and may be dropped.
//
// Arguments that the table calls Secret are never in Command.Args but sealed, by
// SealArgs, for the key that the agent's latest Beat brought (Beat.SealKey). Without
// that key they cannot be sent.
//
// The public half of the key that signs is told to an agent when it is enrolled
// (enrolment's reply, field "command_key", base64) and in each Hello (CommandKey).
// An agent takes the first one it hears, for good: agents enrolled by earlier versions
// take it from a Hello, which mutual TLS protects. Another key later is not taken.
const (
	// StreamCommands carries what agents tell of commands.
	StreamCommands = "commands"
	// DownCommand is the down kind of a Signed.
	DownCommand = "command"
	// KindCommand is an Item whose Body is a Report.
	KindCommand = "command"
)

// Limits of commands and results, in bytes.
const (
	MaxCommand = 128 << 10 // a Signed, encoded
	MaxResult  = 8 << 20   // all parts of a result together
	ResultPart = 256 << 10 // one part of it
)

// CommandID names a command: 16 random bytes. A command that is to be carried out
// again is another command.
type CommandID [16]byte

func (id CommandID) String() string { return hex.EncodeToString(id[:]) }

// Command is what an agent is to do.
type Command struct {
	Version int       `cbor:"0,keyasint"`
	ID      CommandID `cbor:"1,keyasint"`
	Agent   string    `cbor:"2,keyasint"` // whom it is for
	// Epoch is that of the agent's buffer, where it keeps its journal of commands, as
	// its latest Beat told it. An agent with another one has lost that journal, cannot
	// know whether it carried the command out already, and refuses it.
	Epoch Epoch `cbor:"3,keyasint"`
	// Sequence rises with each command made for this agent. Of those that may begin the
	// lowest goes first; they may come in any order.
	Sequence uint64            `cbor:"4,keyasint"`
	Name     string            `cbor:"5,keyasint"`           // in the table: CommandByName
	Serial   string            `cbor:"6,keyasint,omitempty"` // of the device, where one is needed
	Args     map[string]string `cbor:"7,keyasint,omitempty"` // those that are not secret
	Sealed   []byte            `cbor:"8,keyasint,omitempty"` // the secret ones, by SealArgs
	// By says who asked, for the audit and for people at the till: "Ana Souza, Revenda X".
	By        string  `cbor:"9,keyasint"`
	At        int64   `cbor:"10,keyasint"`           // when it was asked, Unix milliseconds by the collector's clock
	NotBefore int64   `cbor:"11,keyasint,omitempty"` // 0 for at once
	Expires   int64   `cbor:"12,keyasint"`           // nothing begins after it; at most MaxLife after At
	Window    *Window `cbor:"13,keyasint,omitempty"` // nil for what the table says
}

// MaxLife is how long a command may wait for its agent and its hour. Agents remember
// the commands they carried out for longer.
const MaxLife = 30 * 24 * time.Hour

// Window is when a command that disturbs sales may begin.
type Window struct {
	// Idle is for how long there was no sale on this computer, milliseconds. 0 does not
	// wait at all: a person at the till knows what will happen.
	Idle int64 `cbor:"1,keyasint"`
	// From and To are the hours of the store's day between which it may begin, in
	// minutes after midnight; From above To passes midnight, equal is the whole day.
	From int `cbor:"2,keyasint,omitempty"`
	To   int `cbor:"3,keyasint,omitempty"`
	// Zone is the store's time zone, in minutes east of Greenwich: -180 for Brasília.
	Zone int `cbor:"4,keyasint,omitempty"`
}

// Open reports whether a clock is within the window's hours.
func (w Window) Open(now time.Time) bool {
	local := now.UTC().Add(time.Duration(w.Zone) * time.Minute)
	minute := local.Hour()*60 + local.Minute()
	switch {
	case w.From == w.To:
		return true
	case w.From < w.To:
		return minute >= w.From && minute < w.To
	}
	return minute >= w.From || minute < w.To
}

// States of a command.
const (
	CommandAccepted = "accepted" // the agent has it on its disk
	CommandWaiting  = "waiting"  // for its time, its window, or for others; Text says for what
	CommandRunning  = "running"  // Text says which step
	CommandDone     = "done"
	CommandFailed   = "failed"  // it was tried, and Text says what went wrong; nothing is left to do
	CommandRefused  = "refused" // nothing was done; Reason
	CommandUnknown  = "unknown" // it was cut off, may have been done, and is never repeated; Lines have the evidence
	CommandExpired  = "expired" // its time was over before it could begin
)

// CommandEnded reports whether a state is an end.
func CommandEnded(state string) bool {
	switch state {
	case CommandDone, CommandFailed, CommandRefused, CommandUnknown, CommandExpired:
		return true
	}
	return false
}

// Reasons of a refusal.
const (
	RefusedSignature = "signature" // not signed by the pinned key, or not readable
	RefusedAgent     = "agent"     // meant for another agent
	RefusedJournal   = "journal"   // the agent lost its journal of commands since
	RefusedCommand   = "command"   // this agent's version has no such command
	RefusedArgs      = "args"      // the arguments break the table's rules, or cannot be unsealed
	RefusedDevice    = "device"    // there is no such device at this till
	RefusedState     = "state"     // the device is in a state in which this cannot work
	RefusedCode      = "code"      // nobody here knows the device's activation code
	RefusedCancelled = "cancelled" // the collector took it back before it began
)

// Report says how a command stands, or brings a part of its result.
type Report struct {
	Version int       `cbor:"0,keyasint"`
	Command CommandID `cbor:"1,keyasint"`
	Number  uint32    `cbor:"2,keyasint"`           // rises within one command; 0 with a Part, and where the agent keeps no journal of the command
	State   string    `cbor:"3,keyasint,omitempty"` // "" with a Part
	At      int64     `cbor:"4,keyasint"`           // agent's clock, Unix milliseconds
	Text    string    `cbor:"5,keyasint,omitempty"` // pt-BR, one sentence: the step, what it waits for, how it ended
	Reason  string    `cbor:"6,keyasint,omitempty"` // of a refusal
	Lines   []Line    `cbor:"7,keyasint,omitempty"` // of the transcript, new since the last Report; pt-BR
	Reply   string    `cbor:"8,keyasint,omitempty"` // the device's return code, five digits; "" where none came
	Result  *Result   `cbor:"9,keyasint,omitempty"` // of an end
	Part    *Part     `cbor:"10,keyasint,omitempty"`
}

// Line is one line of a transcript. There are no activation codes in it, no
// passwords, and nobody's CPF.
type Line struct {
	At   int64  `cbor:"1,keyasint"` // agent's clock, Unix milliseconds
	Text string `cbor:"2,keyasint"`
}

// Result is what a command brought: a file.
type Result struct {
	Name  string            `cbor:"1,keyasint"` // of the file, as to be saved: "log-900000001.txt"
	Type  string            `cbor:"2,keyasint"` // "text/plain; charset=utf-8", "application/zip"
	Size  int64             `cbor:"3,keyasint"` // bytes
	Parts int               `cbor:"4,keyasint"`
	Body  [sha256.Size]byte `cbor:"5,keyasint"` // SHA-256 of all of it
	// Cut says that the whole would have been larger than MaxResult, or than the room
	// on the till's disk: this is its beginning (of logs, the latest part).
	Cut bool `cbor:"6,keyasint,omitempty"`
}

// Part is a piece of a result.
type Part struct {
	Body  [sha256.Size]byte `cbor:"1,keyasint"` // SHA-256 of the whole result
	Index int               `cbor:"2,keyasint"` // from 0
	Data  []byte            `cbor:"3,keyasint"`
}

// Signed is a Command on its way, or the cancelling of one: its bytes, in one of the two
// fields, and the collector's signature.
type Signed struct {
	Version   int    `cbor:"0,keyasint"`
	Command   []byte `cbor:"1,keyasint"` // a Command, encoded
	Signature []byte `cbor:"2,keyasint"`
	Cancel    []byte `cbor:"3,keyasint,omitempty"` // the Command that must not begin, encoded as it was sent
}

// ErrSignature reports a command that was not signed by the key expected.
var ErrSignature = errors.New("command not signed by this agent's collector")

// Cancels tells whether a command is taken back.
func (s Signed) Cancels() bool { return len(s.Cancel) > 0 }

// Bytes are those of the Command, which are the same when it is taken back.
func (s Signed) Bytes() []byte {
	if s.Cancels() {
		return s.Cancel
	}
	return s.Command
}

// signing keeps these signatures apart from each other and from any other use of the
// key (RFC 8032, Ed25519ctx).
func (s Signed) signing() *ed25519.Options {
	if s.Cancels() {
		return &ed25519.Options{Context: "zelo cancel"}
	}
	return &ed25519.Options{Context: "zelo command"}
}

// Sign encodes a command and signs it with the collector's key.
func (c *Codec) Sign(key ed25519.PrivateKey, command Command) (Signed, error) {
	b, err := c.Encode(command)
	if err != nil {
		return Signed{}, err
	}
	s := Signed{Version: Version, Command: b}
	if s.Signature, err = key.Sign(nil, b, s.signing()); err != nil {
		return Signed{}, fmt.Errorf("cannot sign command %s: %w", command.ID, err)
	}
	return s, nil
}

// SignCancel signs that the command of s must not begin.
func (c *Codec) SignCancel(key ed25519.PrivateKey, s Signed) (Signed, error) {
	out := Signed{Version: Version, Cancel: s.Bytes()}
	var err error
	if out.Signature, err = key.Sign(nil, out.Cancel, out.signing()); err != nil {
		return Signed{}, fmt.Errorf("cannot sign the cancelling of a command: %w", err)
	}
	return out, nil
}

// Verify reads the command out of s. A wrong signature is ErrSignature; the command
// is returned all the same, so that its ID can be told, and nothing else of it may
// be used.
func (c *Codec) Verify(key ed25519.PublicKey, s Signed) (command Command, err error) {
	if err := c.Decode(s.Bytes(), &command); err != nil {
		return Command{}, err
	}
	if len(key) != ed25519.PublicKeySize || ed25519.VerifyWithOptions(key, s.Bytes(), s.Signature, s.signing()) != nil {
		return command, ErrSignature
	}
	return command, nil
}

// sealedFor binds sealed arguments to one command of one agent.
func sealedFor(agent string, id CommandID) []byte {
	return []byte("zelo command args\x00" + agent + "\x00" + string(id[:]))
}

// SealArgs seals the secret arguments of a command for its agent: HPKE (RFC 9180)
// with X25519, HKDF-SHA256 and ChaCha20-Poly1305. key is the agent's public key, 32
// bytes, as its Beat brought it.
func (c *Codec) SealArgs(key []byte, agent string, id CommandID, args map[string]string) ([]byte, error) {
	plain, err := c.Encode(args)
	if err != nil {
		return nil, err
	}
	public, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("cannot use the sealing key of agent %s: %w", agent, err)
	}
	sealed, err := hpke.Seal(public, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), sealedFor(agent, id), plain)
	if err != nil {
		return nil, fmt.Errorf("cannot seal arguments for agent %s: %w", agent, err)
	}
	return sealed, nil
}

// OpenArgs opens what SealArgs sealed for the agent whose private key this is.
func (c *Codec) OpenArgs(key *ecdh.PrivateKey, agent string, id CommandID, sealed []byte) (args map[string]string, err error) {
	private, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("cannot use this agent's sealing key: %w", err)
	}
	plain, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), sealedFor(agent, id), sealed)
	if err != nil {
		return nil, fmt.Errorf("cannot open the sealed arguments: %w", err)
	}
	return args, c.Decode(plain, &args)
}
