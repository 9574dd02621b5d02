package router

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"zelo/sat"
)

// sound is a device that may serve any sale of its shop.
func sound() facts {
	return facts{serial: "900000001", answering: true, code: true, cnpj: "08723218000186",
		status: sat.Status{Layout: "00.08", State: sat.StateUnblocked, CertExpires: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC),
			MemoryTotal: sat.Size{Bytes: 100, Unit: true}, MemoryUsed: sat.Size{Bytes: 10, Unit: true}}}
}

func TestUnfit(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	sale := need{cnpj: "08723218000186", layout: "0.08"}
	for name, c := range map[string]struct {
		change func(*facts)
		own    bool
		says   string // "" when it may serve
	}{
		"sound":                       {func(f *facts) {}, false, ""},
		"away":                        {func(f *facts) { f.answering = false }, true, "não responde"},
		"open case":                   {func(f *facts) { f.held = true }, true, "verificando"},
		"no code":                     {func(f *facts) { f.code = false }, false, "código de ativação"},
		"no code, but the till's own": {func(f *facts) { f.code = false }, true, ""},
		"another CNPJ":                {func(f *facts) { f.cnpj = "16716114000172" }, true, "outro CNPJ"},
		"branch of the same company":  {func(f *facts) { f.cnpj = "08723218000267" }, false, "outro CNPJ"},
		"no document yet":             {func(f *facts) { f.cnpj = "" }, false, "para que CNPJ"},
		"no document yet, own":        {func(f *facts) { f.cnpj = "" }, true, ""},
		"older layout":                {func(f *facts) { f.status.Layout = "0.07" }, false, "leiaute 0.08"},
		"newer layout":                {func(f *facts) { f.status.Layout = "00.09" }, false, ""},
		"layout nobody can read":      {func(f *facts) { f.status.Layout = "?" }, false, ""},
		"blocked":                     {func(f *facts) { f.status.State = sat.StateBlockedSEFAZ }, true, "SEFAZ"},
		"unknown state":               {func(f *facts) { f.status.State = sat.StateUnknown }, false, ""},
		"last day of the certificate": {func(f *facts) { f.status.CertExpires = now.Truncate(24 * time.Hour) }, false, ""},
		"certificate expired":         {func(f *facts) { f.status.CertExpires = now.AddDate(0, 0, -2) }, false, "30/05/2026"},
		"memory full":                 {func(f *facts) { f.status.MemoryUsed.Bytes = 95 }, false, "memória"},
		"memory of another unit":      {func(f *facts) { f.status.MemoryUsed = sat.Size{Bytes: 99} }, false, ""},
		"refused a sale":              {func(f *facts) { f.refusal = 6007 }, false, "recusou"},
		"no status read":              {func(f *facts) { f.status = sat.Status{} }, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := sound()
			c.change(&f)
			if why := unfit(f, c.own, sale, now); (why == "") != (c.says == "") || !strings.Contains(why, c.says) {
				t.Errorf("%q, want %q", why, c.says)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	three := func(change ...func(*facts)) []facts {
		all := []facts{sound(), sound(), sound()}
		for i, c := range change {
			c(&all[i])
		}
		return all
	}
	busy := func(n int) func(*facts) { return func(f *facts) { f.waiting = n } }
	used := func(n int64) func(*facts) { return func(f *facts) { f.status.MemoryUsed.Bytes = n } }
	until := func(day int) func(*facts) {
		return func(f *facts) { f.status.CertExpires = time.Date(2027, 1, day, 0, 0, 0, 0, time.UTC) }
	}
	away := func(f *facts) { f.answering = false }
	for name, c := range map[string]struct {
		devices []facts
		own     int
		policy  Policy
		want    []int
	}{
		"as configured":            {three(), -1, Fixed, []int{0, 1, 2}},
		"own first":                {three(), 2, Fixed, []int{2, 0, 1}},
		"own first, though busy":   {three(busy(0), busy(3), busy(1)), 1, LeastBusy, []int{1, 0, 2}},
		"own away":                 {three(away), 0, Fixed, []int{1, 2}},
		"least busy":               {three(busy(2), busy(0), busy(1)), -1, LeastBusy, []int{1, 2, 0}},
		"most memory":              {three(used(50), used(90), used(20)), -1, MostMemory, []int{2, 0, 1}},
		"soonest certificate last": {three(until(9), until(1), until(20)), -1, CertificateLast, []int{2, 0, 1}},
		"all away":                 {three(away, away, away), 0, Fixed, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := order(c.devices, c.own, need{}, c.policy, now); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestRefusalsThatSpeakOfTheDevice(t *testing.T) {
	reply := func(f sat.Function, c sat.Code, a sat.Alert) sat.Reply {
		r := sat.NewReply(f, 1, c)
		r.Alert = a
		return r
	}
	for _, c := range []struct {
		reply sat.Reply
		want  bool
	}{
		{reply(sat.EnviarDadosVenda, 6001, ""), false},
		{reply(sat.EnviarDadosVenda, 6002, ""), true},
		{reply(sat.EnviarDadosVenda, 6004, ""), false},
		{reply(sat.EnviarDadosVenda, 6007, ""), true},
		{reply(sat.EnviarDadosVenda, 6010, "1462"), false}, // CFOP: the sale's own
		{reply(sat.EnviarDadosVenda, 6010, "1258"), true},  // the device's clock
		{reply(sat.EnviarDadosVenda, 6098, ""), false},
		{reply(sat.CancelarUltimaVenda, 7004, ""), false},
	} {
		t.Run(fmt.Sprint(c.reply.Code, c.reply.Alert), func(t *testing.T) {
			if got := passesOn(c.reply); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
