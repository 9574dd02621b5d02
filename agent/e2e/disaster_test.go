//go:build linux

package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to count what a collector's database holds

	"zelo/sat/cfe"
)

// openStation starts one collector with the broker that it brings, for tills as those
// of a cloud.
func openStation(t *testing.T) *cloud {
	c := newCloud(t)
	c.collector("init", "-paginas", freePort(t), "-cadastro", c.enrols, "-mqtt", c.broker, "-nome", "127.0.0.1", "-email", "loja@exemplo.com.br")
	c.first = c.serve("coletor")
	c.until("the collector", func() bool { return listens(c.enrols) })
	c.admit()
	return c
}

// stop ends the collector: as a service is stopped, or as by a power cut.
func (c *cloud) stop(how os.Signal) {
	c.first.Process.Signal(how)
	c.first.Wait()
}

// backUp makes a key and a backup.
func (c *cloud) backUp(name string) (file, key string) {
	c.t.Helper()
	file, key = c.path(name), c.path(name+".chave")
	words := strings.Fields(c.collector("backup", "-nova-chave", key))
	began := time.Now()
	c.t.Log(c.collector("backup", "-o", file, "-para", words[len(words)-1]))
	if info, err := os.Stat(file); err == nil {
		c.t.Logf("backup: %.1f MB in %v", float64(info.Size())/1e6, time.Since(began).Round(time.Millisecond))
	}
	return file, key
}

// crowd is the tills of a station.
type crowd []*cloudTill

// sell lets all tills sell at once.
func (all crowd) sell(t *testing.T, each int) {
	t.Helper()
	var selling sync.WaitGroup
	for _, till := range all {
		selling.Go(func() {
			if err := till.sell(each); err != nil {
				t.Error(err)
			}
		})
	}
	selling.Wait()
}

func (all crowd) waiting() (n int) {
	for _, till := range all {
		n += till.waiting()
	}
	return n
}

// within polls a condition for as long as many documents take on a busy machine.
func within(t *testing.T, long time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(long); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for %s", what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// documents counts all versions of all documents in a collector's file.
func (c *cloud) documents() (n int) {
	db, err := sql.Open("sqlite", "file:"+c.path("coletor/zelo.db")+"?mode=ro&_busy_timeout=5000")
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT count(*) FROM documents`).Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// same compares what the collector exports with what the tills sold, byte for byte.
func (c *cloud) same(all crowd) {
	c.t.Helper()
	files, sold := c.export(), 0
	for _, till := range all {
		for key, xml := range till.sold {
			sold++
			if !bytes.Equal(files["AD"+key+".xml"], xml) {
				c.t.Errorf("document %s is missing at the collector, or differs", key)
			}
		}
	}
	if len(files) != sold {
		c.t.Errorf("%d documents sold, %d at the collector", sold, len(files))
	}
}

// newSigner signs as a device does, by a smaller key: it takes a fifth of the time, and
// most of the time that thousands of documents take is their signing.
func newSigner(t *testing.T) *cfe.Signer {
	t.Helper()
	const bits = 1024
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), KeyUsage: x509.KeyUsageDigitalSignature,
		Subject:   pkix.Name{Country: []string{"BR"}, CommonName: "LOJA DE TESTE:08723218000186"},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(4, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cfe.LoadSigner(append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// tills enrols some.
func (c *cloud) tills(from, to int) (all crowd) {
	c.t.Helper()
	signer := newSigner(c.t)
	for n := from; n < to; n++ {
		all = append(all, c.till(n, signer))
	}
	return all
}

// TestDisaster: 10,000 documents are acknowledged after the last backup, and the
// collector burns down. From the backup, and from what the tills still hold, all of it
// is there again, once each and byte for byte, also of a till that enrolled after it.
func TestDisaster(t *testing.T) {
	t.Parallel()
	const tills, before, after = 7, 100, 1250
	c := openStation(t)
	all := c.tills(0, tills)
	all.sell(t, before)
	within(t, time.Minute, "the first documents to be taken", func() bool { return all.waiting() == 0 })
	file, key := c.backUp("copia.zelo")

	all = append(all, c.tills(tills, tills+1)...)
	began := time.Now()
	all.sell(t, after)
	within(t, 3*time.Minute, "10,000 documents to be acknowledged", func() bool { return all.waiting() == 0 })
	t.Logf("%d documents sold and acknowledged in %v", len(all)*after, time.Since(began).Round(time.Millisecond))
	const sold = tills*before + (tills+1)*after
	if n := c.documents(); n != sold {
		t.Fatalf("%d documents before the disaster, %d were sold", n, sold)
	}

	c.stop(os.Kill)
	if err := os.RemoveAll(c.path("coletor")); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	t.Log(c.collector("restore", "-chave", key, file))
	t.Logf("restored in %v", time.Since(began).Round(time.Millisecond))
	if n := c.documents(); n != tills*before {
		t.Fatalf("%d documents restored, %d were in the backup", n, tills*before)
	}
	began = time.Now()
	c.first = c.serve("coletor")
	within(t, 3*time.Minute, "what the tills hold to be back", func() bool { return c.documents() >= sold && all.waiting() == 0 })
	t.Logf("%d documents back in %v", len(all)*after, time.Since(began).Round(time.Millisecond))
	if n := c.documents(); n != sold {
		t.Errorf("%d documents, %d were sold", n, sold)
	}
	c.same(all)
	if alarms := c.collector("alarms"); strings.Contains(alarms, "clonado") || strings.Contains(alarms, "quarentena") {
		t.Errorf("the disaster is taken for something else: %s", alarms)
	}
}

// TestMoveToPostgresAndBack: a collector goes over to a server, is backed up there,
// and goes back to a file, by a move and by the backup; tills notice nothing.
func TestMoveToPostgresAndBack(t *testing.T) {
	t.Parallel()
	c := openStation(t)
	database := c.postgres()
	c.write("banco", database+"\n")
	all := c.tills(0, 2)
	sell := func(where string) {
		t.Helper()
		all.sell(t, 20)
		within(t, time.Minute, "documents to be taken by "+where, func() bool { return all.waiting() == 0 })
	}
	sell("the file")
	refused := c.fails("move", "-banco", "@"+c.path("banco"))
	if !strings.Contains(refused, "pare o serviço") {
		t.Errorf("moved while it serves: %s", refused)
	}
	c.stop(os.Interrupt)
	t.Log(c.collector("move", "-banco", "@"+c.path("banco")))
	if raw, err := os.ReadFile(c.path("coletor/coletor.toml")); err != nil || !strings.Contains(string(raw), database) {
		t.Fatalf("the configuration does not name the server, %v", err)
	}
	c.first = c.serve("coletor")
	sell("the server")
	c.same(all)
	refused = c.fails("move", "-banco", "arquivo")
	if !strings.Contains(refused, "pare o serviço") {
		t.Errorf("moved while it serves: %s", refused)
	}
	file, key := c.backUp("copia.zelo")
	c.stop(os.Interrupt)
	if refused := c.fails("restore", "-chave", key, "-pasta", c.path("novo"), file); !strings.Contains(refused, "já há dados neste banco") {
		t.Errorf("restored over a database: %s", refused)
	}
	if _, err := os.Stat(c.path("novo")); err == nil {
		t.Error("a restoration that was refused left its folder")
	}

	if refused := c.fails("move", "-banco", "arquivo"); !strings.Contains(refused, "já há dados neste banco") {
		t.Errorf("moved over what was left: %s", refused)
	}
	if err := os.Remove(c.path("coletor/zelo.db")); err != nil {
		t.Fatal(err)
	}
	t.Log(c.collector("move", "-banco", "arquivo"))
	c.first = c.serve("coletor")
	sell("the file again")
	c.same(all)
	c.stop(os.Interrupt)

	if err := os.Rename(c.path("coletor"), c.path("antigo")); err != nil {
		t.Fatal(err)
	}
	t.Log(c.collector("restore", "-chave", key, "-banco", "arquivo", file))
	c.first = c.serve("coletor")
	within(t, time.Minute, "all of it to be back", func() bool { return c.documents() == 2*60 && all.waiting() == 0 })
	c.same(all)
	file, key = c.backUp("outra.zelo")
	c.stop(os.Interrupt)

	if err := os.RemoveAll(c.path("coletor")); err != nil {
		t.Fatal(err)
	}
	c.write("banco", c.postgres()+"\n")
	t.Log(c.collector("restore", "-chave", key, "-banco", "@"+c.path("banco"), file))
	c.same(all)
}

// fails wants a command of the collector to fail and returns what it says.
func (c *cloud) fails(verb string, args ...string) string {
	c.t.Helper()
	out, err := exec.Command(filepath.Join(c.bin, "zelo-collector"), append([]string{verb, "-pasta", c.path("coletor")}, args...)...).CombinedOutput()
	if err == nil {
		c.t.Errorf("%s did not fail: %s", verb, out)
	}
	return string(out)
}
