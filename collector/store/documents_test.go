package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDocumentComesBackAsStored(t *testing.T) { eachEngine(t, testDocumentComesBackAsStored) }

func testDocumentComesBackAsStored(t *testing.T, s *Store) {
	d, body := sample("900000001", 7, t0)
	d.Consumer, d.Cancels, d.Series, d.Reason, d.Test = "12345678909", "351512", "1", "motivo", true
	id, added := add(t, s, d, body)
	if !added {
		t.Fatal("not added")
	}
	view(t, s, func(r *Reader) error {
		got, err := r.Document(id)
		if err != nil {
			return err
		}
		want := d
		want.ID, want.SHA256, want.Size, want.Best = id, s.Pack(body).SHA256, len(body), true
		want.Issued, want.ReceivedAt = want.Issued.Truncate(time.Millisecond), want.ReceivedAt.Truncate(time.Millisecond)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if !got.Issued.Equal(d.Issued) || got.Month() != "202512" {
			t.Errorf("issued %v, month %s", got.Issued, got.Month())
		}
		raw, err := r.Body(id)
		if !bytes.Equal(raw, body) {
			t.Error("other bytes")
		}
		return err
	})
	again, added := add(t, s, d, body)
	if again != id || added {
		t.Errorf("the same version again: id %d, added %v", again, added)
	}
}

func TestBestVersionIsShown(t *testing.T) { eachEngine(t, testBestVersionIsShown) }

func testBestVersionIsShown(t *testing.T, s *Store) {
	d, _ := sample("900000001", 1, t0)
	put := func(rank int, verdict, body string) int64 {
		d.Rank, d.Verdict, d.Invalid = rank, verdict, verdict == "rejected"
		id, _ := add(t, s, d, []byte(body))
		return id
	}
	shown := func() (id int64, versions int) {
		view(t, s, func(r *Reader) error {
			all, err := r.Versions(d.Key)
			for _, v := range all {
				if v.Best {
					id, versions = v.ID, versions+1
				}
			}
			if versions != 1 || !all[0].Best {
				t.Errorf("%d versions are best", versions)
			}
			dev, derr := r.Device(d.Serial)
			if dev.Documents != 1 {
				t.Errorf("the device counts %d documents, %v", dev.Documents, derr)
			}
			return err
		})
		return id, versions
	}
	rejected := put(0, "rejected", "edited")
	if id, _ := shown(); id != rejected {
		t.Errorf("shown is %d", id)
	}
	verified := put(40, "verified", "original")
	if id, _ := shown(); id != verified {
		t.Errorf("shown is %d, the verified one is %d", id, verified)
	}
	put(30, "recovered", "indented")
	put(40, "verified", "another that verifies")
	if id, _ := shown(); id != verified {
		t.Errorf("a later version that is not better is shown: %d", id)
	}
	view(t, s, func(r *Reader) error {
		if c, err := r.Counts(); c.Documents != 1 || c.Versions != 4 {
			t.Errorf("%+v, %v", c, err)
		}
		h, err := r.flagged("invalid", d.Serial)
		if h.Count != 0 {
			t.Error("a version that is not shown counts as invalid")
		}
		return err
	})
}

// TestEventsShareAKey: an event about a document has its key and is no version
// of it.
func TestEventsShareAKey(t *testing.T) { eachEngine(t, testEventsShareAKey) }

func testEventsShareAKey(t *testing.T, s *Store) {
	d, body := sample("", 1, t0)
	d.Kind, d.Model = "nota", 65
	add(t, s, d, body)
	e := d
	e.Kind, e.Part, e.Cancels = "evento", "abc", d.Key
	add(t, s, e, []byte("<procEventoNFe/>"))
	view(t, s, func(r *Reader) error {
		all, err := r.Versions(d.Key)
		if err != nil || len(all) != 2 || !all[0].Best || !all[1].Best || all[0].Part != "" {
			t.Errorf("versions %+v, %v", all, err)
		}
		by, err := r.CancelledBy(d.Key)
		if len(by) != 1 || by[0].Kind != "evento" {
			t.Errorf("cancelled by %+v, %v", by, err)
		}
		return err
	})
}

func TestSearch(t *testing.T) { eachEngine(t, testSearch) }

func testSearch(t *testing.T, s *Store) {
	var docs []Document
	for i := range 250 {
		d, body := sample(fmt.Sprintf("90000000%d", i%2), i, t0.Add(time.Duration(i/3)*time.Minute))
		if i%10 == 0 {
			d.Consumer = "12345678909"
		}
		if i%5 == 0 {
			d.Issuer = "22222222000191"
		}
		add(t, s, d, body)
		docs = append(docs, d)
	}
	for name, c := range map[string]struct {
		q    Search
		pick func(Document) bool
	}{
		"everything": {Search{}, func(Document) bool { return true }},
		"key":        {Search{Key: docs[17].Key}, func(d Document) bool { return d.Key == docs[17].Key }},
		"issuer":     {Search{CNPJ: "22222222000191"}, func(d Document) bool { return d.Issuer == "22222222000191" }},
		"device":     {Search{Serial: "900000001"}, func(d Document) bool { return d.Serial == "900000001" }},
		"consumer":   {Search{Consumer: "12345678909"}, func(d Document) bool { return d.Consumer != "" }},
		"dates": {Search{From: t0.Add(10 * time.Minute), To: t0.Add(20 * time.Minute)}, func(d Document) bool {
			return !d.Issued.Before(t0.Add(10*time.Minute)) && d.Issued.Before(t0.Add(20*time.Minute))
		}},
		"device and date": {Search{Serial: "900000000", From: t0.Add(time.Hour)}, func(d Document) bool {
			return d.Serial == "900000000" && !d.Issued.Before(t0.Add(time.Hour))
		}},
		"nothing": {Search{Consumer: "00000000000"}, func(Document) bool { return false }},
	} {
		t.Run(name, func(t *testing.T) {
			var want, got []string
			for _, d := range docs {
				if c.pick(d) {
					want = append(want, d.Key)
				}
			}
			q := c.q
			q.Limit = 7
			last := time.Time{}
			for {
				var page []Document
				view(t, s, func(r *Reader) (err error) { page, q.After, err = r.Search(q); return err })
				for _, d := range page {
					if !last.IsZero() && d.Issued.After(last) {
						t.Error("not newest first")
					}
					last = d.Issued
					got = append(got, d.Key)
				}
				if q.After == "" {
					break
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(want, got) {
				t.Errorf("found %d, want %d", len(got), len(want))
			}
		})
	}
	err := s.View(context.Background(), All(), func(r *Reader) error { _, _, err := r.Search(Search{After: "x.y"}); return err })
	if err == nil || !strings.Contains(err.Error(), "page mark") {
		t.Errorf("a wrong mark: %v", err)
	}
}

func TestExport(t *testing.T) { eachEngine(t, testExport) }

func testExport(t *testing.T, s *Store) {
	bodies := map[string][]byte{}
	put := func(issuer, serial string, number int, issued time.Time, zone int) {
		d, body := sample(serial, number, issued)
		d.Issuer, d.Issued = issuer, issued.In(time.FixedZone("", zone*3600))
		add(t, s, d, body)
		bodies[d.Key] = body
	}
	eve := time.Date(2026, 1, 1, 2, 30, 0, 0, time.UTC) // still December in Brasília
	put("B", "900000002", 5, t0, -3)
	put("A", "900000001", 9, t0, -3)
	put("A", "900000001", 8, eve, -3)
	put("A", "900000001", 10, eve, 0) // January in another zone
	put("A", "900000000", 11, t0, -3)
	put("A", "900000000", 12, t0.AddDate(0, -1, 0), -3)
	put("", "900000009", 1, t0, -3)
	d, _ := sample("900000002", 5, t0)
	d.Rank, d.Issuer = 0, "B"
	add(t, s, d, []byte("a worse version"))

	list := func(p Period) (got []string) {
		view(t, s, func(r *Reader) error {
			for e := range r.Export(p) {
				if e.Err != nil {
					return e.Err
				}
				if !bytes.Equal(e.Body, bodies[e.Key]) {
					t.Errorf("body of %s differs", e.Key)
				}
				got = append(got, fmt.Sprintf("%s/%s/%d", e.Issuer, e.Serial, e.Number))
			}
			return nil
		})
		return got
	}
	for name, c := range map[string]struct {
		p    Period
		want string
	}{
		"one month":     {Period{From: "202512", To: "202512"}, "/900000009/1 A/900000000/11 A/900000001/8 A/900000001/9 B/900000002/5"},
		"one issuer":    {Period{From: "202512", To: "202601", CNPJ: "A"}, "A/900000000/11 A/900000001/8 A/900000001/9 A/900000001/10"},
		"earlier month": {Period{From: "202511", To: "202511"}, "A/900000000/12"},
		"empty month":   {Period{From: "202401", To: "202402"}, ""},
	} {
		if got := strings.Join(list(c.p), " "); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	view(t, s, func(r *Reader) error {
		for range r.Export(Period{From: "202512", To: "202512"}) {
			break // a reader may stop
		}
		for e := range r.Export(Period{From: "202512", To: "202511"}) {
			if e.Err == nil {
				t.Error("a period that ends before it begins")
			}
		}
		return nil
	})
}

// TestNewestOfMany: whoever has more shops than are searched one by one pages through
// all documents, the newest first, also those whose key names another month.
func TestNewestOfMany(t *testing.T) { eachEngine(t, testNewestOfMany) }

func testNewestOfMany(t *testing.T, s *Store) {
	const clients, each = fewPlaces + 4, 7
	update(t, s, func(w *Writer) error {
		for shop := range clients + 1 {
			reseller := int64(small)
			if shop == clients {
				reseller = DefaultReseller // somebody else's
			} else if shop == 0 {
				if _, err := w.AddReseller("Pequena", t0); err != nil {
					return err
				}
			}
			if err := w.AddTaxpayer(Taxpayer{Root: RootOf(shopOf(shop)), Reseller: reseller, CreatedAt: t0}); err != nil {
				return err
			}
			if err := w.AddEstablishment(Establishment{CNPJ: shopOf(shop), Root: RootOf(shopOf(shop))}); err != nil {
				return err
			}
			for n := range each {
				d, body := sample(deviceOf(shop), n+1, t0.AddDate(0, -n*(shop%4+1), shop))
				d.Issuer = shopOf(shop)
				if shop%5 == 0 {
					d.Key = d.Key[:2] + "1907" + d.Key[6:]
				}
				if _, _, err := w.AddDocument(d, s.Pack(body)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	seen, last := map[string]bool{}, Document{Issued: t0.AddDate(10, 0, 0)}
	q := Search{Limit: 9}
	for pages := 0; pages == 0 || q.After != ""; pages++ {
		var page []Document
		err := s.View(context.Background(), OfReseller(small), func(r *Reader) (err error) { page, q.After, err = r.Search(q); return err })
		if err != nil || pages > clients*each {
			t.Fatal(pages, err)
		}
		for _, d := range page {
			if d.Issued.After(last.Issued) || d.Issuer == shopOf(clients) || seen[d.Key] {
				t.Errorf("%s of %s after %s, seen before: %v", d.Issued, d.Issuer, last.Issued, seen[d.Key])
			}
			seen[d.Key], last = true, d
		}
	}
	if len(seen) != clients*each {
		t.Errorf("%d of %d documents", len(seen), clients*each)
	}
}
