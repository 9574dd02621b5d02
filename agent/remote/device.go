package remote

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/cfe"
)

// functions are the device's, by command.
var functions = map[string]sat.Function{
	wire.CommandPing:           sat.ConsultarSAT,
	wire.CommandStatus:         sat.ConsultarStatusOperacional,
	wire.CommandLogs:           sat.ExtrairLogs,
	wire.CommandTest:           sat.TesteFimAFim,
	wire.CommandSession:        sat.ConsultarNumeroSessao,
	wire.CommandLastSession:    sat.ConsultarUltimaSessaoFiscal,
	wire.CommandNetwork:        sat.ConfigurarInterfaceDeRede,
	wire.CommandUnblock:        sat.DesbloquearSAT,
	wire.CommandActivate:       sat.AtivarSAT,
	wire.CommandCertificate:    sat.ComunicarCertificadoICPBRASIL,
	wire.CommandLink:           sat.AssociarAssinatura,
	wire.CommandChangeCode:     sat.TrocarCodigoDeAtivacao,
	wire.CommandBlock:          sat.BloquearSAT,
	wire.CommandUpdateSoftware: sat.AtualizarSoftwareSAT,
}

// interrupted is why nobody knows how a command ended.
const interrupted = "O agente foi interrompido enquanto fazia isto."

// device carries out a command that is one call of a device.
func (w *work) device(ctx context.Context) ending {
	serial, spec := w.entry.command.Serial, w.entry.spec
	d, code, known := w.o.Device(serial)
	switch {
	case w.mayBeDone(w.entry):
		return w.evidence(ctx, d, code, interrupted)
	case !known && w.resumed:
		return failed("O equipamento " + serial + " não está mais neste computador.")
	case !known:
		return refused(wire.RefusedDevice, "O equipamento "+serial+" não está neste computador.")
	case code == "" && (spec.Code || spec.Name == wire.CommandChangeCode && w.args["emergency"] == ""):
		return refused(wire.RefusedCode, "O código de ativação não é conhecido neste caixa. Ele é aprendido na próxima venda, ou com `zelo-agent code`.")
	}
	within, cancel := context.WithTimeout(ctx, spec.Deadline)
	defer cancel()
	if len(spec.States) > 0 && !w.resumed {
		if end := w.inState(within, d, code); end.state != "" {
			return end
		}
	}
	req, err := w.request(within, d, code)
	if err != nil && !w.stopping() {
		return failed(sentence(err))
	}
	for n := 1; !w.stopping(); n++ {
		end, over := w.call(within, d, code, req, n)
		if over && end.state == wire.CommandUnknown {
			return w.evidence(ctx, d, code, end.text)
		}
		if over {
			return end
		}
		pause(within, retryAfter)
	}
	return ending{}
}

// inState refuses what cannot work in the device's state.
func (w *work) inState(ctx context.Context, d sat.Device, code string) ending {
	s, err := w.status(ctx, d, code)
	switch {
	case w.stopping():
		return ending{}
	case err != nil:
		return failed("Não foi possível ler o estado do equipamento: " + plain(err) + ".")
	}
	for _, state := range w.entry.spec.States {
		if int(s.State) == state {
			return ending{}
		}
	}
	why := "O equipamento está " + s.State.String() + ", e assim isto não funciona."
	if s.State == sat.StateBlockedAutonomous && w.entry.spec.Name == wire.CommandUnblock {
		why = "O bloqueio é autônomo e se desfaz sozinho quando o equipamento volta a falar com a SEFAZ. Confira a rede dele."
	}
	return refused(wire.RefusedState, why)
}

// Attempts of a call that may be repeated.
const (
	attempts   = 4
	retryAfter = 5 * time.Second
)

// call makes the call for the nth time, after noting that it does. It reports whether
// that was all: what may be repeated is called a few times while the device is busy
// or away.
func (w *work) call(ctx context.Context, d sat.Device, code string, req sat.Request, n int) (end ending, over bool) {
	if err := w.step("Chama " + req.Function.String() + "."); err != nil {
		return ending{}, true // taken up again when it can be noted
	}
	reply, err := d.Call(ctx, req)
	notSent, last := errors.Is(err, sat.ErrNotSent), n == attempts || ctx.Err() != nil
	stored := req.Function.AsksSession() && reply.Function != req.Function
	switch {
	case err == nil && (reply.Code.Success() || stored || w.already(reply.Code)):
		return w.succeeded(ctx, d, code, req, reply), true
	case err == nil && !vague(reply.Code):
		return w.refusedBy(ctx, d, code, reply), true
	case notSent && w.stopping():
		w.unbegin("O agente foi parado antes de começar.")
		return ending{}, true
	case w.stopping():
		return ending{}, true // the next start sees what became of it
	case notSent && (w.entry.spec.Once || last):
		return failed("A chamada não chegou ao equipamento: " + plain(err) + ". Nada foi feito."), true
	case w.entry.spec.Once:
		return ending{state: wire.CommandUnknown, text: vagueness(reply, err)}, true
	}
	return ending{state: wire.CommandFailed, text: vagueness(reply, err), reply: codeOf(reply)}, last
}

// vague reports a code that does not say whether the device did what it was told.
func vague(c sat.Code) bool {
	_, known := c.Function()
	return !known || c.Busy() || c.DuplicateSession() || c == 14002 || c == 15002
}

func vagueness(reply sat.Reply, err error) string {
	if err != nil {
		return "O equipamento não respondeu: " + plain(err) + "."
	}
	return "O equipamento respondeu " + said(reply) + "."
}

// already reports a refusal that says that nothing is left to do.
func (w *work) already(c sat.Code) bool { return w.resumed && c == 17005 }

// refusedBy is the end of a call that the device refused.
func (w *work) refusedBy(ctx context.Context, d sat.Device, code string, reply sat.Reply) ending {
	text := "O equipamento recusou: " + said(reply) + "."
	if reply.Code.WrongActivationCode() {
		text += " O código que este caixa tinha não serve mais e foi esquecido."
	}
	if reply.Code == 9099 { // of TesteFimAFim: something else went wrong
		if s, err := w.status(ctx, d, code); err == nil && offline(s) {
			text += " Ele está sem rede: veja Rede no status."
			w.say(describeStatus(s)...)
		}
	}
	return ending{state: wire.CommandFailed, text: text, reply: codeOf(reply)}
}

// succeeded tells what the device said, and how it stands after what changes it.
func (w *work) succeeded(ctx context.Context, d sat.Device, code string, req sat.Request, reply sat.Reply) ending {
	w.say(describe(reply)...)
	end := ending{state: wire.CommandDone, text: "O equipamento respondeu " + said(reply) + ".", reply: codeOf(reply)}
	switch w.entry.spec.Name {
	case wire.CommandStatus:
		w.queueStatus(reply)
	case wire.CommandLogs:
		log, err := reply.Log()
		if err != nil {
			return ending{state: wire.CommandFailed, text: "O log do equipamento veio ilegível.", reply: codeOf(reply)}
		}
		end.file = &file{name: "log-" + w.entry.command.Serial + ".txt", kind: textFile, data: mask(log, w.o.Secrets())}
	case wire.CommandActivate:
		if len(reply.Data) > 0 && reply.Data[0] != "" {
			end.file = &file{name: "pedido-" + w.entry.command.Serial + ".csr", kind: textFile, data: []byte(reply.Data[0])}
		}
		w.look(ctx, d, req.Arg(sat.CodeParam))
	case wire.CommandChangeCode:
		w.look(ctx, d, w.args["new"])
	case wire.CommandNetwork:
		if s := w.look(ctx, d, code); offline(s) {
			end.text += " O status ainda diz desconectado: leia-o de novo em alguns minutos."
		}
	case wire.CommandUnblock, wire.CommandBlock, wire.CommandTest, wire.CommandCertificate, wire.CommandLink:
		w.look(ctx, d, code)
	}
	return end
}

// look reads the status after something was done, and tells it; the zero one when it
// cannot be read.
func (w *work) look(ctx context.Context, d sat.Device, code string) sat.Status {
	s, err := w.status(ctx, d, code)
	if err != nil {
		return sat.Status{}
	}
	w.say(describeStatus(s)...)
	return s
}

// status reads the device's status, and queues it for the collector.
func (w *work) status(ctx context.Context, d sat.Device, code string) (sat.Status, error) {
	reply, err := d.Call(ctx, sat.Request{Function: sat.ConsultarStatusOperacional, Args: []string{code}})
	if err != nil {
		return sat.Status{}, err
	}
	s, err := reply.Status()
	if err != nil {
		return s, &sat.Error{Op: "read the status", Code: reply.Code}
	}
	w.queueStatus(reply)
	return s, nil
}

func (w *work) queueStatus(reply sat.Reply) {
	v, err := w.o.Codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindStatus, Serial: w.entry.command.Serial,
		At: w.o.Clock().UnixMilli(), Body: reply.Raw})
	if err == nil {
		b := &buffer.Batch{}
		b.Append(wire.StreamStatus, v)
		_, err = w.o.Buffer.Commit(b)
	}
	if err != nil {
		w.o.Log.Warn("status not queued", "err", err)
	}
}

// request makes the call of a command. The error is pt-BR.
func (w *work) request(ctx context.Context, d sat.Device, code string) (sat.Request, error) {
	a := w.args
	req := sat.Request{Function: functions[w.entry.spec.Name]}
	switch req.Function {
	case sat.ConsultarSAT:
	case sat.AtivarSAT:
		req.Args = []string{a["kind"], a["code"], a["cnpj"], a["uf"]}
	case sat.ComunicarCertificadoICPBRASIL:
		req.Args = []string{code, a["certificate"]}
	case sat.TesteFimAFim:
		sale := a["sale"]
		if sale == "" {
			var err error
			if sale, err = w.testSale(ctx, d, code); err != nil {
				return req, err
			}
		}
		req.Args = []string{code, sale}
	case sat.ConsultarNumeroSessao:
		req.Args = []string{code, a["session"]}
	case sat.ConfigurarInterfaceDeRede:
		req.Args = []string{code, networkXML(a)}
	case sat.AssociarAssinatura:
		req.Args = []string{code, a["cnpjs"], strings.Join(strings.Fields(a["signature"]), " ")}
	case sat.TrocarCodigoDeAtivacao:
		req.Args = []string{"1", a["new"], a["new"]}
		if a["emergency"] != "" {
			req.Args[0], code = "2", a["emergency"]
		}
		req.Args = append([]string{code}, req.Args...)
	default:
		req.Args = []string{code}
	}
	return req, nil
}

// testSale makes the data of a test sale from the device's last document, which names
// the same shop and the same sales program: the one that is known here, else what the
// device still says of its last session, which many say only once.
func (w *work) testSale(ctx context.Context, d sat.Device, code string) (string, error) {
	missing := errors.New("não há um cupom deste equipamento de onde tirar os dados da venda de teste: informe-os no pedido")
	last := w.o.LastDocument(w.entry.command.Serial)
	if last == nil {
		reply, err := d.Call(ctx, sat.Request{Function: sat.ConsultarUltimaSessaoFiscal, Args: []string{code}})
		if err != nil {
			return "", missing
		}
		told, err := reply.Document()
		if err != nil {
			return "", missing
		}
		last = told.XML
	}
	doc, err := cfe.Parse(last)
	if err != nil || doc.SignAC == "" {
		return "", missing
	}
	icms := "<ICMS40><Orig>0</Orig><CST>41</CST></ICMS40>"
	if bytes.Contains(last, []byte("<cRegTrib>1<")) {
		icms = "<ICMSSN102><Orig>0</Orig><CSOSN>400</CSOSN></ICMSSN102>"
	}
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><CFe><infCFe versaoDadosEnt="%s">`+
		`<ide><CNPJ>%s</CNPJ><signAC>%s</signAC><numeroCaixa>%s</numeroCaixa></ide>`+
		`<emit><CNPJ>%s</CNPJ><IE>%s</IE><indRatISSQN>N</indRatISSQN></emit><dest/>`+
		`<det nItem="1"><prod><cProd>1</cProd><xProd>TESTE FIM A FIM</xProd><NCM>21069090</NCM><CFOP>5102</CFOP><uCom>UN</uCom>`+
		`<qCom>1.0000</qCom><vUnCom>1.00</vUnCom><indRegra>A</indRegra></prod><imposto><ICMS>%s</ICMS>`+
		`<PIS><PISNT><CST>07</CST></PISNT></PIS><COFINS><COFINSNT><CST>07</CST></COFINSNT></COFINS></imposto></det>`+
		`<total/><pgto><MP><cMP>01</cMP><vMP>1.00</vMP></MP></pgto></infCFe></CFe>`,
		escape(doc.Layout), escape(doc.DevHouse), escape(doc.SignAC), escape(doc.Till), escape(doc.Issuer), escape(doc.StateReg), icms), nil
}

func escape(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s))
	return b.String()
}

// networkXML is the argument of ConfigurarInterfaceDeRede (dossier on the interface,
// 4.2): only the fields that the choices ask for.
func networkXML(a map[string]string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><config>`)
	for _, f := range [][2]string{{"tipoInter", "interface"}, {"SSID", "ssid"}, {"seg", "security"}, {"codigo", "key"},
		{"tipoLan", "mode"}, {"lanIP", "ip"}, {"lanMask", "mask"}, {"lanGW", "gateway"}, {"lanDNS1", "dns1"}, {"lanDNS2", "dns2"},
		{"usuario", "user"}, {"senha", "password"}, {"proxy", "proxy"}, {"proxy_ip", "proxy_ip"}, {"proxy_porta", "proxy_port"},
		{"proxy_user", "proxy_user"}, {"proxy_senha", "proxy_password"}} {
		if value := a[f[1]]; value != "" {
			fmt.Fprintf(&b, "<%s>%s</%s>", f[0], escape(value), f[0])
		}
	}
	b.WriteString("</config>")
	return b.String()
}

// pause waits; false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
