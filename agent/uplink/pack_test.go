package uplink

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// addCoupons appends documents of a device that resemble each other as coupons do:
// most of each is the device's certificate.
func addCoupons(t *testing.T, codec *wire.Codec, b *buffer.Buffer, serial, certificate string, n int) {
	t.Helper()
	common := make([]byte, 3000)
	rand.NewChaCha8(sha256.Sum256([]byte(certificate))).Read(common)
	batch := &buffer.Batch{}
	for range n {
		data, err := codec.Encode(wire.Item{Version: 2, Kind: wire.KindDocument, Serial: serial, At: time.Now().UnixMilli(),
			Body: append(bytes.Clone(common), byte(rand.Int()), byte(rand.Int()))})
		if err != nil {
			t.Fatal(err)
		}
		batch.Append(wire.StreamDocuments, data)
	}
	if _, err := b.Commit(batch); err != nil {
		t.Fatal(err)
	}
}

// sellOne sells a coupon of a device and returns the bytes that it took.
func (c *collector) sellOne(b *buffer.Buffer, serial string) int {
	c.t.Helper()
	before := c.bytes
	addCoupons(c.t, c.codec, b, serial, serial, 1)
	c.pass(time.Second)
	if n := waiting(b); n != 0 {
		c.t.Errorf("%d records wait", n)
	}
	return c.bytes - before
}

func TestDictionaryPerDevice(t *testing.T) {
	inWorld(t, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
		addCoupons(t, c.codec, b, "900000001", "900000001", 30)
		addCoupons(t, c.codec, b, "900000002", "900000002", 30)
		c.pass(time.Minute + time.Second)
		for _, serial := range []string{"900000001", "900000002"} {
			c.sellOne(b, serial) // asks for it to be held
			if n := c.sellOne(b, serial); n > 300 {
				t.Errorf("a coupon of 3 KB, known but for two bytes, took %d bytes", n)
			}
		}
		if len(c.held) != 2 || c.offers != 2 {
			t.Errorf("%d dictionaries held, %d brought", len(c.held), c.offers)
		}
		if n := c.sellOne(b, "900000003"); n < 3000 {
			t.Errorf("a new device's first coupon took %d bytes", n)
		}
		// A new session only asks.
		close(c.session.done)
		c.pass(time.Minute)
		c.sellOne(b, "900000001")
		if n := c.sellOne(b, "900000001"); n > 300 || c.offers != 2 {
			t.Errorf("in a new session: %d bytes, %d brought", n, c.offers)
		}
		// Both at once are two batches.
		packed := c.packed
		addCoupons(t, c.codec, b, "900000001", "900000001", 2)
		addCoupons(t, c.codec, b, "900000002", "900000002", 2)
		c.pass(2 * time.Second)
		addCoupons(t, c.codec, b, "900000001", "900000001", 2)
		addCoupons(t, c.codec, b, "900000002", "900000002", 2)
		c.pass(2 * time.Second)
		if c.packed < packed+3 || waiting(b) != 0 {
			t.Errorf("%d batches packed with a dictionary, %d records wait", c.packed-packed, waiting(b))
		}
	})
}

// Whoever loses a dictionary, documents arrive at once and the dictionary after.
func TestDictionaryIsLost(t *testing.T) {
	for name, lose := range map[string]func(c *collector, u *Uplink){
		"by the collector": func(c *collector, u *Uplink) { clear(c.held) },
		"by the agent":     func(c *collector, u *Uplink) { loseOwn(c.t, u) },
		"by both": func(c *collector, u *Uplink) {
			clear(c.held)
			loseOwn(c.t, u)
		},
		"but for the agent's file": func(c *collector, u *Uplink) {
			clear(c.held)
			clear(u.packer.devices)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
				addCoupons(t, c.codec, b, "900000001", "900000001", 30)
				c.pass(time.Second)
				addCoupons(t, c.codec, b, "900000001", "900000001", 30)
				c.pass(time.Second)
				lose(c, u)
				for range 20 {
					c.sellOne(b, "900000001")
				}
				if n := c.sellOne(b, "900000001"); n > 300 || c.lacked > 3 {
					t.Errorf("%d bytes in the end, %d batches not understood", n, c.lacked)
				}
			})
		})
	}
}

// loseOwn makes an agent's dictionary unreadable.
func loseOwn(t *testing.T, u *Uplink) {
	t.Helper()
	clear(u.packer.devices)
	batch := &buffer.Batch{}
	batch.Put(table, dictionaryKey("900000001"), []byte("x"))
	if _, err := u.o.Buffer.Commit(batch); err != nil {
		t.Fatal(err)
	}
}

// Many devices, as when old folders are rescued, share what memory there is, and
// documents of none at all have a dictionary too.
func TestManyDevices(t *testing.T) {
	inWorld(t, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
		for round := range 3 {
			for i := range 3 * maxDevices {
				addCoupons(t, c.codec, b, fmt.Sprintf("9000000%02d", i), "x", 2+20*round)
				c.pass(time.Second)
				if n := len(u.packer.devices); n > maxDevices {
					t.Fatalf("%d devices in memory", n)
				}
			}
		}
		addCoupons(t, c.codec, b, "", "y", 30)
		c.pass(time.Second)
		c.sellOne(b, "")
		addCoupons(t, c.codec, b, "", "y", 1)
		before := c.packed
		c.pass(time.Second)
		if c.packed != before+1 || c.lacked != 0 || waiting(b) != 0 {
			t.Errorf("%d packed with a dictionary, %d not understood, %d wait", c.packed-before, c.lacked, waiting(b))
		}
	})
}

// A collector that never holds a dictionary gets everything, and is not pestered.
func TestDictionaryIsRefused(t *testing.T) {
	inWorld(t, func(c *collector) { c.refuses = true }, func(c *collector, b *buffer.Buffer, u *Uplink) {
		for range 60 {
			addCoupons(t, c.codec, b, "900000001", "900000001", 30)
			c.pass(time.Minute)
		}
		if waiting(b) != 0 || c.offers > maxOffers || c.lacked != 0 {
			t.Errorf("%d records wait, brought %d times, %d batches not understood", waiting(b), c.offers, c.lacked)
		}
	})
}

// A collector of version 1 knows no dictionary: it is never used.
func TestOldCollectorGetsNoDictionary(t *testing.T) {
	inWorld(t, func(c *collector) { c.version = 1 }, func(c *collector, b *buffer.Buffer, u *Uplink) {
		for range 5 {
			addCoupons(t, c.codec, b, "900000001", "900000001", 30)
			c.pass(time.Minute)
		}
		if waiting(b) != 0 || c.packed != 0 || c.offers != 0 {
			t.Errorf("%d records wait, %d packed with a dictionary, %d brought", waiting(b), c.packed, c.offers)
		}
	})
}

// A device that got a new certificate gets a new dictionary, after a day at most
// each.
func TestDictionaryGrowsOld(t *testing.T) {
	inWorld(t, nil, func(c *collector, b *buffer.Buffer, u *Uplink) {
		addCoupons(t, c.codec, b, "900000001", "900000001", 30)
		c.pass(renewAfter + time.Minute)
		d := u.packer.devices["900000001"]
		sell := func(certificate string) {
			for range 40 {
				addCoupons(t, c.codec, b, "900000001", certificate, 1)
				c.pass(time.Second)
			}
		}
		first := d.dict.Name
		sell("new")
		second := d.dict.Name
		if second == first || c.offers != 2 {
			t.Errorf("no new dictionary, %d brought", c.offers)
		}
		sell("newer")
		if d.dict.Name != second {
			t.Error("a third dictionary on the same day")
		}
		if waiting(b) != 0 || c.lacked != 0 {
			t.Errorf("%d wait, %d not understood", waiting(b), c.lacked)
		}
	})
}
