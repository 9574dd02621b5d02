package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"zelo/agent/devices"
	"zelo/sat"
	"zelo/sat/ipc"
)

// Config is the agent's configuration file. The doc tags are its manual,
// printed by `zelo-agent config`.
type Config struct {
	Folder    string   `toml:"pasta" doc:"Onde o agente guarda os cupons e a sua identidade: uma pasta só dele, que ele fecha aos outros usuários. Na subpasta ponte a biblioteca SAT deixa as vendas que fez enquanto o agente estava parado."`
	Socket    string   `toml:"soquete" doc:"Por onde a biblioteca SAT do PDV fala com o agente: tcp:127.0.0.1:porta ou, no Linux, o caminho de um soquete."`
	Devices   []string `toml:"equipamentos" doc:"Os equipamentos SAT ou MFE deste computador, na ordem em que são usados: biblioteca:caminho da biblioteca do fabricante, serial:porta (COM3, /dev/ttyACM0), usb:fabricante:produto ou tcp:endereço:porta. O comando zelo-agent devices mostra o que escrever."`
	Tills     []string `toml:"caixas" doc:"O equipamento de cada caixa, quando há mais de um: [\"001=900000001\", \"002=serial:COM4\"]. O caixa usa o seu primeiro; se ele não puder vender, outro vende no lugar. Caixas que não estão aqui usam o primeiro da lista."`
	Policy    string   `toml:"preferencia" doc:"Em que ordem os outros equipamentos são usados: fixa (a da lista), menos-ocupado, mais-memoria ou certificado (o que vence antes fica por último)."`
	Doubt     string   `toml:"venda_incerta" doc:"O que fazer quando ninguém sabe se um SAT emitiu a venda e ele não volta: esperar (a venda fica em dúvida até ele responder) ou outro-equipamento (se o caixa repete a venda, outro SAT a emite; se depois aparecer que o primeiro também emitiu, o contador é avisado para cancelar uma)."`
	LAN       string   `toml:"rede_local" doc:"Endereço e porta onde os outros computadores da loja chegam, por exemplo 0.0.0.0:9021: quando nenhum SAT daqui pode vender, a venda sai por um SAT de outro computador, e o contrário. Só entre computadores ligados ao mesmo coletor, do mesmo estabelecimento. Vazio: desligado."`
	Seek      bool     `toml:"procurar_vizinhos" doc:"Procura na rede local os outros computadores da loja. Desligado, só os de vizinhos são usados."`
	Peers     []string `toml:"vizinhos" doc:"Endereço e porta de outros computadores da loja, quando a procura não os acha: [\"192.168.0.12:9021\"]."`
	Trusted   []string `toml:"agentes_vizinhos" doc:"Identidade (zelo-agent status) dos agentes aceitos como vizinhos mesmo que o certificado deles não diga o estabelecimento."`
	Far       string   `toml:"terminais" doc:"Endereço e porta onde PDVs de outros computadores chegam, por exemplo 0.0.0.0:9020. Vazio: só este computador. Exige chave_terminais."`
	FarKey    string   `toml:"chave_terminais" doc:"A chave que esses PDVs têm no sat.ini: 64 dígitos hexadecimais, secretos. Crie uma com zelo-agent key."`
	CancelSAT string   `toml:"codigos_cancelamento_sat" doc:"Tabela dos códigos com que o SAT recusa um cancelamento: antiga (07002 a 07007) ou nova (07002 a 07010)."`
	CancelPDV string   `toml:"codigos_cancelamento_pdv" doc:"Tabela que os programas de PDV conhecem, antiga ou nova. Se for outra que a do SAT, o agente traduz."`
	Page      string   `toml:"pagina" doc:"Endereço da página \"como está este caixa\" e do /situacao.json que o PDV pode consultar. Vazio: não há página."`
	Hub       bool     `toml:"sathub" doc:"Oferece também a interface SATHub em /hub/v1/ desse endereço, para programas de PDV feitos para ela."`
	CertPaths []string `toml:"pastas_certificados" doc:"Pastas onde há arquivos de certificado digital da loja (pfx, p12, pem), além das usuais e dos certificados do Windows. O agente lê somente a parte pública: nenhuma senha, nenhuma chave."`
	Remind    bool     `toml:"aviso_certificado" doc:"Avisa na tela deste computador quando o certificado digital da loja está para vencer: aos 90, 30 e 15 dias e todo dia na última semana, no máximo uma vez por dia e nunca durante uma venda."`
	Offer     string   `toml:"renovar_texto" doc:"O que dizer à loja sobre a renovação do certificado, junto do aviso e na página. Uma frase."`
	OfferLink string   `toml:"renovar_link" doc:"Endereço do parceiro que renova o certificado: https://... Vazio: não há."`
	Status    duration `toml:"intervalo_status" doc:"De quanto em quanto tempo o estado do SAT é lido, quando ninguém o usa. A SEFAZ pede que não seja menos de alguns minutos."`
	Beat      duration `toml:"intervalo_sinal" doc:"De quanto em quanto tempo o agente avisa o coletor de que está vivo."`
	HourMB    int64    `toml:"limite_mb_hora" doc:"Internet por franquia: quantos MB por hora o agente pode usar. Ao chegar ao limite os cupons esperam aqui; alarmes e eventos sempre passam. 0: sem limite."`
	Proxy     string   `toml:"proxy" doc:"Proxy HTTP da loja: http://usuario:senha@endereço:porta. Vazio: o que o sistema diz em HTTPS_PROXY e NO_PROXY. O proxy não vê o conteúdo."`
	Fallback  string   `toml:"coletor_alternativo" doc:"Endereço para quando a porta 8883 está bloqueada: wss://endereço:443/mqtt. Vazio: o que o coletor informou no cadastro."`
	Buffer    int64    `toml:"buffer_mb" doc:"Espaço em disco reservado para os cupons guardados neste caixa, em MB: 32, 64, 128 e assim por diante. Um sistema de 32 bits usa no máximo 128."`
	Log       string   `toml:"log" doc:"Quanto escrever no registro: debug, info, warn ou error. Ele fica em agente.log na pasta do agente, e o que passa de 5 MB em agente.log.1; o serviço do Linux escreve também no registro do sistema (journalctl)."`

	path string // of the file
}

// duration is a time.Duration written as "15m".
type duration time.Duration

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = duration(v)
	return err
}

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// paths are the places that differ between systems, see defaultPaths.
type paths struct{ config, folder, socket string }

func defaultConfig() Config {
	at := defaultPaths()
	return Config{
		Folder:  at.folder,
		Socket:  at.socket,
		Devices: []string{}, CertPaths: []string{}, Tills: []string{}, Seek: true, Remind: true, Peers: []string{}, Trusted: []string{}, Policy: "fixa", Doubt: "esperar",
		CancelSAT: "antiga", CancelPDV: "antiga",
		Page:   defaultPage,
		Status: duration(15 * time.Minute),
		Beat:   duration(time.Minute),
		Buffer: 512,
		Log:    "info",
	}
}

// loadConfig reads a configuration file over the defaults. A missing default
// file is fine, a missing named one is not. Unknown keys are refused: they are
// misspelt settings.
func loadConfig(path string) (Config, error) {
	c := defaultConfig()
	named := path != ""
	if !named {
		path = defaultPaths().config
	}
	c.path = path
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("não foi possível abrir a configuração: %w", err)
	}
	return parseConfig(raw, path)
}

// parseConfig reads a configuration that is, or will be, the file at path.
func parseConfig(raw []byte, path string) (Config, error) {
	c := defaultConfig()
	c.path = path
	if err := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields().Decode(&c); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) {
			return c, fmt.Errorf("configuração %s: chave desconhecida: %s", path, unknownKeys(strict))
		}
		return c, fmt.Errorf("configuração %s: %w", path, err)
	}
	return c, c.check(path)
}

// unknownKeys names them by their lines. What stands there may be a password.
func unknownKeys(e *toml.StrictMissingError) string {
	var names []string
	for _, one := range e.Errors {
		line, _ := one.Position()
		names = append(names, fmt.Sprintf("%s (linha %d)", strings.Join(one.Key(), "."), line))
	}
	return strings.Join(names, ", ")
}

// check says which setting is wrong and what it may be.
func (c Config) check(path string) error {
	bad := func(key, why string) error {
		return fmt.Errorf("configuração %s: %s: %s", path, key, why)
	}
	switch {
	case !filepath.IsAbs(c.Folder):
		return bad("pasta", "escreva o caminho completo")
	case filepath.Dir(c.Folder) == filepath.Clean(c.Folder):
		return bad("pasta", "escreva uma pasta que seja só do agente, não o disco inteiro")
	case c.Socket == "":
		return bad("soquete", "falta o endereço")
	case runtime.GOOS == "windows" && !strings.HasPrefix(c.Socket, "tcp:"):
		return bad("soquete", "escreva tcp:127.0.0.1:porta; a biblioteca procura a porta 9019")
	case c.badDevice() != nil:
		return bad("equipamentos", c.badDevice().Error())
	case c.badTill() != nil:
		return bad("caixas", c.badTill().Error())
	case !slices.Contains(policies, c.Policy):
		return bad("preferencia", "use "+strings.Join(policies, ", "))
	case c.Doubt != "esperar" && c.Doubt != "outro-equipamento":
		return bad("venda_incerta", "use esperar ou outro-equipamento")
	case c.LAN != "" && c.badLAN() != nil:
		return bad("rede_local", c.badLAN().Error())
	case c.badPeer() != nil:
		return bad("vizinhos", c.badPeer().Error())
	case c.Far != "" && c.farKey() == nil:
		return bad("chave_terminais", "são 64 dígitos hexadecimais")
	case c.CancelSAT != "antiga" && c.CancelSAT != "nova":
		return bad("codigos_cancelamento_sat", "use antiga ou nova")
	case c.CancelPDV != "antiga" && c.CancelPDV != "nova":
		return bad("codigos_cancelamento_pdv", "use antiga ou nova")
	case c.Page != "" && checkPage(c.Page) != nil:
		return bad("pagina", checkPage(c.Page).Error())
	case c.Hub && c.Page == "":
		return bad("sathub", "precisa do endereço em pagina")
	case slices.ContainsFunc(c.CertPaths, func(f string) bool { return !filepath.IsAbs(f) }):
		return bad("pastas_certificados", "escreva o caminho completo de cada pasta")
	case c.OfferLink != "" && badLink(c.OfferLink):
		return bad("renovar_link", "escreva um endereço https://")
	case strings.ContainsAny(c.Offer, "\r\n") || len(c.Offer) > maxOffer:
		return bad("renovar_texto", "use uma frase, numa linha só")
	case time.Duration(c.Status) < time.Second:
		return bad("intervalo_status", "use um segundo ou mais")
	case time.Duration(c.Beat) < time.Second:
		return bad("intervalo_sinal", "use um segundo ou mais")
	case c.HourMB < 0 || c.HourMB > maxHourMB:
		return bad("limite_mb_hora", fmt.Sprintf("use de 0 (sem limite) a %d", maxHourMB))
	case c.Proxy != "" && c.proxyURL() == nil:
		return bad("proxy", "escreva http://endereço:porta ou http://usuario:senha@endereço:porta, com os sinais da senha em código (@ é %40)")
	case c.Fallback != "" && badFallback(c.Fallback):
		return bad("coletor_alternativo", "escreva como em wss://zelo.exemplo.com.br:443/mqtt")
	case c.Buffer < 32:
		return bad("buffer_mb", "use 32 ou mais")
	case c.Log != "debug" && c.Log != "info" && c.Log != "warn" && c.Log != "error":
		return bad("log", "use debug, info, warn ou error")
	}
	return nil
}

// maxHourMB is more than any link carries.
const maxHourMB = 1_000_000

// proxyURL is the shop's proxy; nil when none is set or it is not understood.
func (c Config) proxyURL() *url.URL {
	u, err := url.Parse(c.Proxy)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil
	}
	return u
}

// proxy says through which proxy an address is reached; nil leaves it to the system.
func (c Config) proxy() proxyFunc {
	if u := c.proxyURL(); u != nil {
		return http.ProxyURL(u)
	}
	return nil
}

func badFallback(address string) bool {
	u, err := url.Parse(address)
	return err != nil || u.Scheme != "wss" || u.Hostname() == "" || u.User != nil
}

// maxOffer is the length of a text that fits into a message on the screen, in bytes.
const maxOffer = 300

func badLink(address string) bool {
	u, err := url.Parse(address)
	return err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil
}

// badDevice says what is wrong with the addresses of the devices.
func (c Config) badDevice() error {
	for i, address := range c.Devices {
		if err := devices.CheckAddress(address); err != nil {
			return fmt.Errorf("%q: %w", address, err)
		}
		if slices.Contains(c.Devices[:i], address) {
			return fmt.Errorf("%q aparece duas vezes", address)
		}
	}
	return nil
}

// badTill says what is wrong with the tills' own devices.
func (c Config) badTill() error {
	for _, t := range c.Tills {
		if till, device, ok := strings.Cut(t, "="); !ok || till == "" || device == "" {
			return fmt.Errorf("%q: escreva o caixa, o sinal de igual e o número de série ou o endereço do equipamento", t)
		}
	}
	return nil
}

func (c Config) badLAN() error {
	_, port, err := net.SplitHostPort(c.LAN)
	if err != nil || port == "" {
		return errors.New("escreva endereço:porta, como em 0.0.0.0:9021")
	}
	return nil
}

func (c Config) badPeer() error {
	for _, p := range c.Peers {
		if host, port, err := net.SplitHostPort(p); err != nil || host == "" || port == "" {
			return fmt.Errorf("%q: escreva endereço:porta, como em 192.168.0.12:9021", p)
		}
	}
	return nil
}

// ownDevices maps each till to its own device.
func (c Config) ownDevices() map[string]string {
	own := map[string]string{}
	for _, t := range c.Tills {
		till, device, _ := strings.Cut(t, "=")
		own[till] = device
	}
	return own
}

// policies are the values of preferencia, in the order of router.Policy.
var policies = []string{"fixa", "menos-ocupado", "mais-memoria", "certificado"}

// farKey is the key of tills on other computers; nil when it is none.
func (c Config) farKey() []byte {
	key, err := hex.DecodeString(c.FarKey)
	if err != nil || len(key) != ipc.KeySize {
		return nil
	}
	return key
}

func cancelTable(name string) sat.CancelTable {
	if name == "nova" {
		return sat.NewTable
	}
	return sat.OldTable
}

// describeConfig prints the default configuration with the meaning of each key.
func describeConfig(w io.Writer) error {
	fmt.Fprintf(w, "# Configuração do agente Zelo, em %s.\n# Cada linha mostra o valor usado quando ela falta.\n", defaultPaths().config)
	c := defaultConfig()
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		one, err := toml.Marshal(map[string]any{field.Tag.Get("toml"): v.Field(i).Interface()})
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "\n# %s\n%s", field.Tag.Get("doc"), one)
	}
	return nil
}
