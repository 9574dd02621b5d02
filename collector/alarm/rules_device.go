package alarm

// deviceRules judge how a device is.
func deviceRules() []Rule {
	return append([]Rule{
		{
			Code: DeviceNotAnswering, Subjects: []Kind{OfDevice}, Severity: Warning,
			Title:     "Equipamento não responde",
			Meaning:   "O caixa não consegue falar com o equipamento: enquanto isso não há emissão por ele, e os cupons que estão dentro dele não podem ser conferidos.",
			WhatToDo:  "Confira a energia e o cabo do equipamento. Se as luzes estiverem acesas, desligue-o, espere 10 segundos e ligue de novo.",
			DependsOn: []Code{AgentSilent},
			Scale:     Scale{Unit: Minutes, Steps: []Step{{2, Warning}, {30, Critical}}, Min: 1, Max: 7 * 24 * 60},
			Until:     untilDrained,
			judge:     deviceNotAnswering,
		},
		{
			Code: StatusOld, Subjects: []Kind{OfDevice}, Severity: Warning,
			Title:     "Sem status do equipamento",
			Meaning:   "O caixa está em contato, mas não recebemos o status do equipamento: bloqueio, certificado, memória e pendentes não estão sendo conferidos.",
			WhatToDo:  "Informe o código de ativação ao agente deste caixa (comando zelo-agent code). Se já foi informado, ele pode ter mudado.",
			DependsOn: []Code{AgentSilent, DeviceNotAnswering},
			Scale:     Scale{Unit: Hours, Steps: []Step{{24, Warning}, {72, Critical}}, Min: 1, Max: 60 * 24},
			Until:     untilDrained,
			judge:     statusOld,
		},
		{
			Code: BlockedByTaxOffice, Subjects: []Kind{OfDevice}, Severity: Critical,
			Title:    "Bloqueado pela SEFAZ",
			Meaning:  "O equipamento parou de emitir por ordem da SEFAZ. Desde 01/01/2026 a emissão de CF-e é proibida em SP e no CE: pode ser apenas o fim do uso. Os cupons pendentes ainda precisam ser enviados por ele.",
			WhatToDo: "Deixe o equipamento ligado e na internet até não restarem pendentes. Se ele ainda deveria emitir, consulte a situação no portal da SEFAZ e só depois faça o desbloqueio.",
			Until:    untilDrained,
			judge:    bannedBlock,
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
			judge:    blockedAutonomous,
		},
		{
			Code: BlockedDeactivation, Subjects: []Kind{OfDevice}, Severity: Warning,
			Title:    "Bloqueado para desativação",
			Meaning:  "Foi pedida a cessação de uso: o equipamento não emite mais e, depois de desativado, não pode ser reativado para o mesmo CNPJ.",
			WhatToDo: "Antes de desligá-lo, confira se não restam pendentes e se todos os cupons dele estão salvos na nuvem.",
			judge:    blocked(ForDeactivation, "Bloqueado para desativação (estado 4)"),
		},
	}, append(ahead(), partRules()...)...)
}

// ahead are the rules of what makes a device block itself.
func ahead() []Rule {
	return []Rule{
		{
			Code: NetworkDown, Subjects: []Kind{OfDevice}, Severity: Warning,
			Title:     "Rede do equipamento desconectada",
			Meaning:   "O equipamento não tem rede: os cupons não são enviados à SEFAZ e, passados alguns dias, ele se bloqueia sozinho.",
			WhatToDo:  "Confira o cabo de rede do equipamento e a porta em que está ligado. As luzes da tomada de rede devem piscar.",
			DependsOn: []Code{AgentSilent, DeviceNotAnswering, StatusOld},
			Scale:     Scale{Unit: Hours, Steps: []Step{{1, Warning}, {24, Critical}}, Min: 0.25, Max: 30 * 24},
			PartOf:    []Part{{BlockedAutonomous, 1}},
			Until:     untilDrained,
			judge:     networkDown,
		},
		{
			Code: CertificateExpiring, Subjects: []Kind{OfDevice}, Severity: Notice,
			Title:    "Certificado do equipamento vencendo",
			Meaning:  "Com o certificado vencido o equipamento se bloqueia, e os cupons pendentes dentro dele podem não ser mais aceitos pela SEFAZ.",
			WhatToDo: "Mantenha o equipamento ligado e na internet, para que a renovação possa acontecer, e confira que nada esteja pendente antes do vencimento.",
			// Only what has expired is why it blocked itself, and only a full memory.
			PartOf: []Part{{BlockedAutonomous, 7}},
			Scale:  certificateScale(),
			Until:  untilDrained,
			judge:  certificateExpiring,
		},
		{
			Code: MemoryFilling, Subjects: []Kind{OfDevice}, Severity: Warning,
			Title:    "Memória do equipamento enchendo",
			Meaning:  "Com 95 % da memória em uso o equipamento se bloqueia sozinho. Ela só é liberada quando a SEFAZ recebe os cupons.",
			WhatToDo: "Confira se o equipamento está na internet e enviando os pendentes. Se já está, fale com a assistência do fabricante.",
			PartOf:   []Part{{BlockedAutonomous, 3}},
			Scale:    Scale{Unit: Percent, Steps: []Step{{70, Warning}, {85, Critical}, {95, Critical}}, Clear: 3, Min: 10, Max: 99},
			judge:    memoryFilling,
		},
		{
			Code: NoContact, Subjects: []Kind{OfDevice}, Severity: Warning,
			Title:     "Sem contato com a SEFAZ",
			Meaning:   "Sem contato, os cupons não são enviados e o equipamento se bloqueia sozinho, em geral entre 10 e 15 dias.",
			WhatToDo:  "Confira o cabo de rede do equipamento e se a rede da loja libera as portas TCP 443 e UDP 123. O contato volta sozinho.",
			DependsOn: []Code{AgentSilent, DeviceNotAnswering, StatusOld},
			PartOf:    []Part{{BlockedAutonomous, 1}, {NetworkDown, 1}},
			Scale:     Scale{Unit: Hours, Steps: []Step{{24, Warning}, {72, Critical}, {168, Critical}}, Min: 1, Max: 60 * 24},
			Until:     untilDrained,
			judge:     noContact,
		},
		{
			Code: PendingOld, Subjects: []Kind{OfDevice}, Severity: Warning,
			Title:     "Cupons pendentes de envio à SEFAZ",
			Meaning:   "Cupom não recebido pela SEFAZ no prazo (em geral 10 dias) pode ser considerado inidôneo, com multa. Em 2026 todo pendente é anterior à proibição e precisa sair do equipamento.",
			WhatToDo:  "Mantenha o equipamento ligado e na internet até a lista de pendentes ficar vazia. Os cupons já salvos na nuvem não se perdem.",
			DependsOn: []Code{AgentSilent, DeviceNotAnswering, StatusOld},
			PartOf:    []Part{{BlockedAutonomous, 1}, {NetworkDown, 1}, {NoContact, 1}},
			Scale:     Scale{Unit: Hours, Steps: []Step{{24, Warning}, {72, Critical}, {192, Critical}}, Min: 1, Max: 60 * 24},
			Until:     untilDrained,
			judge:     pendingOld,
		},
		{
			Code: NotTransmitted, Subjects: []Kind{OfDevice}, Severity: Warning,
			Title:     "Última venda ainda não transmitida",
			Meaning:   "O equipamento vendeu e desde então não transmitiu nenhum cupom à SEFAZ. Cupom não recebido no prazo pode ser considerado inidôneo.",
			WhatToDo:  "Confira o cabo de rede do equipamento e se a rede da loja libera a porta TCP 443. O envio volta sozinho.",
			DependsOn: []Code{AgentSilent, DeviceNotAnswering, StatusOld},
			PartOf:    []Part{{BlockedAutonomous, 1}, {NetworkDown, 1}, {NoContact, 1}, {PendingOld, 1}},
			Scale:     Scale{Unit: Hours, Steps: []Step{{24, Warning}, {72, Critical}}, Min: 1, Max: 60 * 24},
			Until:     untilDrained,
			judge:     notTransmitted,
		},
		{
			Code: ClockOff, Subjects: []Kind{OfDevice}, Severity: Warning,
			Title:    "Relógio do equipamento fora de hora",
			Meaning:  "A SEFAZ recusa cupons com mais de 5 minutos de diferença, e o equipamento pode recusar a próxima venda.",
			WhatToDo: "Libere a porta UDP 123 na rede da loja: o equipamento acerta o relógio sozinho. Não há como acertá-lo à mão.",
			Scale:    Scale{Unit: Seconds, Steps: []Step{{60, Warning}, {240, Critical}}, Clear: 10, Min: 5, Max: 3600},
			Until:    untilDrained,
			judge:    clockOff,
		},
	}
}

// partRules judge the parts of a device, and what it is seen doing.
func partRules() []Rule {
	return []Rule{
		{
			Code: BatteryWeak, Subjects: []Kind{OfDevice}, Severity: Notice,
			Title:     "Bateria do equipamento fraca",
			Meaning:   "A bateria mantém o relógio e a memória do equipamento sem energia. Sem ela, uma queda de luz pode inutilizá-lo com cupons dentro.",
			WhatToDo:  "Mantenha o equipamento ligado e agende a troca da bateria com a assistência do fabricante.",
			DependsOn: []Code{AgentSilent, DeviceNotAnswering, StatusOld},
			Scale:     Scale{Unit: Hours, Steps: []Step{{1, Notice}, {24, Warning}}, Min: 0.25, Max: 90 * 24},
			Until:     untilDrained,
			judge:     batteryWeak,
		},
		{
			Code: SoftwareBehind, Subjects: []Kind{OfDevice}, Severity: Notice,
			Title:    "Software básico mais antigo que o dos outros",
			Meaning:  "Outros equipamentos do mesmo modelo já usam um software básico mais novo. A SEFAZ pode recusar cupons de versões antigas.",
			WhatToDo: "Peça a atualização do software básico fora do horário de vendas, com o equipamento na internet.",
			Scale:    Scale{Unit: Days, Steps: []Step{{30, Notice}}, Min: 1, Max: 365},
			judge:    softwareBehind,
		},
		{
			Code: LostSeen, Subjects: []Kind{OfDevice}, Severity: Warning,
			Title:    "Equipamento extraviado deu sinal",
			Meaning:  "O equipamento está marcado como extraviado e depois disso respondeu ou emitiu.",
			WhatToDo: "Confira onde ele está e corrija a etapa do equipamento. Se ele não está com a loja, avise a SEFAZ e a polícia.",
			Until:    untilGone,
			judge:    lostSeen,
		},
		{
			Code: IssuedOutside, Subjects: []Kind{OfDevice}, Severity: Warning,
			Title:    "Emissão por fora do agente",
			Meaning:  "O equipamento emitiu sem passar pelo agente: pela ponte direta, pela ferramenta do fabricante ou por outro computador. Esses cupons só chegam à nuvem se forem recuperados.",
			WhatToDo: "Confira se o serviço do agente estava parado e se o PDV usa a biblioteca do Zelo. Este aviso termina 7 dias depois da última vez.",
			judge:    issuedOutside,
		},
	}
}

// certificateScale is that of certificates, 90 to 1 day before they expire (dossiers on
// CF-e documents, 4.5, and on certificates, 6).
func certificateScale() Scale {
	return Scale{Unit: DaysLeft, Steps: []Step{{90, Notice}, {60, Notice}, {30, Warning}, {15, Critical}, {7, Critical}, {1, Critical}, {-1, Critical}},
		Min: -1, Max: 365}
}

// blockedAutonomous says only that it is: why, and what keeps it so, are its parts.
func blockedAutonomous(l *look) *finding {
	if l.Device.Block != Autonomous {
		return nil
	}
	return &finding{since: l.Device.BlockSince, detail: "Bloqueio autônomo (estado 3) desde " + moment(l.Device.BlockSince) + "."}
}
