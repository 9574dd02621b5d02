package wire

// KindInventory is an item whose Body is an encoded Inventory: one thing that an
// agent knows of its computer, its tills or of itself. Items travel on StreamStatus,
// one each time what they say changed, and at least once a day so that their silence
// means something. Of each What and Key only the last counts, by place in the stream,
// never by a clock. Agents send them only to a collector whose Hello is of version 3
// or later: an older one knows no such item.
//
// An item names no person: no CPF, no name of a user, no file of a person's folder.
// What an agent does not know it leaves zero, and what is zero raises nothing.
const KindInventory = "inventory"

// KindLog is an item whose Body is lines of a device's log, as the device gave them
// (dossier on the SAT interface, 4.1), and whose Serial is the device. Agents read a log
// now and then and send what it has gained, beginning with the second they knew last:
// lines come more than once, and all lines of one second come together. Items travel as
// those of KindInventory do.
const KindLog = "log"

// Inventory is one thing an agent knows. Exactly the part that What names is set;
// none is when Gone.
type Inventory struct {
	Version int    `cbor:"0,keyasint"`
	What    string `cbor:"1,keyasint"`           // one of the Inventory constants
	Key     string `cbor:"2,keyasint,omitempty"` // tells things of one What apart; see each part
	Gone    bool   `cbor:"3,keyasint,omitempty"` // it is not there any more

	Computer    *Computer    `cbor:"4,keyasint,omitempty"`
	Disk        *Disk        `cbor:"5,keyasint,omitempty"`
	Certificate *Certificate `cbor:"6,keyasint,omitempty"`
	Sales       *Sales       `cbor:"7,keyasint,omitempty"`
	Library     *Library     `cbor:"8,keyasint,omitempty"`
	Outside     *Outside     `cbor:"9,keyasint,omitempty"`
	Remote      *Remote      `cbor:"10,keyasint,omitempty"`
	Health      *Health      `cbor:"11,keyasint,omitempty"`
}

// What an Inventory may be about.
const (
	InventoryComputer    = "computer"    // Key is ""
	InventoryDisk        = "disk"        // Key is the volume: "C:", "/"
	InventoryCertificate = "certificate" // Key is the SHA-256 of its DER, hexadecimal
	InventorySales       = "sales"       // Key is the till's id
	InventoryLibrary     = "library"     // Key is the program: "pdv.exe", or "" for all that run
	InventoryOutside     = "outside"     // Key is the device's serial number
	InventoryRemote      = "remote"      // Key is the program: "anydesk", "teamviewer", "rustdesk"
	InventoryHealth      = "health"      // Key is ""
)

// Computer is the computer the agent runs on.
type Computer struct {
	System      string `cbor:"1,keyasint"`           // "Windows 10 Pro 22H2"
	Booted      int64  `cbor:"2,keyasint,omitempty"` // Unix milliseconds
	MemoryTotal int64  `cbor:"3,keyasint,omitempty"` // bytes
	MemoryFree  int64  `cbor:"4,keyasint,omitempty"` // bytes available to programs
	Antivirus   string `cbor:"5,keyasint,omitempty"` // one of the Antivirus constants, "" when not known
	AntivirusBy string `cbor:"6,keyasint,omitempty"` // name of the product
	ClockSynced int    `cbor:"7,keyasint,omitempty"` // 1 when the system sets its clock by the network, -1 when not
	USBErrors   int    `cbor:"8,keyasint,omitempty"` // in the last 24 hours
	USBLast     string `cbor:"9,keyasint,omitempty"` // the last of them, as the system words it
}

// How a computer is protected.
const (
	AntivirusOn       = "on"
	AntivirusOff      = "off"
	AntivirusOutdated = "outdated"
)

// Disk is one volume that matters: the agent's own, and those of the tills' programs.
type Disk struct {
	Total int64 `cbor:"1,keyasint"`           // bytes
	Free  int64 `cbor:"2,keyasint"`           // bytes that the agent may still use
	Own   bool  `cbor:"3,keyasint,omitempty"` // the agent's buffer lies on it
}

// Certificate is one ICP-Brasil certificate of a company on the computer (dossier on
// certificates, 2).
type Certificate struct {
	Holder string   `cbor:"1,keyasint"`           // name of the company
	CNPJ   string   `cbor:"2,keyasint"`           // 14 characters
	Type   string   `cbor:"3,keyasint,omitempty"` // "A1", "A3"; "" when not known
	From   int64    `cbor:"4,keyasint,omitempty"` // valid from, Unix milliseconds
	Until  int64    `cbor:"5,keyasint"`           // valid until, Unix milliseconds
	Places []string `cbor:"6,keyasint,omitempty"` // where it was found: "LocalMachine\My", a file's path
	InUse  bool     `cbor:"7,keyasint,omitempty"` // a till's program signs with it
	Issuer string   `cbor:"8,keyasint,omitempty"` // name of the authority
	HasKey bool     `cbor:"9,keyasint,omitempty"` // its private key is there too
}

// Sales is how one till sold on one day, in the store's own time. The day under way
// is sent again as it goes on.
type Sales struct {
	Day      string         `cbor:"1,keyasint"` // AAAA-MM-DD
	Sold     int            `cbor:"2,keyasint"`
	Rejected int            `cbor:"3,keyasint"`           // refused by the device
	Codes    map[string]int `cbor:"4,keyasint,omitempty"` // refusals by code: "06010/1234"
	Median   int64          `cbor:"5,keyasint,omitempty"` // milliseconds of a sale, call to answer
	P95      int64          `cbor:"6,keyasint,omitempty"`
	Longest  int64          `cbor:"7,keyasint,omitempty"`
}

// Library is which library of a SAT one program loads. Programs that use a maker's are
// told, where a till once used ours; the Library without a Key says whether all that run
// could be looked at, so that no other Library means that none does.
type Library struct {
	Makers bool   `cbor:"1,keyasint"`           // the maker's own again, instead of ours
	Path   string `cbor:"2,keyasint,omitempty"` // of the file; that of a person is not told
	Since  int64  `cbor:"3,keyasint,omitempty"` // Unix milliseconds
	Unseen string `cbor:"4,keyasint,omitempty"` // one of the Unseen constants, "" when all was seen
}

// Why programs cannot be looked at.
const (
	UnseenWide   = "wide"   // an agent of 32 bits sees no program of 64
	UnseenDenied = "denied" // the agent may not look at other users' programs
	UnseenFailed = "failed" // the system did not list them, or the agent forgot them
)

// Outside is what a device did that no call of this agent explains: documents of the
// direct bridge, of the maker's tool, of another computer.
type Outside struct {
	Direct  int    `cbor:"1,keyasint,omitempty"` // calls of the direct bridge, since the agent's start
	Foreign int    `cbor:"2,keyasint,omitempty"` // documents whose call nobody here made, since the agent's start
	First   int64  `cbor:"3,keyasint,omitempty"` // Unix milliseconds
	Last    int64  `cbor:"4,keyasint,omitempty"`
	LastKey string `cbor:"5,keyasint,omitempty"` // of the last such document
}

// Remote is a remote-access program on the computer.
type Remote struct {
	ID      string `cbor:"1,keyasint"` // by which it is called
	Version string `cbor:"2,keyasint,omitempty"`
}

// Health is how the agent itself fares.
type Health struct {
	Memory     int64 `cbor:"1,keyasint,omitempty"` // resident bytes
	Goroutines int   `cbor:"2,keyasint,omitempty"`
	Restarts   int   `cbor:"3,keyasint,omitempty"` // not asked for, in the last 24 hours
	Panics     int   `cbor:"4,keyasint,omitempty"` // caught, in the last 24 hours
}
