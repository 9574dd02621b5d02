package alarm

import "time"

// tillRules judge agents and their computers.
func tillRules() []Rule {
	return append([]Rule{
		{
			Code: AgentSilent, Subjects: []Kind{OfAgent}, Severity: Notice,
			Title:    "Caixa sem notícia",
			Meaning:  "Não sabemos como está este caixa. As vendas continuam; os cupons ficam guardados no caixa até ele voltar a falar com a nuvem.",
			WhatToDo: "Veja se o computador está ligado e com internet. Se estiver, confira se o serviço Zelo está em execução.",
			Scale:    Scale{Unit: Minutes, Steps: []Step{{15, Notice}, {24 * 60, Warning}, {3 * 24 * 60, Critical}}, Min: 5, Max: 60 * 24 * 60},
			Until:    untilGone,
			judge:    agentSilent,
		},
		{
			Code: BufferFilling, Subjects: []Kind{OfAgent}, Severity: Warning,
			Title:    "Espaço do caixa enchendo",
			Meaning:  "Os registros que ainda não chegaram à nuvem estão ocupando o espaço reservado neste caixa. Quando ele acaba, nenhuma venda nova é enviada ao equipamento.",
			WhatToDo: "Restabeleça a internet do caixa: o espaço é liberado assim que os registros chegam à nuvem.",
			Scale:    Scale{Unit: Percent, Steps: []Step{{70, Warning}, {85, Critical}, {95, Critical}}, Clear: 5, Min: 10, Max: 99},
			judge:    bufferFilling,
		},
		{
			Code: RecordsEvicted, Subjects: []Kind{OfAgent}, Severity: Warning,
			Title:    "Registros descartados no caixa",
			Meaning:  "O espaço do caixa acabou antes da internet voltar, e registros de menor importância foram descartados. Documentos fiscais nunca são descartados assim.",
			WhatToDo: "Restabeleça a internet do caixa. Este aviso termina 7 dias depois do último descarte.",
			judge: recently(func(f *Facts) Happening { return f.Agent.Evicted },
				"descarte", "descartes", ", o primeiro em %s.", " O último: %s."),
		},
		{
			Code: RecordSetAside, Subjects: []Kind{OfAgent}, Severity: Critical,
			Title:    "Registro separado no caixa",
			Meaning:  "O caixa tem um registro que nenhuma mensagem consegue levar: ele está guardado lá e não chegou à nuvem.",
			WhatToDo: "Não formate este computador. Fale com o suporte para recuperar o registro; o aviso termina em 7 dias.",
			judge: recently(func(f *Facts) Happening { return f.Agent.SetAside },
				"registro separado", "registros separados", ", o primeiro em %s.", " O último: %s."),
		},
		{
			Code: BufferDamaged, Subjects: []Kind{OfAgent}, Severity: Critical,
			Title:    "Arquivo do caixa danificado",
			Meaning:  "O arquivo em que o caixa guarda os cupons foi encontrado danificado; o que se podia ler foi salvo em um novo. Algo pode ter se perdido.",
			WhatToDo: "Confira a lista do que não pôde ser lido na página do caixa e verifique o disco do computador. Este alarme termina em 7 dias.",
			judge: recently(func(f *Facts) Happening { return f.Agent.Damaged },
				"dano encontrado", "danos encontrados", ", o primeiro em %s.", " O que se perdeu: %s."),
		},
		{
			Code: AgentCloned, Subjects: []Kind{OfAgent}, Severity: Critical,
			Title:    "Caixa clonado ou restaurado",
			Meaning:  "Dois computadores usaram a mesma identidade, por cópia ou restauração de disco; cada um recebeu uma nova. Tudo o que enviaram foi guardado.",
			WhatToDo: "Se um deles não é da loja, revogue-o na página do caixa. Este alarme termina 7 dias depois da última vez.",
			judge: recently(func(f *Facts) Happening { return f.Agent.Collided },
				"registro", "registros", " com identificação repetida e outro conteúdo, desde %s.", " Canal: %s."),
		},
		{
			Code: AgentBehind, Subjects: []Kind{OfAgent}, Severity: Notice,
			Title:     "Agente desatualizado",
			Meaning:   "Este caixa usa uma versão do agente mais antiga que a dos outros. Ele continua funcionando, sem as correções mais novas.",
			WhatToDo:  "Deixe o computador ligado e com internet: a atualização chega sozinha. Se não chegar em alguns dias, reinstale o agente.",
			DependsOn: []Code{AgentSilent},
			Scale:     Scale{Unit: Days, Steps: []Step{{7, Notice}, {30, Warning}}, Min: 1, Max: 365},
			judge:     agentBehind,
		},
	}, append(computerRules(), saleRules()...)...)
}

// computerRules judge what agents tell of their computers.
func computerRules() []Rule {
	return []Rule{
		{
			Code: DiskFilling, Subjects: []Kind{OfAgent}, Severity: Warning,
			Title:     "Disco do computador enchendo",
			Meaning:   "Sem espaço em disco o PDV e o agente param, e os cupons novos não têm onde ser guardados.",
			WhatToDo:  "Libere espaço no disco do computador: arquivos temporários, cópias antigas e vídeos costumam ser a maior parte.",
			DependsOn: []Code{AgentSilent},
			Scale:     Scale{Unit: Percent, Steps: []Step{{10, Warning}, {3, Critical}}, Clear: 2, Min: 1, Max: 50},
			judge:     diskFilling,
		},
		{
			Code: MemoryLow, Subjects: []Kind{OfAgent}, Severity: Notice,
			Title:     "Pouca memória livre no computador",
			Meaning:   "Com pouca memória o computador fica lento e pode encerrar o PDV no meio de uma venda.",
			WhatToDo:  "Feche os programas que não são do caixa e reinicie o computador quando a loja fechar.",
			DependsOn: []Code{AgentSilent},
			Scale:     Scale{Unit: Percent, Steps: []Step{{5, Notice}, {2, Warning}}, Clear: 3, Min: 1, Max: 50},
			judge:     memoryLow,
		},
		{
			Code: ComputerClock, Subjects: []Kind{OfAgent}, Severity: Warning,
			Title:     "Relógio do computador fora de hora",
			Meaning:   "A hora errada do computador atrapalha o PDV, as NFC-e e a conferência dos certificados.",
			WhatToDo:  "Acerte a data e a hora do computador e ligue o acerto automático pela internet.",
			DependsOn: []Code{AgentSilent},
			Scale:     Scale{Unit: Seconds, Steps: []Step{{120, Notice}, {300, Warning}}, Clear: 30, Min: 10, Max: 86400},
			judge:     computerClock,
		},
		{
			Code: AntivirusOff, Subjects: []Kind{OfAgent}, Severity: Notice,
			Title:     "Antivírus desligado ou desatualizado",
			Meaning:   "O computador do caixa guarda certificado e senhas da loja e está sem proteção em dia.",
			WhatToDo:  "Ligue o antivírus do computador e deixe-o atualizar.",
			DependsOn: []Code{AgentSilent},
			judge:     antivirusOff,
		},
		{
			Code: USBErrors, Subjects: []Kind{OfAgent}, Severity: Warning,
			Title:     "Falhas na ligação USB",
			Meaning:   "O computador perde a ligação com aparelhos USB. O equipamento fiscal pode sumir no meio de uma venda.",
			WhatToDo:  "Troque o cabo USB do equipamento e ligue-o direto no computador, sem extensão nem hub.",
			DependsOn: []Code{AgentSilent},
			Scale:     Scale{Unit: Times, Steps: []Step{{5, Notice}, {50, Warning}}, Clear: 4, Min: 1, Max: 10000},
			judge:     usbErrors,
		},
		{
			Code: AgentUnwell, Subjects: []Kind{OfAgent}, Severity: Warning,
			Title:     "Agente com falhas",
			Meaning:   "O agente deste caixa se recuperou sozinho de falhas. As vendas continuam, mas algo nele ou no computador não está bem.",
			WhatToDo:  "Gere o pacote de suporte deste caixa e envie ao suporte.",
			DependsOn: []Code{AgentSilent},
			// A shop that pulls the plug in the evening restarts the agent once or twice a day.
			Scale: Scale{Unit: Times, Steps: []Step{{4, Notice}, {10, Warning}}, Min: 1, Max: 1000},
			judge: agentUnwell,
		},
	}
}

// saleRules judge how the tills of an agent sell.
func saleRules() []Rule {
	return []Rule{
		{
			Code: MakersLibrary, Subjects: []Kind{OfAgent}, Severity: Warning,
			Title:     "PDV voltou à biblioteca do fabricante",
			Meaning:   "O programa do caixa fala direto com o equipamento, sem passar pelo agente: os cupons não são guardados na hora e uma queda pode emitir a mesma venda duas vezes.",
			WhatToDo:  "Instale de novo a biblioteca do Zelo na pasta do PDV. Uma atualização do PDV costuma trocar o arquivo.",
			DependsOn: []Code{AgentSilent},
			Hold:      time.Hour, // whoever updates the program may put ours back
			judge:     makersLibrary,
		},
		{
			Code: LibraryUnseen, Subjects: []Kind{OfAgent}, Severity: Notice,
			Title:     "Biblioteca do PDV sem conferência",
			Meaning:   "O agente não consegue ver que biblioteca os programas deste computador usam. Se o PDV voltar à do fabricante, ninguém fica sabendo.",
			WhatToDo:  "Instale o agente como serviço do sistema, na versão de 64 bits se o sistema é de 64 bits.",
			DependsOn: []Code{AgentSilent},
			Hold:      90 * time.Minute, // agents look once an hour, and may once fail
			judge:     libraryUnseen,
		},
		{
			Code: SalesRejected, Subjects: []Kind{OfAgent}, Severity: Warning,
			Title:     "Vendas recusadas acima do normal",
			Meaning:   "O equipamento está recusando vendas que antes aceitava. Cada recusa é um cliente esperando no caixa.",
			WhatToDo:  "Veja o código da recusa: os mais comuns são cadastro de produto ou tributação mudada no PDV, e relógio do equipamento fora de hora.",
			DependsOn: []Code{AgentSilent},
			Scale:     Scale{Unit: Percent, Steps: []Step{{5, Warning}, {30, Critical}}, Clear: 2, Min: 1, Max: 100},
			judge:     salesRejected,
		},
		{
			Code: SalesSlow, Subjects: []Kind{OfAgent}, Severity: Notice,
			Title:     "Vendas demoradas",
			Meaning:   "O equipamento demora a responder, e o cliente espera no caixa.",
			WhatToDo:  "Confira o cabo do equipamento e se outros programas do computador falam com ele ao mesmo tempo.",
			DependsOn: []Code{AgentSilent},
			Scale:     Scale{Unit: Seconds, Steps: []Step{{10, Notice}, {20, Warning}}, Clear: 2, Min: 1, Max: 120},
			judge:     salesSlow,
		},
		{
			Code: RecordsQuarantined, Subjects: []Kind{OfAgent, OfImports}, Severity: Warning,
			Title:    "Registros em quarentena",
			Meaning:  "Recebemos algo que não conseguimos ler. Está guardado como veio, mas não aparece entre os documentos.",
			WhatToDo: "Abra a quarentena, veja o motivo de cada registro e marque como visto o que não for documento fiscal.",
			judge: happened(func(f *Facts) Happening { return f.Quarantined },
				"registro", "registros", " em quarentena, desde %s.", " O último motivo: %s."),
		},
	}
}

// recent is how long something that happened once stays an alarm, twice how long a
// sale issued twice does: later than that it is the accountant's.
const (
	recent = 7 * day
	twice  = 30 * day
	day    = 24 * time.Hour
)
