package sim_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

const (
	taxpayer = "08723218000186"
	devHouse = "16716114000172"
	dev      = "SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT"
)

// factory calls f with the code that a device has before activation.
func factory(f sat.Function, session int, args ...string) sat.Request {
	return sattest.Request(f, session, args...).WithArg(sat.CodeParam, "00000000")
}

func TestDeviceFromTheFactory(t *testing.T) {
	key := strings.Repeat("1", 44)
	for f, want := range map[sat.Function]sat.Code{
		sat.ComunicarCertificadoICPBRASIL: 5099, sat.EnviarDadosVenda: 6002, sat.CancelarUltimaVenda: 7099, sat.ConsultarSAT: 8000,
		sat.TesteFimAFim: 9002, sat.ConsultarStatusOperacional: 10000, sat.ConsultarNumeroSessao: 11002,
		sat.ConfigurarInterfaceDeRede: 12002, sat.AssociarAssinatura: 13099, sat.AtualizarSoftwareSAT: 14000, sat.ExtrairLogs: 15000,
		sat.BloquearSAT: 16099, sat.DesbloquearSAT: 17099, sat.TrocarCodigoDeAtivacao: 18001, sat.ConsultarUltimaSessaoFiscal: 19002,
	} {
		args := map[sat.Function][]string{
			sat.ComunicarCertificadoICPBRASIL: {"MII"}, sat.EnviarDadosVenda: {""}, sat.CancelarUltimaVenda: {"CFe" + key, ""}, sat.TesteFimAFim: {""},
			sat.ConsultarNumeroSessao: {"1"}, sat.ConfigurarInterfaceDeRede: {""}, sat.AssociarAssinatura: {"", ""},
			sat.TrocarCodigoDeAtivacao: {"1", "99999999", "99999999"},
		}[f]
		b := device(t, sim.Options{Factory: true})
		req := factory(f, 1, args...)
		if f == sat.TrocarCodigoDeAtivacao {
			req = sattest.Request(f, 1, args...)
		}
		if r := b.send(req); r.Code != want {
			t.Errorf("%s answers %s, want %s", f, r.Code, want)
		}
	}
	b := device(t, sim.Options{Factory: true})
	s, err := b.send(factory(sat.ConsultarStatusOperacional, 900)).Status()
	if err != nil || !s.CertExpires.IsZero() || s.LastKey != "" || !s.LastContact.IsZero() {
		t.Errorf("status %+v, %v", s, err)
	}
	b.want(10001, sat.ConsultarStatusOperacional)
}

func TestActivation(t *testing.T) {
	b := device(t, sim.Options{Factory: true})
	short := sattest.Request(sat.AtivarSAT, 900, "1", taxpayer, "35").WithArg(sat.CodeParam, "1234567")
	if r := b.send(short); r.Code != 4099 {
		t.Errorf("a code of seven characters: %s", r.Code)
	}
	b.want(4002, sat.AtivarSAT, "1", "14200166000166", "35")
	b.want(4002, sat.AtivarSAT, "1", taxpayer, "23")
	b.want(4001, sat.AtivarSAT, "9", taxpayer, "35")
	b.want(4001, sat.AtivarSAT, "3", taxpayer, "35")
	b.set(sim.Settings{Online: new(false)})
	b.want(4005, sat.AtivarSAT, "1", taxpayer, "35")
	b.set(sim.Settings{Online: new(true)})
	b.want(4000, sat.AtivarSAT, "1", taxpayer, "35")
	b.want(4003, sat.AtivarSAT, "1", taxpayer, "35")
	b.refuses(6003, "0000", sat.EnviarDadosVenda, sattest.SaleXML("1.00", ""))
	b.want(11002, sat.ConsultarNumeroSessao, "1")
	b.want(13000, sat.AssociarAssinatura, devHouse+taxpayer, dev)
	b.sell()
	b.set(sim.Settings{State: new(sat.StateBlockedDeactivation)})
	b.want(4004, sat.AtivarSAT, "1", taxpayer, "35")
}

func TestSignatureOfTheApplication(t *testing.T) {
	full := base64.StdEncoding.EncodeToString(make([]byte, 256))
	for _, c := range []struct {
		name            string
		env             sim.Environment
		pair, signature string
		online          bool
		want            sat.Code
	}{
		{"development text", sim.Test, devHouse + taxpayer, dev, true, 13000},
		{"development text of the MFE", sim.Test, devHouse + taxpayer, "CODIGO DE VINCULACAO AC DO MFE-CFE", true, 13000},
		{"development text in production", sim.Production, devHouse + taxpayer, dev, true, 13003},
		{"signature of 344 characters", sim.Production, devHouse + taxpayer, full, true, 13000},
		{"signature of 343 characters", sim.Production, devHouse + taxpayer, full[1:], true, 13003},
		{"no base64", sim.Production, devHouse + taxpayer, strings.Repeat("*", 344), true, 13003},
		{"one CNPJ", sim.Test, taxpayer, dev, true, 13003},
		{"letters in the CNPJ", sim.Test, devHouse + "x8723218000186", dev, true, 13003},
		{"CNPJs in the wrong order", sim.Test, taxpayer + devHouse, dev, true, 13007},
		{"no SEFAZ", sim.Test, devHouse + taxpayer, dev, false, 13002},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := device(t, sim.Options{Factory: true, Environment: c.env})
			b.want(4000, sat.AtivarSAT, "1", taxpayer, "35")
			b.set(sim.Settings{Online: &c.online})
			b.want(c.want, sat.AssociarAssinatura, c.pair, c.signature)
		})
	}
}

// signed makes an authority's certificate for a request in base64.
func signed(t *testing.T, csr string) []byte {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(csr)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil || request.CheckSignature() != nil || request.Subject.SerialNumber != "900000001" {
		t.Fatalf("certificate request %+v, %v", request, err)
	}
	return certificateFor(t, request.PublicKey)
}

func certificateFor(t *testing.T, pub crypto.PublicKey) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(9), NotBefore: noon(), NotAfter: noon().AddDate(3, 0, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestActivationWithICPBrasil(t *testing.T) {
	b := device(t, sim.Options{Factory: true})
	r := b.want(4006, sat.AtivarSAT, "2", taxpayer, "35")
	b.refuses(6002, "0000", sat.EnviarDadosVenda, sattest.SaleXML("1.00", ""))
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b.want(5003, sat.ComunicarCertificadoICPBRASIL, base64.StdEncoding.EncodeToString(certificateFor(t, &other.PublicKey)))
	b.want(5003, sat.ComunicarCertificadoICPBRASIL, "")
	cert := signed(t, r.Data[0])
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	b.set(sim.Settings{Online: new(false)})
	b.want(5002, sat.ComunicarCertificadoICPBRASIL, text)
	b.set(sim.Settings{Online: new(true)})
	b.want(5000, sat.ComunicarCertificadoICPBRASIL, text)
	b.want(13000, sat.AssociarAssinatura, devHouse+taxpayer, dev)
	d := b.sell()
	if v := cfe.Verify(d.XML, nil); v.Signature != cfe.Verified || v.Signer.SerialNumber.Int64() != 9 {
		t.Errorf("the sale is not signed with the certificate communicated: %+v", v)
	}
	if s := b.status(); !s.CertExpires.Equal(noon().AddDate(3, 0, 0).Truncate(24 * time.Hour).Add(3 * time.Hour)) {
		t.Errorf("certificate expires %v", s.CertExpires)
	}
}

// A renewal keeps the device selling until the new certificate comes (dossier 4.3).
func TestRenewalOfTheCertificate(t *testing.T) {
	b := device(t, sim.Options{})
	was := b.sell()
	wrong := sattest.Request(sat.AtivarSAT, 900, "3", taxpayer, "35").WithArg(sat.CodeParam, "87654321")
	if r := b.send(wrong); r.Code != 4001 {
		t.Errorf("renewal with a wrong code: %s", r.Code)
	}
	r := b.want(4006, sat.AtivarSAT, "3", taxpayer, "35")
	if d := b.sell(); string(signerOf(t, d)) != string(signerOf(t, was)) {
		t.Error("the certificate changed before it came")
	}
	cert := signed(t, r.Data[0])
	b.want(5000, sat.ComunicarCertificadoICPBRASIL, base64.StdEncoding.EncodeToString(cert))
	if string(signerOf(t, b.sell())) != string(cert) {
		t.Error("the new certificate is not used")
	}
}

func signerOf(t *testing.T, d sat.Document) []byte {
	t.Helper()
	v := cfe.Verify(d.XML, nil)
	if v.Signature != cfe.Verified {
		t.Fatalf("%+v", v)
	}
	return v.Signer.Raw
}
