package uplink

import (
	"fmt"
	"log/slog"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// Dictionaries.
const (
	dictionaryBytes = 64 << 10       // of earlier documents; more gains little
	largestSample   = 16 << 10       // a larger document would take the place of many
	maxDevices      = 8              // with a dictionary each, 1.5 MiB of memory
	maxOffers       = 3              // of one dictionary in a session
	poorAfter       = 8              // batches in a row that a dictionary did not help
	renewAfter      = 24 * time.Hour // at the earliest, a dictionary that does not help is replaced
)

// dictionaryKey is where a device's dictionary is kept in the uplink's table.
func dictionaryKey(serial string) []byte { return []byte("dictionary/" + serial) }

// packer packs batches, documents with a dictionary of their device's earlier
// ones once the collector has it on its disk. Whatever happens to a dictionary on
// either side, documents go without until both have one again.
type packer struct {
	buffer  *buffer.Buffer
	codec   *wire.Codec
	log     *slog.Logger
	ready   bool // the collector said Hello in this session, so it knows dictionaries
	devices map[string]*device
	uses    uint64
}

// device is what is known of one device's documents.
type device struct {
	serial   string
	used     uint64           // when last, in uses of all
	dict     *wire.Dictionary // nil until enough was gathered
	state    dictState
	offers   int // in this session
	gathered wire.Batch
	size     int
	poor     int
	made     time.Time // zero when it is of an earlier run
}

// dictState is what the collector of this session knows of a dictionary.
type dictState int

const (
	unasked dictState = iota
	asked             // whether it holds it
	offered           // the bytes were sent
	held
)

// begin forgets what the collector of an earlier session said.
func (p *packer) begin() {
	p.ready = false
	for _, d := range p.devices {
		d.state, d.offers = unasked, 0
	}
}

// part is what goes in one message: documents of one device.
type part struct {
	records []buffer.Record
	device  *device // nil: packed without dictionary, by whatever devices
}

// split puts records of one device each together.
func (p *packer) split(stream string, records []buffer.Record) []part {
	if stream != wire.StreamDocuments || !p.ready {
		return []part{{records: records}}
	}
	var out []part
	place := map[*device]int{}
	for _, r := range records {
		d := p.device(r.Data)
		i, ok := place[d]
		if !ok {
			i = len(out)
			place[d] = i
			out = append(out, part{device: d})
		}
		out[i].records = append(out[i].records, r)
	}
	return out
}

// device returns the device of a document, nil when it names none.
func (p *packer) device(record []byte) *device {
	var item struct {
		Serial string `cbor:"2,keyasint"`
	}
	if err := p.codec.Decode(record, &item); err != nil {
		return nil
	}
	p.uses++
	d := p.devices[item.Serial]
	if d == nil {
		d = p.load(item.Serial)
		p.forget()
		p.devices[item.Serial] = d
	}
	d.used = p.uses
	return d
}

// forget makes room for one more device by forgetting the one not used longest.
// Its dictionary stays in the buffer.
func (p *packer) forget() {
	for len(p.devices) >= maxDevices {
		var oldest *device
		for _, d := range p.devices {
			if oldest == nil || d.used < oldest.used {
				oldest = d
			}
		}
		delete(p.devices, oldest.serial)
	}
}

// load reads a device's dictionary, if it has one yet.
func (p *packer) load(serial string) *device {
	d := &device{serial: serial}
	data, err := p.buffer.Get(table, dictionaryKey(serial))
	if err == nil && data != nil {
		d.dict, err = wire.NewDictionary(data)
	}
	if err != nil {
		p.log.Warn("dictionary not readable, a new one is gathered", "device", serial, "err", err)
	}
	return d
}

// pack packs a batch of a device's documents, and learns from them.
func (p *packer) pack(id uint64, d *device, b wire.Batch) ([][]byte, error) {
	if d == nil || d.state != held {
		return p.codec.Pack(id, b)
	}
	packets, err := p.codec.PackWith(d.dict, id, b)
	if err == nil {
		d.judge(b, packets)
	}
	return packets, err
}

// judge counts how often in a row a dictionary left more than a third.
func (d *device) judge(b wire.Batch, packets [][]byte) {
	plain, packed := 0, 0
	for _, r := range b.Records {
		plain += len(r.Data)
	}
	for _, p := range packets {
		packed += len(p)
	}
	if d.poor++; packed*3 < plain {
		d.poor = 0
	}
}

// gather keeps documents for a dictionary where one is wanted, and makes it when
// there are enough.
func (p *packer) gather(d *device, records []wire.Record, epoch wire.Epoch) {
	old := d.made.IsZero() || time.Since(d.made) >= renewAfter
	if d.dict != nil && (d.poor < poorAfter || !old) {
		return
	}
	for _, r := range records {
		if len(r.Data) > largestSample {
			continue
		}
		if n := len(d.gathered.Records); n > 0 && d.gathered.Records[n-1].Seq >= r.Seq {
			continue // sent again
		}
		d.gathered.Records = append(d.gathered.Records, r)
		if d.size += len(r.Data); d.size >= dictionaryBytes-largestSample/2 {
			d.gathered.Version, d.gathered.Epoch = wire.Version, epoch
			if err := p.make(d); err != nil {
				p.log.Warn("no dictionary made, documents go without", "device", d.serial, "err", err)
			}
			d.gathered, d.size = wire.Batch{}, 0
			return
		}
	}
}

// make makes a device's dictionary of what was gathered, and keeps it.
func (p *packer) make(d *device) error {
	data, err := p.codec.Encode(d.gathered)
	if err != nil {
		return err
	}
	dict, err := wire.NewDictionary(data)
	if err != nil {
		return err
	}
	b := &buffer.Batch{}
	b.Put(table, dictionaryKey(d.serial), data)
	if _, err := p.buffer.Commit(b); err != nil {
		return fmt.Errorf("cannot keep the dictionary: %w", err)
	}
	d.dict, d.state, d.offers, d.poor, d.made = dict, unasked, 0, 0, time.Now()
	return nil
}

// offer is what to tell the collector of a device's dictionary before its next
// batch, nil when nothing. again asks once more where no answer came.
func (d *device) offer(again bool) *wire.Offer {
	if d == nil || d.dict == nil || d.state == held || d.state != unasked && !again || d.offers >= maxOffers {
		return nil
	}
	d.state = asked
	return &wire.Offer{Version: wire.Version, Name: d.dict.Name}
}

// answer takes the collector's word of a dictionary. It returns what to bring it,
// and whether batches under way were not understood for want of it.
func (p *packer) answer(a wire.Answer) (bring *wire.Offer, lost bool) {
	for _, d := range p.devices {
		if d.dict == nil || d.dict.Name.Number() != a.Number || d.state == unasked {
			continue
		}
		if a.Held {
			d.state = held
			continue
		}
		lost = d.state == held
		if d.state == offered {
			continue // said before it came
		}
		d.state = asked
		if d.offers < maxOffers {
			d.offers++
			d.state = offered
			bring = &wire.Offer{Version: wire.Version, Name: d.dict.Name, Data: d.dict.Data}
		}
	}
	return bring, lost
}
