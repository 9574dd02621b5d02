package alarm

import (
	"slices"
	"time"
)

// Rule is one declared alarm. Its texts are what a person reads, in pt-BR: the
// title names it, the finding's detail says what is and since when, the meaning
// what that does to the shop, and the last what to do.
type Rule struct {
	Code      Code
	Subjects  []Kind // what it judges
	Severity  Severity
	Title     string
	Meaning   string
	WhatToDo  string
	DependsOn []Code // while one of these holds, this rule cannot be judged
	// judge returns what it found, or nil: the alarm does not hold.
	judge func(f Facts, now time.Time, t Thresholds) *finding
}

type finding struct {
	severity Severity // 0: the rule's
	step     int
	since    time.Time
	detail   string
}

// Rules lists all rules, those others depend on first.
func Rules() []Rule { return slices.Clone(rules) }

// RuleOf finds a rule by its code.
func RuleOf(c Code) (Rule, bool) {
	for _, r := range rules {
		if r.Code == c {
			return r, true
		}
	}
	return Rule{}, false
}

// The codes.
const (
	AgentSilent         Code = "agent-silent"
	DeviceNotAnswering  Code = "device-not-answering"
	StatusOld           Code = "status-old"
	BlockedByTaxOffice  Code = "blocked-by-tax-office"
	BlockedByTaxpayer   Code = "blocked-by-taxpayer"
	BlockedAutonomous   Code = "blocked-autonomous"
	BlockedDeactivation Code = "blocked-for-deactivation"
	CertificateExpiring Code = "certificate-expiring"
	MemoryFilling       Code = "memory-filling"
	NoContact           Code = "no-sefaz-contact"
	PendingOld          Code = "pending-old"
	ClockOff            Code = "clock-off"
	EmissionForbidden   Code = "emission-forbidden"
	SignatureInvalid    Code = "signature-invalid"
	DocumentMissing     Code = "document-missing"
	CaseUnresolved      Code = "case-unresolved"
	IssuedTwice         Code = "issued-twice"
	RecordsEvicted      Code = "records-evicted"
	BufferDamaged       Code = "buffer-damaged"
	AgentCloned         Code = "agent-cloned"
	RecordsQuarantined  Code = "records-quarantined"
)

var rules = []Rule{
	{
		Code: AgentSilent, Subjects: []Kind{OfAgent}, Severity: Notice,
		Title:    "Caixa sem notícia",
		Meaning:  "Não sabemos como está este caixa. As vendas continuam; os cupons ficam guardados no caixa até ele voltar a falar com a nuvem.",
		WhatToDo: "Veja se o computador está ligado e com internet. Se estiver, confira se o serviço Zelo está em execução.",
		judge:    agentSilent,
	},
	{
		Code: DeviceNotAnswering, Subjects: []Kind{OfDevice}, Severity: Warning,
		Title:     "Equipamento não responde",
		Meaning:   "O caixa não consegue falar com o equipamento: enquanto isso não há emissão por ele, e os cupons que estão dentro dele não podem ser conferidos.",
		WhatToDo:  "Confira a energia e o cabo do equipamento. Se as luzes estiverem acesas, desligue-o, espere 10 segundos e ligue de novo.",
		DependsOn: []Code{AgentSilent},
		judge:     deviceNotAnswering,
	},
	{
		Code: StatusOld, Subjects: []Kind{OfDevice}, Severity: Warning,
		Title:     "Sem status do equipamento",
		Meaning:   "O caixa está em contato, mas não recebemos o status do equipamento: bloqueio, certificado, memória e pendentes não estão sendo conferidos.",
		WhatToDo:  "Informe o código de ativação ao agente deste caixa (comando zelo-agent code). Se já foi informado, ele pode ter mudado.",
		DependsOn: []Code{AgentSilent, DeviceNotAnswering},
		judge:     statusOld,
	},
	{
		Code: BlockedByTaxOffice, Subjects: []Kind{OfDevice}, Severity: Critical,
		Title:    "Bloqueado pela SEFAZ",
		Meaning:  "O equipamento parou de emitir por ordem da SEFAZ. Desde 01/01/2026 a emissão de CF-e é proibida em SP e no CE: pode ser apenas o fim do uso. Os cupons pendentes ainda precisam ser enviados por ele.",
		WhatToDo: "Deixe o equipamento ligado e na internet até não restarem pendentes. Se ele ainda deveria emitir, consulte a situação no portal da SEFAZ e só depois faça o desbloqueio.",
		judge:    blocked(ByTaxOffice, "Bloqueado pela SEFAZ (estado 1)"),
	},
	{
		Code: BlockedByTaxpayer, Subjects: []Kind{OfDevice}, Severity: Warning,
		Title:    "Bloqueado pelo contribuinte",
		Meaning:  "O bloqueio foi pedido pelo próprio contribuinte no portal da SEFAZ, e o equipamento não emite. Os cupons pendentes ainda precisam ser enviados por ele.",
		WhatToDo: "Se o bloqueio foi intencional, mantenha o equipamento na internet até não restarem pendentes. Para voltar a usar, desfaça o bloqueio no portal e depois no equipamento.",
		judge:    blocked(ByTaxpayer, "Bloqueado pelo contribuinte (estado 2)"),
	},
	{
		Code: BlockedAutonomous, Subjects: []Kind{OfDevice}, Severity: Critical,
		Title:    "Bloqueio autônomo",
		Meaning:  "O SAT parou de emitir sozinho: ficou tempo demais sem falar com a SEFAZ, tem cupom antigo sem envio, a memória encheu ou o certificado venceu.",
		WhatToDo: "Ligue o cabo de rede do equipamento e aguarde: ele se desbloqueia sozinho depois de enviar os pendentes. Se o certificado venceu, mantenha-o ligado e fale com o suporte.",
		judge:    blocked(Autonomous, "Bloqueio autônomo (estado 3)"),
	},
	{
		Code: BlockedDeactivation, Subjects: []Kind{OfDevice}, Severity: Warning,
		Title:    "Bloqueado para desativação",
		Meaning:  "Foi pedida a cessação de uso: o equipamento não emite mais e, depois de desativado, não pode ser reativado para o mesmo CNPJ.",
		WhatToDo: "Antes de desligá-lo, confira se não restam pendentes e se todos os cupons dele estão salvos na nuvem.",
		judge:    blocked(ForDeactivation, "Bloqueado para desativação (estado 4)"),
	},
	{
		Code: CertificateExpiring, Subjects: []Kind{OfDevice}, Severity: Notice,
		Title:    "Certificado do equipamento vencendo",
		Meaning:  "Com o certificado vencido o equipamento se bloqueia, e os cupons pendentes dentro dele podem não ser mais aceitos pela SEFAZ.",
		WhatToDo: "Mantenha o equipamento ligado e na internet, para que a renovação possa acontecer, e confira que nada esteja pendente antes do vencimento.",
		judge:    certificateExpiring,
	},
	{
		Code: MemoryFilling, Subjects: []Kind{OfDevice}, Severity: Warning,
		Title:    "Memória do equipamento enchendo",
		Meaning:  "Com 95 % da memória em uso o equipamento se bloqueia sozinho. Ela só é liberada quando a SEFAZ recebe os cupons.",
		WhatToDo: "Confira se o equipamento está na internet e enviando os pendentes. Se já está, fale com a assistência do fabricante.",
		judge:    memoryFilling,
	},
	{
		Code: NoContact, Subjects: []Kind{OfDevice}, Severity: Warning,
		Title:     "Sem contato com a SEFAZ",
		Meaning:   "Sem contato, os cupons não são enviados e o equipamento se bloqueia sozinho, em geral entre 10 e 15 dias.",
		WhatToDo:  "Confira o cabo de rede do equipamento e se a rede da loja libera as portas TCP 443 e UDP 123. O contato volta sozinho.",
		DependsOn: []Code{AgentSilent, DeviceNotAnswering, StatusOld},
		judge:     noContact,
	},
	{
		Code: PendingOld, Subjects: []Kind{OfDevice}, Severity: Warning,
		Title:     "Cupons pendentes de envio à SEFAZ",
		Meaning:   "Cupom não recebido pela SEFAZ no prazo (em geral 10 dias) pode ser considerado inidôneo, com multa. Em 2026 todo pendente é anterior à proibição e precisa sair do equipamento.",
		WhatToDo:  "Mantenha o equipamento ligado e na internet até a lista de pendentes ficar vazia. Os cupons já salvos na nuvem não se perdem.",
		DependsOn: []Code{AgentSilent, DeviceNotAnswering, StatusOld},
		judge:     pendingOld,
	},
	{
		Code: ClockOff, Subjects: []Kind{OfDevice}, Severity: Warning,
		Title:    "Relógio do equipamento fora de hora",
		Meaning:  "A SEFAZ recusa cupons com mais de 5 minutos de diferença, e o equipamento pode recusar a próxima venda.",
		WhatToDo: "Libere a porta UDP 123 na rede da loja: o equipamento acerta o relógio sozinho. Não há como acertá-lo à mão.",
		judge:    clockOff,
	},
	{
		Code: EmissionForbidden, Subjects: []Kind{OfDevice}, Severity: Critical,
		Title:    "CF-e emitido depois da proibição",
		Meaning:  "Desde 01/01/2026 o CF-e emitido em produção em SP e no CE é documento inábil: a venda fica sem documento válido.",
		WhatToDo: "Passe o caixa para NFC-e e leve a lista destes cupons ao contador, que avalia a denúncia espontânea. Os cupons continuam guardados.",
		judge: happened(func(f Facts) Happening { return f.Device.Forbidden },
			"documento", "documentos", " em produção com data de 2026 ou depois, desde %s.", " O último: %s."),
	},
	{
		Code: SignatureInvalid, Subjects: []Kind{OfDevice}, Severity: Critical,
		Title:    "Assinatura inválida",
		Meaning:  "O conteúdo guardado não confere com a assinatura do equipamento: o arquivo foi alterado depois de emitido ou não veio dele. Assim ele não serve de prova.",
		WhatToDo: "Procure o arquivo original no caixa, na cópia de segurança ou no portal da SEFAZ e importe-o: a versão com assinatura válida passa a valer.",
		judge: happened(func(f Facts) Happening { return f.Device.Invalid },
			"documento", "documentos", " sem assinatura válida, o mais antigo de %s.", " O mais novo: %s."),
	},
	{
		Code: DocumentMissing, Subjects: []Kind{OfDevice, OfAgent}, Severity: Critical,
		Title:    "Documento emitido e não guardado",
		Meaning:  "O equipamento emitiu, mas o documento não chegou a ser recuperado. Sem ele a loja não tem como comprovar a venda.",
		WhatToDo: "Importe o arquivo se ele existir na pasta do PDV ou baixe-o do portal da SEFAZ. O alarme termina quando o documento chegar.",
		judge: happened(func(f Facts) Happening { return f.Missing },
			"documento emitido", "documentos emitidos", " sem o arquivo, desde %s.", " O último: %s."),
	},
	{
		Code: CaseUnresolved, Subjects: []Kind{OfDevice, OfAgent}, Severity: Critical,
		Title:    "Venda sem desfecho conhecido",
		Meaning:  "Não sabemos ainda se a venda saiu. Repeti-la pode emitir o cupom duas vezes.",
		WhatToDo: "Não repita a venda. Religue o equipamento se ele estiver parado: o agente pergunta a ele e resolve o caso sozinho.",
		judge: happened(func(f Facts) Happening { return f.Unresolved },
			"venda", "vendas", " sem desfecho, desde %s.", " A última: caso %s."),
	},
	{
		Code: IssuedTwice, Subjects: []Kind{OfDevice, OfAgent}, Severity: Critical,
		Title:    "Venda emitida por dois equipamentos",
		Meaning:  "Não se sabia se a venda tinha saído no primeiro equipamento e, como a loja escolheu, ela foi feita de novo em outro. O primeiro também a emitiu: a mesma venda tem dois cupons.",
		WhatToDo: "Cancele um dos dois cupons em até 30 minutos da emissão. Se o prazo passou, avise o contador: os dois cupons estão guardados e aparecem no relatório dele. O alarme termina com o cancelamento ou em 30 dias.",
		judge:    issuedTwice,
	},
	{
		Code: RecordsEvicted, Subjects: []Kind{OfAgent}, Severity: Warning,
		Title:    "Registros descartados no caixa",
		Meaning:  "O espaço do caixa acabou antes da internet voltar, e registros de menor importância foram descartados. Documentos fiscais nunca são descartados assim.",
		WhatToDo: "Restabeleça a internet do caixa. Este aviso termina 7 dias depois do último descarte.",
		judge: recently(func(f Facts) Happening { return f.Agent.Evicted },
			"descarte", "descartes", ", o primeiro em %s.", " O último: %s."),
	},
	{
		Code: BufferDamaged, Subjects: []Kind{OfAgent}, Severity: Critical,
		Title:    "Arquivo do caixa danificado",
		Meaning:  "O arquivo em que o caixa guarda os cupons foi encontrado danificado; o que se podia ler foi salvo em um novo. Algo pode ter se perdido.",
		WhatToDo: "Confira a lista do que não pôde ser lido na página do caixa e verifique o disco do computador. Este alarme termina em 7 dias.",
		judge: recently(func(f Facts) Happening { return f.Agent.Damaged },
			"dano encontrado", "danos encontrados", ", o primeiro em %s.", " O que se perdeu: %s."),
	},
	{
		Code: AgentCloned, Subjects: []Kind{OfAgent}, Severity: Critical,
		Title:    "Caixa clonado ou restaurado",
		Meaning:  "Chegaram registros diferentes com a mesma identificação: dois computadores usam a mesma identidade, ou uma cópia antiga do disco voltou ao uso. Tudo foi guardado.",
		WhatToDo: "Descubra se o disco deste caixa foi copiado ou restaurado e cadastre de novo o computador que não é o original. Este alarme termina 7 dias depois da última vez.",
		judge: recently(func(f Facts) Happening { return f.Agent.Collided },
			"registro", "registros", " com identificação repetida e outro conteúdo, desde %s.", " Canal: %s."),
	},
	{
		Code: RecordsQuarantined, Subjects: []Kind{OfAgent, OfImports}, Severity: Warning,
		Title:    "Registros em quarentena",
		Meaning:  "Recebemos algo que não conseguimos ler. Está guardado como veio, mas não aparece entre os documentos.",
		WhatToDo: "Abra a quarentena, veja o motivo de cada registro e marque como visto o que não for documento fiscal.",
		judge: happened(func(f Facts) Happening { return f.Quarantined },
			"registro", "registros", " em quarentena, desde %s.", " O último motivo: %s."),
	},
}
