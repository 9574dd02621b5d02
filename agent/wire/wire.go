// Package wire is what agents and collectors say to each other: topics,
// messages, packing. It knows no SAT: a status travels as the device's own
// reply, a document as its bytes.
//
// Version history:
//
//	1 (2026-11-21): first: items in batches, acknowledgements by record, beats.
//	2 (2026-11-22): beats are numbered and answered by a Hello (store's epoch,
//	  collector's time); acknowledgements may ask to slow down; batches of
//	  documents may be packed with a dictionary of earlier ones, which the
//	  collector archives first. Agents use it only after a Hello.
//	3 (2026-11-22): remote commands (command.go): a signed Command goes down, Reports
//	  come up on a stream of their own, and what has not begun may be cancelled; a
//	  Hello brings the key that signs, a Beat the key that secret arguments are
//	  sealed for. Items of KindInventory and KindLog (inventory.go).
//	  A beat tells which computer and which run it comes from and what terms its
//	  agent holds; a Hello may ask the agent to renew its identity.
//	  2026-11-22: a Library is a program's, where it was to be a till's and never sent;
//	  the one without a Key says whether all programs could be looked at.
package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Version is the number every message carries. A reader keeps what it does not
// know and never fails on it.
const Version = 3

// Streams an agent publishes to, most urgent first. Records wait in the till's
// buffer until acknowledged one by one, those of the first two and of StreamCommands
// (command.go) for as long as it takes; beats are not kept.
const (
	StreamEvents    = "events"    // what happened: missing documents, gaps, devices gone
	StreamDocuments = "documents" // fiscal documents
	StreamStatus    = "status"    // the devices' own status replies
	StreamBeat      = "beat"      // the agent's pulse, answered by a Hello
	// StreamDictionary carries Offers. They are not acknowledged but answered.
	StreamDictionary = "dictionary"
)

// Streams are all of them, for permissions.
func Streams() []string {
	return []string{StreamEvents, StreamDocuments, StreamStatus, StreamBeat, StreamDictionary, StreamCommands}
}

// Urgent reports whether a stream passes every limit: alarms are never held back.
func Urgent(stream string) bool { return stream == StreamEvents || stream == StreamBeat }

// Down kinds.
const (
	DownAck        = "ack"        // an Ack
	DownHello      = "hello"      // a Hello
	DownDictionary = "dictionary" // an Answer
)

// Item kinds.
const (
	KindDocument = "document"
	KindStatus   = "status"
	KindEvent    = "event"
)

// Event codes.
const (
	// EventDocumentMissing: a device issued a document that it can no longer
	// give; Detail holds all that is known of it ("key", "session", "till").
	EventDocumentMissing = "document-missing"
	// EventUnresolved: nobody can tell whether a sale was issued. The next
	// EventResolved with the same "case" closes it.
	EventUnresolved = "unresolved"
	EventResolved   = "resolved"
	// EventDeviceGone and EventDeviceBack: a device stopped answering, answers.
	EventDeviceGone = "device-gone"
	EventDeviceBack = "device-back"
	// EventBufferDamaged: the buffer file was damaged; "lost" names what could
	// not be saved.
	EventBufferDamaged = "buffer-damaged"
	// EventEvicted: records were dropped unsent for want of room; "stream",
	// "first", "last", "count".
	EventEvicted = "evicted"
	// EventSecondDevice: a sale whose outcome nobody could tell was made again by
	// another device, as the store chose. EventResolved or EventIssuedTwice with
	// the same "case" follows: the first device had issued it not, or too.
	EventSecondDevice = "second-device"
	EventIssuedTwice  = "issued-twice"
	// EventQuarantined: a record cannot be sent and was set aside on the till;
	// "stream", "seq", "sha256" (hexadecimal), "size" in bytes.
	EventQuarantined = "quarantined"
)

// Item is one record of a stream, encoded by Encode and kept in the buffer in
// that form; its SHA-256 is what an acknowledgement repeats.
type Item struct {
	Version int               `cbor:"0,keyasint"`
	Kind    string            `cbor:"1,keyasint"`
	Serial  string            `cbor:"2,keyasint,omitempty"` // device
	Till    string            `cbor:"3,keyasint,omitempty"`
	At      int64             `cbor:"4,keyasint"`           // agent's clock, Unix milliseconds
	Body    []byte            `cbor:"5,keyasint,omitempty"` // document or reply, byte for byte
	Code    string            `cbor:"6,keyasint,omitempty"` // of an event
	Detail  map[string]string `cbor:"7,keyasint,omitempty"`
}

// Time is At as an instant.
func (i Item) Time() time.Time { return time.UnixMilli(i.At) }

// Record is an item's place in a stream with its encoded bytes.
type Record struct {
	Seq  uint64 `cbor:"1,keyasint"`
	Data []byte `cbor:"2,keyasint"`
}

// Batch is what one publication carries.
type Batch struct {
	Version int      `cbor:"0,keyasint"`
	Epoch   Epoch    `cbor:"1,keyasint"`
	Records []Record `cbor:"2,keyasint"`
}

// Epoch names one creation of a buffer, or of a collector's store.
type Epoch [16]byte

func (e Epoch) String() string { return fmt.Sprintf("%x", e[:]) }

// Ack names records that are on the collector's disk.
type Ack struct {
	Version    int         `cbor:"0,keyasint"`
	Epoch      Epoch       `cbor:"1,keyasint"` // the buffer's, as in the batch
	StoreEpoch Epoch       `cbor:"2,keyasint"` // changes when the store was restored
	Time       int64       `cbor:"3,keyasint"` // collector's clock, Unix milliseconds
	Records    []AckRecord `cbor:"4,keyasint"`
	Stream     string      `cbor:"5,keyasint"` // sequences count per stream
	Slow       *Slow       `cbor:"6,keyasint,omitempty"`
}

// AckRecord is one record committed: a stream frees it only on the same hash.
type AckRecord struct {
	Seq    uint64            `cbor:"1,keyasint"`
	SHA256 [sha256.Size]byte `cbor:"2,keyasint"`
}

// Beat is an agent's pulse.
type Beat struct {
	Version  int          `cbor:"0,keyasint"`
	Software string       `cbor:"1,keyasint"` // agent version
	Host     string       `cbor:"2,keyasint"`
	System   string       `cbor:"3,keyasint"` // "windows/386"
	Started  int64        `cbor:"4,keyasint"` // Unix milliseconds
	Clock    int64        `cbor:"5,keyasint"` // agent's clock, Unix milliseconds
	Epoch    Epoch        `cbor:"6,keyasint"`
	Waiting  int          `cbor:"7,keyasint"` // records not yet acknowledged, all streams
	Oldest   int64        `cbor:"8,keyasint"` // when the oldest of them was written, 0 when none
	Used     int64        `cbor:"9,keyasint"` // buffer bytes
	Bound    int64        `cbor:"10,keyasint"`
	Devices  []BeatDevice `cbor:"11,keyasint,omitempty"`
	Number   uint64       `cbor:"12,keyasint,omitempty"` // the Hello repeats it; since version 2
	SealKey  []byte       `cbor:"13,keyasint,omitempty"` // X25519, 32 bytes: secret arguments of commands are sealed for it; since version 3
	// Which computer and which run of the agent it comes from, to tell two computers
	// under one identity: 32 hexadecimal characters each, names that say nothing else.
	// Machine may be "". Since version 3.
	Machine string `cbor:"14,keyasint,omitempty"`
	Run     string `cbor:"15,keyasint,omitempty"`
	Terms   string `cbor:"16,keyasint,omitempty"` // as the reply said that gave the agent its identity; since version 3
}

// Hello answers a beat.
type Hello struct {
	Version    int    `cbor:"0,keyasint"`
	Beat       uint64 `cbor:"1,keyasint"` // the number of the beat answered
	StoreEpoch Epoch  `cbor:"2,keyasint"`
	Time       int64  `cbor:"3,keyasint"` // collector's clock, Unix milliseconds
	Took       int64  `cbor:"4,keyasint"` // milliseconds since the beat came in
	Slow       *Slow  `cbor:"5,keyasint,omitempty"`
	CommandKey []byte `cbor:"6,keyasint,omitempty"` // Ed25519, 32 bytes: signs commands; since version 3
	// Renew is where the agent renews its identity now, "https://host:port"; "" is not
	// needed. Since version 3.
	Renew string `cbor:"7,keyasint,omitempty"`
}

// Slow asks an agent to spare the collector. It never holds back what is Urgent,
// and never for longer than MaxSlow.
type Slow struct {
	Rate  int64 `cbor:"1,keyasint,omitempty"` // at most so many bytes a second; 0 is no limit
	For   int64 `cbor:"2,keyasint,omitempty"` // how long Rate holds, milliseconds
	Pause int64 `cbor:"3,keyasint,omitempty"` // send nothing for so long, milliseconds
}

// MaxSlow is how long an agent obeys one Slow.
const MaxSlow = 5 * time.Minute

// Name names a dictionary: the SHA-256 of its bytes.
type Name [sha256.Size]byte

// Number is the short form of a Name that stands in each packed message: within
// one agent it names one dictionary.
type Number uint32

// Number is the name's short form, in the range that the zstd format leaves to
// private use (RFC 8878, 5).
func (n Name) Number() Number { return Number(binary.BigEndian.Uint32(n[:])&^(1<<31) | 1<<30) }

// MaxDictionary is the size of the largest dictionary, in bytes.
const MaxDictionary = 96 << 10

// Offer asks whether the collector holds a dictionary, and with Data brings it.
type Offer struct {
	Version int    `cbor:"0,keyasint"`
	Name    Name   `cbor:"1,keyasint"`
	Data    []byte `cbor:"2,keyasint,omitempty"`
}

// Answer says whether the collector holds a dictionary on its disk. It also comes
// unasked, when a batch was packed with one that the collector lacks: that batch
// was not understood and comes again, packed without.
type Answer struct {
	Version int    `cbor:"0,keyasint"`
	Number  Number `cbor:"1,keyasint"`
	Held    bool   `cbor:"2,keyasint"`
}

// BeatDevice is one device as its agent sees it.
type BeatDevice struct {
	Serial    string `cbor:"1,keyasint"`
	Name      string `cbor:"2,keyasint"`
	Answering bool   `cbor:"3,keyasint"`
	OpenCases int    `cbor:"4,keyasint"` // fiscal calls whose outcome is not known yet
}

const topicRoot = "zelo/v1/"

// UpTopic is where an agent publishes a stream, DownTopic where it listens.
func UpTopic(agent, stream string) string { return topicRoot + agent + "/up/" + stream }

// DownTopic is where an agent receives messages of a kind ("+" for all).
func DownTopic(agent, kind string) string { return topicRoot + agent + "/down/" + kind }

var agentPattern = regexp.MustCompile(`^[a-z0-9]{8,40}$`)

// ValidAgent reports whether id can name an agent: 8 to 40 lower-case letters
// and digits, so that it is safe in topics, file names and certificates.
func ValidAgent(id string) bool { return agentPattern.MatchString(id) }

// ParseUpTopic takes an up topic apart.
func ParseUpTopic(topic string) (agent, stream string, err error) {
	parts := strings.Split(topic, "/")
	if len(parts) != 5 || parts[0]+"/"+parts[1]+"/" != topicRoot || parts[3] != "up" || !ValidAgent(parts[2]) || parts[4] == "" {
		return "", "", fmt.Errorf("topic %q is not zelo/v1/<agent>/up/<stream>", topic)
	}
	return parts[2], parts[4], nil
}
