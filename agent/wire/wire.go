// Package wire is what agents and collectors say to each other: topics,
// messages, packing. It knows no SAT: a status travels as the device's own
// reply, a document as its bytes.
//
// Version history:
//
//	1 (2026-11-21): first: items in batches, acknowledgements by record, beats.
package wire

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Version is the number every message carries. A reader keeps what it does not
// know and never fails on it.
const Version = 1

// Streams an agent publishes to, most urgent first. Records of the first two
// wait in the till's buffer until acknowledged one by one; beats are not kept.
const (
	StreamEvents    = "events"    // what happened: missing documents, gaps, devices gone
	StreamDocuments = "documents" // fiscal documents
	StreamStatus    = "status"    // the devices' own status replies
	StreamBeat      = "beat"      // the agent's pulse, not acknowledged
)

// Down kinds.
const DownAck = "ack"

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
