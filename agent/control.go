package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"zelo/agent/remote"
	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
)

// `zelo-agent status`, `code`, `call` and `buffer` ask the running agent through
// its door.

// statusReply is GET /status.
type statusReply struct {
	Version   string
	Agent     string // "" when not enrolled
	Devices   []deviceReply
	Answering bool // every device
	OpenCases int  // of all of them
	Connected bool
	ConnSince time.Time
	LastAck   time.Time
	Buffer    []buffer.StreamStats
	Used      int64
	Bound     int64
	Commands  []remote.Doing // of the collector, under way or waiting
	Last      *remote.Doing  // that ended last; nil when none did
}

// deviceReply is one device in statusReply.
type deviceReply struct {
	Name, Serial, Address string
	Answering             bool
	Since                 time.Time
	Problem               string
	OpenCases             int
	CodeKnown             bool
	Unfit                 string // why it sells for no other till now; "" when it does
}

// waiting counts the records of a stream that the collector has not confirmed.
func (s statusReply) waiting(stream string) int {
	for _, st := range s.Buffer {
		if st.Name == stream {
			return st.Waiting
		}
	}
	return 0
}

// callRequest is POST /call; the agent puts the activation code in.
type callRequest struct {
	Device   string // serial number or address; "" for the first
	Function string
	Args     []string // without the activation code
}

type callReply struct{ Reply, Error string }

// serveControl answers who comes through the door until ctx ends.
func (a *agent) serveControl(ctx context.Context, l net.Listener, d door) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", a.controlStatus)
	mux.HandleFunc("POST /code", a.controlCode)
	mux.HandleFunc("POST /call", a.controlCall)
	return serveHTTP(ctx, l, d.guard(mux))
}

func (a *agent) controlStatus(w http.ResponseWriter, r *http.Request) {
	json.NewEncoder(w).Encode(a.status())
}

// status is how the agent stands.
func (a *agent) status() statusReply {
	s := a.buffer.Stats()
	out := statusReply{Version: version, Buffer: s.Streams, Used: s.Used, Bound: s.Bound}
	for _, d := range a.router.Devices() {
		one := deviceReply{Name: d.Info.Name, Serial: d.Info.Serial, Address: d.Address, Answering: d.Answering,
			Since: d.Since, OpenCases: d.OpenCases, CodeKnown: d.CodeKnown, Unfit: d.Unfit}
		if d.Err != nil {
			one.Problem = d.Err.Error()
		}
		out.Answering = d.Answering && (out.Answering || len(out.Devices) == 0)
		out.OpenCases += d.OpenCases
		out.Devices = append(out.Devices, one)
	}
	if a.uplink != nil {
		u := a.uplink.State()
		out.Agent, out.Connected, out.ConnSince, out.LastAck = a.keeper.identity().Agent, u.Connected, u.Since, u.LastAck
	}
	out.Commands, out.Last = a.commandsUnder()
	return out
}

// controlCode tries a code once, with a harmless question, and keeps it when the
// device accepts it.
func (a *agent) controlCode(w http.ResponseWriter, r *http.Request) {
	code, err := io.ReadAll(io.LimitReader(r.Body, 64))
	var reply sat.Reply
	if err == nil {
		reply, err = a.router.Device(r.URL.Query().Get("sat")).Call(r.Context(), sat.Request{Function: sat.ConsultarStatusOperacional, Args: []string{string(code)}})
	}
	out := callReply{}
	switch {
	case err != nil:
		out.Error = "o SAT não respondeu: " + err.Error()
	case reply.Code.WrongActivationCode():
		out.Error = "o SAT recusou o código de ativação. Confira-o antes de tentar de novo: muitas tentativas erradas travam o equipamento"
	case !reply.Code.Success():
		out.Error = fmt.Sprintf("o SAT respondeu %s %s", reply.Code, reply.Code.Text())
	default:
		out.Reply = reply.Code.String()
	}
	json.NewEncoder(w).Encode(out)
}

// controlCall carries a call out as the till "suporte" would, or on one device.
func (a *agent) controlCall(w http.ResponseWriter, r *http.Request) {
	var in callRequest
	var out callReply
	defer func() { json.NewEncoder(w).Encode(out) }()
	if err := json.NewDecoder(io.LimitReader(r.Body, 16<<20)).Decode(&in); err != nil {
		out.Error = err.Error()
		return
	}
	req, err := a.supportRequest(in)
	if err == nil {
		var reply sat.Reply
		if in.Device != "" && !req.Function.Fiscal() {
			reply, err = a.router.Device(in.Device).Call(r.Context(), req)
		} else {
			reply, err = a.router.Call(r.Context(), req)
		}
		if err == nil {
			out.Reply = string(reply.Raw)
			a.router.Delivered(req)
			return
		}
	}
	out.Error = err.Error()
}

func (a *agent) supportRequest(in callRequest) (sat.Request, error) {
	f, ok := sat.FunctionByName(in.Function)
	if !ok {
		return sat.Request{}, fmt.Errorf("não existe a função %q", in.Function)
	}
	req := sat.Request{Till: "suporte", Session: rand.IntN(sat.MaxSession), Function: f}
	args := in.Args
	for _, p := range f.Params() {
		if p.Name == sat.CodeParam {
			_, code := a.router.Code(in.Device)
			if code == "" && f != sat.AtivarSAT {
				return req, errors.New("o código de ativação não é conhecido: informe-o com `zelo-agent code`")
			}
			req.Args = append(req.Args, code)
			continue
		}
		if len(args) == 0 {
			return req, fmt.Errorf("%s: falta o argumento %s", f, p.Name)
		}
		req.Args, args = append(req.Args, args[0]), args[1:]
	}
	if len(args) > 0 {
		return req, fmt.Errorf("%s: argumentos demais", f)
	}
	return req, nil
}

// ask sends one request to the running agent.
func ask(ctx context.Context, c Config, method, path string, body []byte, out any) error {
	d, err := findDoor(c.Folder)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, d.Network, d.Address)
	}}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+doorHost+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set(doorHeader, d.Secret)
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("o agente não está em execução, ou falta permissão para falar com ele: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("em %s não responde este agente, ou ele acaba de reiniciar: %s", d.Address, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func cmdStatus(ctx context.Context, args []string) error {
	fs, path := flags("status")
	asJSON := fs.Bool("json", false, "saída em JSON")
	if err := fs.Parse(args); err != nil {
		return err
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	var s statusReply
	if err := ask(ctx, c, http.MethodGet, "/status", nil, &s); err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(os.Stdout).Encode(s)
	}
	printStatus(os.Stdout, s)
	return nil
}

func printStatus(w io.Writer, s statusReply) {
	at := func(t time.Time) string { return t.Local().Format("02/01/2006 15:04:05") }
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer tw.Flush()
	if len(s.Devices) == 0 {
		fmt.Fprintf(tw, "SAT\tnenhum configurado: veja o que está ligado com `zelo-agent devices`\n")
	}
	for _, d := range s.Devices {
		d.print(tw, len(s.Devices) > 1)
	}
	switch {
	case s.Agent == "":
		fmt.Fprintf(tw, "Coletor\teste caixa ainda não foi ligado a um coletor\n")
	case s.Connected:
		fmt.Fprintf(tw, "Coletor\tconectado desde %s\n", at(s.ConnSince))
	default:
		fmt.Fprintf(tw, "Coletor\tsem conexão desde %s\n", at(s.ConnSince))
	}
	n := s.waiting(wire.StreamDocuments)
	switch {
	case n > 0:
		fmt.Fprintf(tw, "Cupons\t%d guardados neste caixa, ainda não confirmados pela nuvem\n", n)
	case !s.LastAck.IsZero():
		fmt.Fprintf(tw, "Cupons\ttudo salvo na nuvem até %s\n", at(s.LastAck))
	default:
		fmt.Fprintf(tw, "Cupons\tnenhum à espera\n")
	}
	fmt.Fprintf(tw, "Disco\t%d de %d MB usados\n", s.Used>>20, s.Bound>>20)
	for _, d := range s.Commands {
		fmt.Fprintf(tw, "Comando remoto\t%s, pedido por %s: %s\n", d.Title, d.By, d.Text)
	}
	if d := s.Last; d != nil {
		fmt.Fprintf(tw, "Último comando\t%s, pedido por %s, terminou em %s: %s\n", d.Title, d.By, at(d.At), d.Text)
	}
}

// print writes a device's lines; of several, each with why it does not sell for
// others.
func (d deviceReply) print(w io.Writer, several bool) {
	since := d.Since.Local().Format("02/01/2006 15:04:05")
	switch {
	case d.Serial == "" && d.Answering:
		fmt.Fprintf(w, "SAT\t%s: o número de série aparece com a primeira venda, ou informe o código com `zelo-agent code`\n", d.Address)
	case d.Serial == "":
		fmt.Fprintf(w, "SAT\tnenhum encontrado ainda em %s: %s\n", d.Address, d.Problem)
	case d.Answering:
		fmt.Fprintf(w, "SAT\t%s, nº %s, respondendo desde %s\n", d.Name, d.Serial, since)
	case d.Address == "":
		fmt.Fprintf(w, "SAT\tnº %s, que não está mais neste computador\n", d.Serial)
	default:
		fmt.Fprintf(w, "SAT\t%s, nº %s, sem resposta desde %s: %s\n", d.Name, d.Serial, since, d.Problem)
	}
	if several && d.Answering && d.Unfit != "" {
		fmt.Fprintf(w, "  não vende para outros caixas\t%s\n", d.Unfit)
	}
	if d.OpenCases > 0 {
		fmt.Fprintf(w, "  vendas em dúvida\t%d: não sabemos ainda se saíram; estamos perguntando ao SAT\n", d.OpenCases)
	}
	if d.Serial != "" && d.Address != "" && !d.CodeKnown {
		fmt.Fprintf(w, "  código de ativação\tainda não conhecido: será aprendido na próxima venda, ou informe com `zelo-agent code`\n")
	}
}

func cmdCall(ctx context.Context, args []string) error {
	fs, path := flags("call")
	device := fs.String("sat", "", "número de série ou endereço do SAT, quando há mais de um")
	if err := fs.Parse(args); err != nil {
		return err
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return errors.New("falta o nome da função, por exemplo ConsultarSAT")
	}
	in := callRequest{Device: *device, Function: fs.Arg(0)}
	for _, a := range fs.Args()[1:] {
		if file, ok := strings.CutPrefix(a, "@"); ok {
			raw, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			a = string(raw)
		}
		in.Args = append(in.Args, a)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	var out callReply
	if err := ask(ctx, c, http.MethodPost, "/call", body, &out); err != nil {
		return err
	}
	if out.Error != "" {
		return errors.New(out.Error)
	}
	_, err = fmt.Println(out.Reply)
	return err
}
