package wire

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Names of the commands.
const (
	CommandStatus         = "status"          // the device's operational status
	CommandPing           = "ping"            // is the device there?
	CommandLogs           = "device-logs"     // the device's own log
	CommandTest           = "end-to-end-test" // a test document, as far as the SEFAZ and back
	CommandSession        = "session"         // the stored reply of one session
	CommandLastSession    = "last-session"    // the stored reply of the last fiscal call
	CommandNetwork        = "network"         // set the device's network
	CommandActivate       = "activate"
	CommandCertificate    = "certificate" // bring the device its ICP-Brasil certificate
	CommandLink           = "link"        // register the sales program's signature
	CommandUnblock        = "unblock"
	CommandBlock          = "block"
	CommandChangeCode     = "change-code"
	CommandUpdateSoftware = "update-software" // of the device
	CommandPoll           = "poll"            // read status and tell it, now
	CommandBundle         = "support-bundle"
	CommandAgentLogs      = "agent-logs"
	CommandReadConfig     = "read-config"
	CommandWriteConfig    = "write-config"
	CommandRestart        = "restart" // the agent
)

// Who may ask for a command: the least of the roles that may. Who stands above may
// too.
const (
	RightTechnician = "technician"
	RightReseller   = "reseller"
)

// Kinds of arguments: how a page asks for one.
const (
	ArgText    = "text" // one line
	ArgLong    = "long" // several lines
	ArgNumber  = "number"
	ArgChoice  = "choice"
	ArgInstant = "instant" // InstantLayout, Brasília's time
)

// CommandSpec is one row of the table of commands.
type CommandSpec struct {
	Name  string
	Title string // pt-BR
	About string // pt-BR, one or two sentences: what it does, and to whom it matters
	Args  []ArgSpec
	Right string // RightTechnician or RightReseller
	// Destructive asks a person to type the device's serial number (or, without one,
	// the agent's name) before it is sent.
	Destructive bool
	Device      bool // Command.Serial is needed
	Code        bool // the agent must know the device's activation code, or be given it
	// SaleSafe may run while the till sells: it takes its place behind the sales.
	SaleSafe bool
	// Query only asks: it changes nothing, neither at the device nor at the agent.
	Query bool
	// Once is never repeated when nobody can tell whether it was done (DESIGN.md,
	// invariant 9).
	Once     bool
	Deadline time.Duration // of the work itself, once begun
	States   []int         // operating states of the device (0 to 4) in which it can work; nil for all
	Window   Window        // when it begins if the Command says nothing else
}

// ArgSpec is one argument of a command.
type ArgSpec struct {
	Name     string
	Label    string // pt-BR
	Help     string // pt-BR, may be ""
	Kind     string
	Secret   bool // sealed, never shown or logged
	Optional bool
	Least    int      // length of a text in characters, or value of a number
	Most     int      // the same; 0 for no limit but MaxCommand
	Pattern  string   // regular expression of the whole text; "" for any
	Choices  []Choice // of ArgChoice
	// When names another argument, and Is the values of it with which this one is asked
	// for; with any other it must be absent. "" for always.
	When string
	Is   []string
}

// Choice is one value of an ArgChoice.
type Choice struct{ Value, Label string }

// Limits of a few arguments.
const (
	MaxConfig  = 64 << 10 // bytes of a configuration
	MaxLogLine = 20000    // of CommandAgentLogs
)

const (
	octet   = `(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])`
	address = octet + `(\.` + octet + `){3}`
	digit   = `[0-9]`
	visible = `[!-~]*` // what a device takes in a code or a password
)

// Deadlines are those of the slowest maker (dossier on the SAT interface, 1.8).
const (
	short  = time.Minute
	medium = 5 * time.Minute
	long   = 30 * time.Minute
)

func idle(d time.Duration) Window { return Window{Idle: d.Milliseconds()} }

// Commands are all rows of the table, in the order in which a page shows them. They
// are the caller's to keep.
func Commands() []CommandSpec { return append(deviceCommands(), agentCommands()...) }

func deviceCommands() []CommandSpec {
	aside := idle(2 * time.Minute)
	return append([]CommandSpec{
		{Name: CommandPing, Title: "Testar comunicação", About: "Pergunta ao equipamento se ele está em operação.",
			Right: RightTechnician, Device: true, SaleSafe: true, Query: true, Deadline: short},
		{Name: CommandStatus, Title: "Ler status", About: "Lê o estado do equipamento: bloqueio, rede, memória, certificado, contato com a SEFAZ e fila.",
			Right: RightTechnician, Device: true, Code: true, SaleSafe: true, Query: true, Deadline: short},
		{Name: CommandLogs, Title: "Ler log do equipamento", About: "Copia o log que o equipamento guarda. Ele não vende enquanto o entrega, por até 3 minutos.",
			Right: RightTechnician, Device: true, Code: true, Query: true, Deadline: medium, Window: aside},
		{Name: CommandTest, Title: "Teste fim a fim", About: "Emite um documento de teste, sem valor fiscal, e o leva à SEFAZ e de volta. Mostra se a rede e o certificado funcionam.",
			Args: []ArgSpec{{Name: "sale", Label: "Dados da venda de teste (XML)", Kind: ArgLong, Optional: true, Most: 64 << 10,
				Help: "Vazio: o agente a monta a partir do último cupom do equipamento."}},
			Right: RightTechnician, Device: true, Code: true, Deadline: 2 * time.Minute, Window: aside},
		{Name: CommandSession, Title: "Consultar sessão", About: "Pede ao equipamento a resposta guardada de uma sessão. Muitos só lembram a última, uma vez.",
			Args:  []ArgSpec{{Name: "session", Label: "Número da sessão", Kind: ArgNumber, Most: 999999}},
			Right: RightTechnician, Device: true, Code: true, Query: true, Deadline: short, Window: aside},
		{Name: CommandLastSession, Title: "Consultar última sessão fiscal", About: "Pede ao equipamento a resposta da última venda ou do último cancelamento.",
			Right: RightTechnician, Device: true, Code: true, Query: true, Deadline: short, Window: aside},
		{Name: CommandNetwork, Title: "Configurar rede", About: "Troca a configuração de rede do equipamento. Uma configuração errada o deixa sem a SEFAZ; ele continua vendendo.",
			Args: networkArgs(), Right: RightTechnician, Device: true, Code: true, Deadline: medium, Window: aside},
		{Name: CommandUnblock, Title: "Desbloquear", About: "Desfaz o bloqueio do contribuinte, ou o da SEFAZ depois que ela o liberou no portal.",
			Right: RightTechnician, Device: true, Code: true, Deadline: 10 * time.Minute, States: []int{1, 2}},
	}, lifeCommands()...)
}

// lifeCommands change a device for good.
func lifeCommands() []CommandSpec {
	code := func(name, label, help string) ArgSpec {
		return ArgSpec{Name: name, Label: label, Help: help, Kind: ArgText, Secret: true, Least: 8, Most: 32, Pattern: visible}
	}
	aside := idle(10 * time.Minute)
	return []CommandSpec{
		{Name: CommandActivate, Title: "Ativar", About: "Ativa o equipamento para o contribuinte e define o seu código de ativação.",
			Args: []ArgSpec{
				{Name: "kind", Label: "Certificado", Kind: ArgChoice, Choices: []Choice{{"1", "da SEFAZ"}, {"2", "ICP-Brasil"}, {"3", "renovação ICP-Brasil"}}},
				code("code", "Código de ativação", "De 8 a 32 caracteres. Numa renovação, o que o equipamento já tem."),
				{Name: "cnpj", Label: "CNPJ do estabelecimento", Kind: ArgText, Pattern: digit + `{14}`},
				{Name: "uf", Label: "UF", Kind: ArgChoice, Choices: []Choice{{"35", "São Paulo"}, {"23", "Ceará"}}},
			},
			Right: RightTechnician, Destructive: true, Device: true, Once: true, Deadline: long + short, Window: aside},
		{Name: CommandCertificate, Title: "Enviar certificado ICP-Brasil", About: "Entrega ao equipamento o certificado emitido a partir do pedido que a ativação gerou.",
			Args: []ArgSpec{{Name: "certificate", Label: "Certificado (PEM)", Kind: ArgLong, Most: 32 << 10,
				Pattern: `(?s)\s*-----BEGIN CERTIFICATE-----.*-----END CERTIFICATE-----\s*`}},
			Right: RightTechnician, Device: true, Code: true, Once: true, Deadline: 11 * time.Minute, Window: aside},
		{Name: CommandLink, Title: "Vincular ao programa de vendas", About: "Registra no equipamento a assinatura da software house (signAC).",
			Args: []ArgSpec{
				{Name: "cnpjs", Label: "CNPJ da software house e do contribuinte, juntos", Kind: ArgText, Pattern: digit + `{28}`},
				{Name: "signature", Label: "Assinatura (signAC)", Kind: ArgLong, Least: 1, Most: 1024, Pattern: `[ -~]*`},
			},
			Right: RightTechnician, Device: true, Code: true, Deadline: long + short, Window: aside},
		{Name: CommandChangeCode, Title: "Trocar código de ativação", About: "Troca o código de ativação. O programa de vendas precisa do código novo logo em seguida, ou a loja para.",
			Args: []ArgSpec{code("new", "Código novo", "De 8 a 32 caracteres."),
				{Name: "emergency", Label: "Código de emergência", Help: "Só quando o código atual se perdeu.", Kind: ArgText, Secret: true, Optional: true, Least: 8, Most: 64, Pattern: visible}},
			Right: RightReseller, Destructive: true, Device: true, Once: true, Deadline: 2 * time.Minute, Window: aside},
		{Name: CommandBlock, Title: "Bloquear", About: "Bloqueia o equipamento: a loja não vende mais por ele. Antes, o bloqueio tem de ser pedido no portal da SEFAZ.",
			Right: RightReseller, Destructive: true, Device: true, Code: true, Once: true, Deadline: long, States: []int{0, 1, 3}, Window: aside},
		{Name: CommandUpdateSoftware, Title: "Atualizar software básico", About: "Instala o software básico que a SEFAZ oferece. O equipamento fica até uma hora sem vender.",
			Right: RightReseller, Destructive: true, Device: true, Code: true, Once: true, Deadline: time.Hour + short,
			Window: Window{Idle: (30 * time.Minute).Milliseconds(), From: 23 * 60, To: 5 * 60, Zone: -180}},
	}
}

// networkArgs are the fields of ConfigurarInterfaceDeRede (dossier on the SAT
// interface, 4.2).
func networkArgs() []ArgSpec {
	ip := func(name, label string) ArgSpec {
		return ArgSpec{Name: name, Label: label, Kind: ArgText, Pattern: address, When: "mode", Is: []string{"IPFIX"}}
	}
	proxied := []string{"1", "2"}
	return []ArgSpec{
		{Name: "interface", Label: "Interface", Kind: ArgChoice, Choices: []Choice{{"ETHE", "cabo"}, {"WIFI", "Wi-Fi"}}},
		{Name: "ssid", Label: "Rede Wi-Fi", Kind: ArgText, Least: 1, Most: 32, When: "interface", Is: []string{"WIFI"}},
		{Name: "security", Label: "Segurança", Kind: ArgChoice, When: "interface", Is: []string{"WIFI"},
			Choices: []Choice{{"NONE", "nenhuma"}, {"WEP", "WEP"}, {"WPA-PERSONAL", "WPA pessoal"}, {"WPA-ENTERPRISE", "WPA empresarial"}}},
		{Name: "key", Label: "Senha da rede Wi-Fi", Kind: ArgText, Secret: true, Optional: true, Most: 64, When: "interface", Is: []string{"WIFI"}},
		{Name: "mode", Label: "Endereço", Kind: ArgChoice, Choices: []Choice{{"DHCP", "automático (DHCP)"}, {"IPFIX", "fixo"}, {"PPPoE", "PPPoE"}}},
		ip("ip", "IP"), ip("mask", "Máscara"), ip("gateway", "Gateway"), ip("dns1", "DNS 1"), ip("dns2", "DNS 2"),
		{Name: "user", Label: "Usuário PPPoE", Kind: ArgText, Least: 1, Most: 64, When: "mode", Is: []string{"PPPoE"}},
		{Name: "password", Label: "Senha PPPoE", Kind: ArgText, Secret: true, Most: 64, When: "mode", Is: []string{"PPPoE"}},
		{Name: "proxy", Label: "Proxy", Kind: ArgChoice, Choices: []Choice{{"0", "nenhum"}, {"1", "configurado"}, {"2", "transparente"}}},
		{Name: "proxy_ip", Label: "Endereço do proxy", Kind: ArgText, Least: 1, Most: 64, Pattern: `[0-9A-Za-z.\-]*`, When: "proxy", Is: proxied},
		{Name: "proxy_port", Label: "Porta do proxy", Kind: ArgNumber, Most: 65535, When: "proxy", Is: proxied},
		{Name: "proxy_user", Label: "Usuário do proxy", Kind: ArgText, Optional: true, Most: 64, When: "proxy", Is: proxied},
		{Name: "proxy_password", Label: "Senha do proxy", Kind: ArgText, Secret: true, Optional: true, Most: 64, When: "proxy", Is: proxied},
	}
}

// agentCommands need no device.
func agentCommands() []CommandSpec {
	return []CommandSpec{
		{Name: CommandPoll, Title: "Ler tudo agora", About: "Lê o estado dos equipamentos e o envia, sem esperar a próxima leitura.",
			Right: RightTechnician, SaleSafe: true, Query: true, Deadline: 2 * time.Minute},
		{Name: CommandBundle, Title: "Pacote de suporte", About: "Reúne configuração, logs, versões e situação do caixa num arquivo. Vai sem senhas, sem códigos e sem CPF.",
			Right: RightTechnician, SaleSafe: true, Query: true, Deadline: 2 * time.Minute},
		{Name: CommandAgentLogs, Title: "Log do agente", About: "Copia o log do agente: as últimas linhas, ou as de um período.",
			Args: []ArgSpec{
				{Name: "lines", Label: "Linhas, no máximo", Kind: ArgNumber, Least: 1, Most: MaxLogLine},
				{Name: "from", Label: "De", Kind: ArgInstant, Optional: true},
				{Name: "to", Label: "Até", Kind: ArgInstant, Optional: true},
			},
			Right: RightTechnician, SaleSafe: true, Query: true, Deadline: short},
		{Name: CommandReadConfig, Title: "Ler configuração do agente", About: "Mostra a configuração em uso. Senhas e chaves aparecem como ********.",
			Right: RightTechnician, SaleSafe: true, Query: true, Deadline: short},
		{Name: CommandWriteConfig, Title: "Trocar configuração do agente", About: "Confere a configuração nova, reinicia o agente com ela e volta à antiga se ele não falar com o coletor no prazo.",
			Args: []ArgSpec{
				{Name: "config", Label: "Configuração (TOML)", Kind: ArgLong, Secret: true, Most: MaxConfig, Help: "Onde está ********, fica o que já estava."},
				{Name: "minutes", Label: "Prazo para voltar à antiga, em minutos", Kind: ArgNumber, Least: 1, Most: 60},
			},
			Right: RightReseller, Destructive: true, Deadline: 70 * time.Minute, Window: idle(2 * time.Minute)},
		{Name: CommandRestart, Title: "Reiniciar o agente", About: "O agente termina e começa de novo. As vendas seguem pela biblioteca do fabricante nesses segundos.",
			Right: RightTechnician, Deadline: medium, Window: idle(2 * time.Minute)},
	}
}

// CommandByName finds a row of the table.
func CommandByName(name string) (CommandSpec, bool) {
	all := Commands()
	i := slices.IndexFunc(all, func(s CommandSpec) bool { return s.Name == name })
	if i < 0 {
		return CommandSpec{}, false
	}
	return all[i], true
}

// Check says, in pt-BR, what is wrong with arguments, secret ones included, both in
// the form of Command.Args. The error never repeats a value.
func (s CommandSpec) Check(args map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if !slices.ContainsFunc(s.Args, func(a ArgSpec) bool { return a.Name == name }) {
			return fmt.Errorf("%s não tem o dado %q", s.Title, name)
		}
	}
	for _, a := range s.Args {
		value := args[a.Name]
		wanted := a.When == "" || slices.Contains(a.Is, args[a.When])
		switch {
		case value == "" && (!wanted || a.Optional):
		case value == "":
			return fmt.Errorf("%s: falta informar", a.Label)
		case !wanted:
			return fmt.Errorf("%s: não se usa com o que foi escolhido", a.Label)
		default:
			if why := a.wrong(value); why != "" {
				return fmt.Errorf("%s: %s", a.Label, why)
			}
		}
	}
	return nil
}

// wrong says what is wrong with a value; "" when nothing is.
func (a ArgSpec) wrong(value string) string {
	size := utf8.RuneCountInString(value)
	switch a.Kind {
	case ArgNumber:
		n, err := strconv.Atoi(value)
		if err != nil || n < a.Least || n > a.Most {
			return fmt.Sprintf("use um número de %d a %d", a.Least, a.Most)
		}
		return ""
	case ArgChoice:
		if !slices.ContainsFunc(a.Choices, func(c Choice) bool { return c.Value == value }) {
			return "escolha um dos valores oferecidos"
		}
		return ""
	case ArgInstant:
		if _, err := time.Parse(InstantLayout, value); err != nil {
			return "escreva o dia e a hora"
		}
		return ""
	}
	switch {
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return "há caracteres que não são texto"
	case a.Kind == ArgText && strings.ContainsAny(value, "\r\n"):
		return "use uma linha só"
	case size < a.Least:
		return fmt.Sprintf("use pelo menos %d caracteres", a.Least)
	case a.Most > 0 && size > a.Most:
		return fmt.Sprintf("use no máximo %d caracteres", a.Most)
	case a.Pattern != "" && !regexp.MustCompile(`^(?:`+a.Pattern+`)$`).MatchString(value):
		return "não está na forma esperada"
	}
	return ""
}

// InstantLayout is the form of an ArgInstant.
const InstantLayout = "2006-01-02T15:04"

// Secrets parts arguments into those that travel in Command.Args and those that are
// to be sealed.
func (s CommandSpec) Secrets(args map[string]string) (open, secret map[string]string) {
	open, secret = map[string]string{}, map[string]string{}
	for _, a := range s.Args {
		if value, ok := args[a.Name]; ok && a.Secret {
			secret[a.Name] = value
		} else if ok {
			open[a.Name] = value
		}
	}
	return open, secret
}
