package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"zelo/agent/wire"
	"zelo/collector/enrol"
	"zelo/collector/notify"
	"zelo/collector/store"
)

// Config is the collector's configuration file. The doc tags are its manual,
// printed by `zelo-collector config`.
type Config struct {
	Name         string `toml:"nome" doc:"Nome ou IP pelo qual os caixas chegam a este computador. Vai no certificado e na identidade de cada caixa."`
	Pages        string `toml:"paginas" doc:"Onde as páginas atendem, em HTTP: só neste computador, a não ser que haja um servidor HTTPS na frente (veja endereco)."`
	Address      string `toml:"endereco" doc:"Como as pessoas chegam às páginas, quando há um servidor HTTPS na frente: https://zelo.exemplo.com.br."`
	Enrolment    string `toml:"cadastro" doc:"Onde os caixas pedem a sua identidade, em HTTPS com o certificado deste coletor."`
	MQTT         string `toml:"mqtt" doc:"Onde os agentes dos caixas se conectam, em MQTT com TLS."`
	Web          string `toml:"mqtt_web" doc:"Onde os agentes chegam por WebSocket quando a porta 8883 está bloqueada, por exemplo 0.0.0.0:443. Vazio: não atende."`
	External     string `toml:"broker_externo" doc:"Outro broker MQTT 3.1.1 no lugar do que vem no coletor: tls://endereço:8883. Ou um cluster do NATS: nats://endereço:4222,servidor-1:4222,servidor-2:4222. Como configurá-los está em coletor-broker.md. Vazio: o do coletor."`
	ExternalUser string `toml:"broker_usuario" doc:"Com que nome este coletor entra no broker externo. Vários coletores com o mesmo banco dividem o broker quando cada um tem o seu: coletor-1, coletor-2."`
	Database     string `toml:"banco" doc:"Banco de dados PostgreSQL 14 ou mais novo: postgres://usuario:senha@servidor/zelo?sslmode=verify-full. Vários coletores podem usar o mesmo. Vazio: o arquivo zelo.db desta pasta."`
	Link         string `toml:"coletores_porta" doc:"Onde este coletor atende os outros que usam o mesmo banco, em TLS, por exemplo 0.0.0.0:8884. Só é preciso com vários coletores, cada um com o seu broker. Vazio: não atende."`
	Peers        string `toml:"coletores" doc:"Os outros coletores do mesmo banco, separados por vírgula: 10.0.0.2:8884, 10.0.0.3:8884. Comandos chegam a um caixa em qualquer deles. Todos têm o mesmo nome e a mesma pasta ca."`
	Authorities  string `toml:"autoridades" doc:"Arquivo PEM com as autoridades que emitem os certificados dos equipamentos. Sem ele, que um certificado é mesmo de um equipamento não é conferido."`
	Log          string `toml:"log" doc:"Quanto escrever no registro: debug, info, warn ou error."`
	LogFormat    string `toml:"log_formato" doc:"Como escrever o registro: texto, ou json para programas que o leem."`
	Metrics      string `toml:"metricas" doc:"Onde atender /metrics (Prometheus), /healthz e /readyz, em HTTP e só neste computador: 127.0.0.1:9090. Vazio: não atende."`

	MailServer   string `toml:"email_servidor" doc:"Servidor que envia os avisos por e-mail (SMTP): smtp.exemplo.com.br:587. Vazio: nenhum e-mail é enviado."`
	MailSecurity string `toml:"email_seguranca" doc:"Como a conexão com ele é protegida: starttls (porta 587), tls (porta 465), ou nenhuma para um servidor neste computador."`
	MailUser     string `toml:"email_usuario" doc:"Usuário nesse servidor. Vazio: o servidor não pede."`
	MailPassword string `toml:"email_senha" doc:"Senha desse usuário. Melhor em um arquivo: veja email_senha_arquivo."`
	MailSecret   string `toml:"email_senha_arquivo" doc:"Arquivo só com essa senha, que só o usuário do coletor lê (0600)."`
	MailFrom     string `toml:"email_remetente" doc:"Endereço do qual os avisos partem: avisos@exemplo.com.br."`
	PrivateHooks bool   `toml:"avisos_rede_interna" doc:"Permitir webhooks para endereços da rede interna e sem TLS. Com isso, quem administra uma revenda alcança por eles os servidores desta rede."`

	KeepCoupons    int  `toml:"guarda_cfe_anos" doc:"Por quantos anos inteiros, além do ano da emissão, os CF-e ficam guardados; os que chegam mais de um ano depois dela, além do ano em que chegaram. O usual são 5; confirme o prazo com quem responde pela obrigação fiscal."`
	KeepNotes      int  `toml:"guarda_nfce_meses" doc:"Por quantos meses desde a emissão as NFC-e e NF-e ficam guardadas. O Ajuste SINIEF 2/2025 fala em 132."`
	KeepEvents     int  `toml:"guarda_eventos_meses" doc:"Por quantos meses ficam guardados os eventos dos agentes, que são prova sobre os documentos, os logs dos equipamentos e os comandos terminados, com o que trouxeram."`
	KeepAlarms     int  `toml:"guarda_alarmes_meses" doc:"Por quantos meses ficam guardados os alarmes encerrados."`
	KeepQuarantine int  `toml:"guarda_quarentena_meses" doc:"Por quantos meses fica guardado o que estava em quarentena e alguém deu por visto. O que ninguém viu nunca é apagado."`
	KeepAccess     int  `toml:"guarda_acessos_meses" doc:"Por quantos meses ficam guardados links, sessões e códigos vencidos. O Marco Civil da Internet pede 6."`
	KeepAudit      int  `toml:"guarda_auditoria_meses" doc:"Por quantos meses a auditoria fica guardada: 60 ou mais."`
	KeepShorter    bool `toml:"guarda_menor_que_a_lei" doc:"Aceitar para CF-e e NFC-e prazos menores que os de cima: só com orientação de quem responde pela obrigação fiscal."`
}

// defaultFolder is where a collector keeps everything, configFile and
// databaseFile what is in it beside the certificate authority.
const (
	defaultFolder = "/var/lib/zelo-coletor"
	configFile    = "coletor.toml"
	databaseFile  = "zelo.db"
	brokerFolder  = "broker"
	// externalFolder has the certificates towards a broker elsewhere.
	externalFolder = "broker-externo"
)

func defaultConfig() Config {
	least := store.Least()
	return Config{KeepCoupons: least.Coupons, KeepNotes: least.Notes, KeepEvents: least.Events, KeepAlarms: least.Alarms,
		KeepQuarantine: least.Quarantine, KeepAccess: least.Access, KeepAudit: least.Audit,
		Name: "localhost", Pages: "127.0.0.1:8080", Enrolment: "0.0.0.0:8443", MQTT: "0.0.0.0:8883",
		ExternalUser: enrol.CollectorName, MailSecurity: string(notify.StartTLS), Log: "info", LogFormat: "texto"}
}

// errNoCollector says that a folder was never initialised.
var errNoCollector = errors.New("não há um coletor nesta pasta: crie-o com `zelo-collector init`")

// loadConfig reads the configuration in a collector's folder over the defaults.
// Unknown keys are refused: they are misspelt settings.
func loadConfig(folder string) (Config, error) {
	c := defaultConfig()
	path := filepath.Join(folder, configFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s: %w", folder, errNoCollector)
	}
	if err != nil {
		return c, fmt.Errorf("não foi possível abrir a configuração: %w", err)
	}
	defer f.Close()
	if err := toml.NewDecoder(f).DisallowUnknownFields().Decode(&c); err != nil {
		return c, fmt.Errorf("configuração %s: %w", path, unreadable(err))
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("configuração %s: %w", path, err)
	}
	return c, nil
}

// unreadable says where a configuration cannot be read. It shows nothing of what is
// written there, which may be a password.
func unreadable(err error) error {
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		line, _ := unknown.Errors[0].Position()
		return fmt.Errorf("chave desconhecida na linha %d: %s; as que há estão em `zelo-collector config`", line, strings.Join(unknown.Errors[0].Key(), "."))
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		return fmt.Errorf("a linha %d não pode ser lida: escreva chave = valor, textos entre aspas, números e true ou false sem", line)
	}
	return err
}

// check says which setting is wrong and what it may be.
func (c Config) check() error {
	if c.Name == "" || strings.ContainsAny(c.Name, "/: ") && net.ParseIP(c.Name) == nil {
		return errors.New("nome: escreva um nome de computador ou um IP, sem porta")
	}
	for _, p := range []struct {
		key, value string
		optional   bool
	}{{"paginas", c.Pages, false}, {"cadastro", c.Enrolment, false}, {"mqtt", c.MQTT, false}, {"mqtt_web", c.Web, true}, {"metricas", c.Metrics, true}, {"coletores_porta", c.Link, true}} {
		_, port, err := net.SplitHostPort(p.value)
		if (err != nil || port == "") && (p.value != "" || !p.optional) {
			return fmt.Errorf("%s: escreva endereço:porta, como em 0.0.0.0:8443", p.key)
		}
	}
	servers := c.cluster()
	if slices.ContainsFunc(servers, notAddress) {
		return errors.New("broker_externo: escreva um cluster do NATS como em nats://mqtt.exemplo.com.br:4222,nats-1.exemplo.com.br:4222")
	}
	if u, err := url.Parse(c.External); c.External != "" && servers == nil && (err != nil || u.Scheme != "tls" || u.Hostname() == "" || u.Port() == "" || u.Path != "" || u.User != nil) {
		return errors.New("broker_externo: escreva como em tls://mqtt.exemplo.com.br:8883")
	}
	if !strings.HasPrefix(c.ExternalUser, enrol.CollectorName) || strings.Trim(c.ExternalUser, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || wire.ValidAgent(c.ExternalUser) {
		return errors.New("broker_usuario: escreva coletor, ou coletor-1, coletor-2 quando são vários")
	}
	if c.External != "" && c.Web != "" {
		return errors.New("mqtt_web: com broker_externo quem atende por WebSocket é esse broker; deixe vazio aqui e escreva o endereço dele em coletor_alternativo nos agentes")
	}
	if slices.ContainsFunc(c.peers(), notAddress) {
		return errors.New("coletores: escreva endereço:porta de cada um, separados por vírgula")
	}
	if (c.Link == "") != (c.Peers == "") || c.Link != "" && (c.External != "" || c.Database == "") {
		return errors.New("coletores e coletores_porta: andam juntos, com o mesmo banco PostgreSQL em todos e sem broker_externo")
	}
	if u, err := url.Parse(c.Database); c.Database != "" && (err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || len(u.Path) < 2) {
		return errors.New("banco: escreva como em postgres://usuario:senha@servidor/zelo, com os sinais especiais da senha no modo das URLs (%40 para @)")
	}
	if u, err := url.Parse(c.Address); c.Address != "" && (err != nil || u.Host == "" || u.Path != "" || u.Scheme != "https") {
		return errors.New("endereco: escreva como em https://zelo.exemplo.com.br, sem caminho")
	}
	if host, _, _ := net.SplitHostPort(c.Pages); c.Address == "" && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return errors.New("paginas: sem um servidor HTTPS na frente as páginas só atendem neste computador; use 127.0.0.1, ou escreva em endereco o endereço HTTPS")
	}
	if host, _, _ := net.SplitHostPort(c.Metrics); c.Metrics != "" && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return errors.New("metricas: só atendem neste computador; use 127.0.0.1")
	}
	if err := c.checkMail(); err != nil {
		return err
	}
	if c.LogFormat != "texto" && c.LogFormat != "json" {
		return errors.New("log_formato: use texto ou json")
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log) {
		return errors.New("log: use debug, info, warn ou error")
	}
	if err := c.retention().Check(); errors.Is(err, store.ErrTooShort) {
		least := store.Least()
		return fmt.Errorf("guarda: os CF-e ficam pelo menos %d anos, as NFC-e %d meses e a auditoria %d meses; para documentos um prazo menor exige guarda_menor_que_a_lei = true", least.Coupons, least.Notes, least.Audit)
	} else if err != nil {
		return errors.New("guarda: escreva prazos de 1 ou mais")
	}
	return nil
}

// group is the group of collectors at a broker elsewhere, "" of one alone.
func (c Config) group() string {
	if c.ExternalUser == enrol.CollectorName {
		return ""
	}
	return "coletores"
}

// peers are the addresses of the other collectors.
func (c Config) peers() (list []string) {
	for at := range strings.SplitSeq(c.Peers, ",") {
		if at = strings.TrimSpace(at); at != "" {
			list = append(list, at)
		}
	}
	return list
}

// cluster is where the servers of a NATS cluster elsewhere are, nil when the broker is
// not one.
func (c Config) cluster() []string {
	list, is := strings.CutPrefix(c.External, "nats://")
	if !is {
		return nil
	}
	return strings.Split(strings.ReplaceAll(list, " ", ""), ",")
}

// notAddress tells what is no host:port.
func notAddress(text string) bool {
	host, port, err := net.SplitHostPort(text)
	return err != nil || host == "" || port == "" || strings.ContainsAny(text, "/@")
}

// pagesURL is how people reach the pages.
func (c Config) pagesURL() string {
	if c.Address != "" {
		return c.Address
	}
	return "http://" + c.Pages
}

// database is the address of the store of the collector in a folder.
func (c Config) database(folder string) string {
	return cmp.Or(c.Database, filepath.Join(folder, databaseFile))
}

// reached is host:port by which tills reach a listener at addr.
func (c Config) reached(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return net.JoinHostPort(c.Name, port)
}

// describe writes the configuration with the meaning of each key.
func (c Config) describe(w io.Writer) error {
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		one, err := toml.Marshal(map[string]any{field.Tag.Get("toml"): v.Field(i).Interface()})
		if err == nil {
			_, err = fmt.Fprintf(w, "\n# %s\n%s", field.Tag.Get("doc"), one)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// describeConfig prints the default configuration.
func describeConfig(w io.Writer) error {
	fmt.Fprintf(w, "# Configuração do coletor Zelo, no arquivo %s da pasta do coletor.\n# Cada linha mostra o valor usado quando ela falta.\n", configFile)
	return defaultConfig().describe(w)
}

// saveConfig writes a configuration file, whole or not at all.
func saveConfig(folder string, c Config) error {
	text := bytes.NewBufferString("# Configuração do coletor Zelo. Depois de mudá-la, reinicie o serviço.\n")
	if err := c.describe(text); err != nil {
		return err
	}
	return replaceConfig(filepath.Join(folder, configFile), text.Bytes())
}

// replaceConfig puts a text in the place of the configuration, at once.
func replaceConfig(path string, text []byte) error {
	partial := path + ".parcial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer os.Remove(partial)
	if err := writeNew(partial, text); err != nil {
		return err
	}
	return errors.Join(os.Rename(partial, path), syncFolder(filepath.Dir(path)))
}

// hostOf guesses the name tills know this computer by from where it listens.
func hostOf(listen string) string {
	host, _, _ := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return host
	}
	name, _ := os.Hostname()
	return cmp.Or(name, "localhost")
}
