package ingest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
)

// TestStorm: 40 % of a reseller's tills fall silent, and one pass of judging finds them
// and their one cause.
func TestStorm(t *testing.T) {
	const shops, tills = 50, 4
	s := newShop(t)
	err := s.store.Update(context.Background(), func(w *store.Writer) error {
		for i := range shops {
			cnpj := fmt.Sprintf("%08d000191", i+1)
			if err := w.AddTaxpayer(store.Taxpayer{Root: cnpj[:8], Name: "Loja", Reseller: store.DefaultReseller, CreatedAt: s.clock(),
				Establishments: []store.Establishment{{CNPJ: cnpj, Root: cnpj[:8], Name: "Loja"}}}); err != nil {
				return err
			}
			for k := range tills {
				id, secret := fmt.Sprintf("caixa%03dn%d", i, k), fmt.Sprintf("s%d-%d", i, k)
				if err := w.AddToken(secret, store.Token{Reseller: store.DefaultReseller, CNPJ: cnpj, Allowed: 1, ExpiresAt: s.clock().AddDate(0, 0, 1), CreatedAt: s.clock()}); err != nil {
					return err
				}
				if err := w.EnrolAgent(secret, id, "pdv", s.clock()); err != nil {
					return err
				}
				if err := w.Heard(id, s.clock()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.pass(16 * time.Minute)
	err = s.store.Update(context.Background(), func(w *store.Writer) error {
		for i := shops * 2 / 5; i < shops; i++ {
			for k := range tills {
				if err := w.Heard(fmt.Sprintf("caixa%03dn%d", i, k), s.clock()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := s.g.Tick(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Logf("one pass over %d tills takes %v", shops*tills, time.Since(begin))
	s.view(func(r *store.Reader) error {
		list, err := r.OpenAlarms()
		if len(list) != 1+shops*tills*2/5 || list[0].Code != alarm.CarrierDown || list[1].Cause != list[0].ID || list[len(list)-1].Cause != list[0].ID {
			t.Errorf("%d open, first %+v", len(list), list[0])
		}
		return err
	})
}

// TestInventoryBecomesAlarms: what an agent tells of its computer reaches the rules, and
// what cannot be read stalls nobody.
func TestInventoryBecomesAlarms(t *testing.T) {
	s := newShop(t)
	item := func(in wire.Inventory) wire.Item {
		body, err := s.codec.Encode(in)
		if err != nil {
			t.Fatal(err)
		}
		return wire.Item{Version: 3, Kind: wire.KindInventory, At: noon().UnixMilli(), Body: body}
	}
	s.ingest(s.pack(wire.StreamBeat, s.beat())...)
	got := s.ingest(s.records(wire.StreamStatus, 1,
		item(wire.Inventory{What: wire.InventoryDisk, Key: "C:", Disk: &wire.Disk{Total: 100, Free: 2}}),
		item(wire.Inventory{What: wire.InventoryComputer, Computer: &wire.Computer{Antivirus: wire.AntivirusOff}}),
		item(wire.Inventory{What: wire.InventoryLibrary, Key: "pdv.exe", Library: &wire.Library{Makers: true, Since: noon().Add(-2 * time.Hour).UnixMilli()}}),
		item(wire.Inventory{What: wire.InventorySales, Key: "001", Sales: &wire.Sales{Day: noon().Format("2006-01-02"), Sold: 50, Rejected: 50, Codes: map[string]int{"06010": 30, "06001": 20}}}),
		item(wire.Inventory{What: wire.InventoryCertificate, Key: "ab", Certificate: &wire.Certificate{Holder: "LOJA", CNPJ: "11222333000181", Type: "A1", Until: noon().AddDate(0, 0, 6).UnixMilli()}}),
		item(wire.Inventory{What: wire.InventoryRemote, Key: "anydesk", Remote: &wire.Remote{ID: "1"}}),
	)...)
	if got.Stored != 6 || len(got.Acks) != 1 {
		t.Errorf("%+v", got)
	}
	open := s.alarms()
	for code, want := range map[alarm.Code]alarm.Severity{alarm.DiskFilling: alarm.Critical, alarm.AntivirusOff: alarm.Notice, alarm.MakersLibrary: alarm.Warning,
		alarm.SalesRejected: alarm.Critical, alarm.CompanyCertificate: alarm.Critical} {
		if open[code].Severity != want {
			t.Errorf("%s is %v, want %v", code, open[code].Severity, want)
		}
	}
	s.ingest(s.records(wire.StreamStatus, 9, item(wire.Inventory{What: wire.InventoryDisk, Key: "C:", Disk: &wire.Disk{Total: 100, Free: 90}}))...)
	if _, still := s.alarms()[alarm.DiskFilling]; still {
		t.Error("the disk has room again")
	}
	bad := wire.Item{Version: 3, Kind: wire.KindInventory, Body: []byte{0xff}}
	if got := s.ingest(s.records(wire.StreamStatus, 20, bad, item(wire.Inventory{What: "novo"}),
		item(wire.Inventory{What: wire.InventorySales, Sales: &wire.Sales{Day: "ontem"}}))...); got.Quarantined != 3 || len(got.Acks) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestDirectBridge: a document that came past the agent is told.
func TestDirectBridge(t *testing.T) {
	s := newShop(t)
	direct := document(sale(t, 0, 1, noon()))
	direct.Detail = map[string]string{"direct": "1"}
	s.ingest(s.records(wire.StreamDocuments, 1, direct)...)
	if a := s.alarms()[alarm.IssuedOutside]; a.Severity != alarm.Warning {
		t.Errorf("%+v", a)
	}
}

// TestCauseSoon: alarms that share a cause wait for no full pass, nor are causes looked
// for at each of them.
func TestCauseSoon(t *testing.T) {
	s := newShop(t)
	const cnpj = "00000001000191"
	tills := []string{"caixa001n1", "caixa001n2", "caixa001n3"}
	update := func(fn func(*store.Writer) error) {
		t.Helper()
		if err := s.store.Update(context.Background(), fn); err != nil {
			t.Fatal(err)
		}
	}
	update(func(w *store.Writer) error {
		err := w.AddTaxpayer(store.Taxpayer{Root: cnpj[:8], Name: "Loja", Reseller: store.DefaultReseller, CreatedAt: s.clock(),
			Establishments: []store.Establishment{{CNPJ: cnpj, Root: cnpj[:8], Name: "Loja"}}})
		for _, id := range tills {
			if err == nil {
				err = w.AddToken(id, store.Token{Reseller: store.DefaultReseller, CNPJ: cnpj, Allowed: 1, ExpiresAt: s.clock().AddDate(0, 0, 1), CreatedAt: s.clock()})
			}
			if err == nil {
				err = w.EnrolAgent(id, id, "pdv", s.clock())
			}
			if err == nil {
				err = w.Heard(id, s.clock())
			}
		}
		return err
	})
	s.pass(16 * time.Minute)
	silent := func(wait time.Duration, of ...string) {
		t.Helper()
		update(func(w *store.Writer) error {
			for _, id := range of {
				if err := w.Mark(alarm.Subject{Kind: alarm.OfAgent, ID: id}); err != nil {
					return err
				}
			}
			return nil
		})
		if got, err := s.g.judgeAndGroup(context.Background()); err != nil || got != wait {
			t.Errorf("causes are looked for after %v, want %v: %v", got, wait, err)
		}
	}
	silent(0, tills[0])
	silent(groupEvery, tills[1:]...)
	if _, found := s.alarms()[alarm.ShopOffline]; found {
		t.Error("too soon")
	}
	s.pass(groupEvery)
	silent(0)
	if a := s.alarms()[alarm.ShopOffline]; a.Subject.ID != cnpj {
		t.Errorf("%+v", a)
	}
	silent(0)
}
