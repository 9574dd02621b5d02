package alarm

// documentRules judge what devices issued. They outlive the device.
func documentRules() []Rule {
	return []Rule{
		{
			Code: NumbersMissing, Subjects: []Kind{OfDevice}, Severity: Warning,
			Title:     "Quebra de sequência",
			Meaning:   "Faltam na nuvem números entre os documentos deste equipamento. Em uma fiscalização, cada número precisa ser explicado.",
			WhatToDo:  "Procure os arquivos nas pastas do PDV deste caixa ou no portal da SEFAZ e importe-os. O alarme termina quando não faltar nenhum.",
			DependsOn: []Code{AgentSilent},
			Scale:     Scale{Unit: Hours, Steps: []Step{{1, Warning}, {24, Critical}}, Min: 1, Max: 90 * 24},
			Until:     untilGone,
			judge:     numbersMissing,
		},
		{
			Code: NumbersDoubled, Subjects: []Kind{OfDevice}, Severity: Critical,
			Title:    "Duplicidade de numeração",
			Meaning:  "Dois documentos diferentes do mesmo equipamento têm o mesmo número: um deles não veio dele ou foi alterado.",
			WhatToDo: "Abra a numeração do equipamento, compare os dois documentos e a assinatura de cada um, e leve o caso ao contador.",
			Until:    untilGone,
			judge: happened(func(f *Facts) Happening { return f.Device.Doubled },
				"documento", "documentos", " com número que outro já tem, desde %s.", " Número: %s."),
		},
		{
			Code: EmissionForbidden, Subjects: []Kind{OfDevice}, Severity: Critical,
			Title:    "CF-e emitido depois da proibição",
			Meaning:  "Desde 01/01/2026 o CF-e emitido em produção em SP e no CE é documento inábil: a venda fica sem documento válido.",
			WhatToDo: "Passe o caixa para NFC-e e leve a lista destes cupons ao contador, que avalia a denúncia espontânea. Os cupons continuam guardados.",
			Until:    untilGone,
			judge: happened(func(f *Facts) Happening { return f.Device.Forbidden },
				"documento", "documentos", " em produção com data de 2026 ou depois, desde %s.", " O último: %s."),
		},
		{
			Code: SignatureInvalid, Subjects: []Kind{OfDevice}, Severity: Critical,
			Title:    "Assinatura inválida",
			Meaning:  "O conteúdo guardado não confere com a assinatura do equipamento: o arquivo foi alterado depois de emitido ou não veio dele. Assim ele não serve de prova.",
			WhatToDo: "Procure o arquivo original no caixa, na cópia de segurança ou no portal da SEFAZ e importe-o: a versão com assinatura válida passa a valer.",
			Until:    untilGone,
			judge: happened(func(f *Facts) Happening { return f.Device.Invalid },
				"documento", "documentos", " sem assinatura válida, o mais antigo de %s.", " O mais novo: %s."),
		},
		{
			Code: DocumentMissing, Subjects: []Kind{OfDevice, OfAgent}, Severity: Critical,
			Title:    "Documento emitido e não guardado",
			Meaning:  "O equipamento emitiu, mas o documento não chegou a ser recuperado. Sem ele a loja não tem como comprovar a venda.",
			WhatToDo: "Importe o arquivo se ele existir na pasta do PDV ou baixe-o do portal da SEFAZ. O alarme termina quando o documento chegar.",
			Until:    untilGone,
			judge: happened(func(f *Facts) Happening { return f.Missing },
				"documento emitido", "documentos emitidos", " sem o arquivo, desde %s.", " O último: %s."),
		},
		{
			Code: CaseUnresolved, Subjects: []Kind{OfDevice, OfAgent}, Severity: Critical,
			Title:    "Venda sem desfecho conhecido",
			Meaning:  "Não sabemos ainda se a venda saiu. Repeti-la pode emitir o cupom duas vezes.",
			WhatToDo: "Não repita a venda. Religue o equipamento se ele estiver parado: o agente pergunta a ele e resolve o caso sozinho.",
			Until:    untilGone,
			judge: happened(func(f *Facts) Happening { return f.Unresolved },
				"venda", "vendas", " sem desfecho, desde %s.", " A última: caso %s."),
		},
		{
			Code: IssuedTwice, Subjects: []Kind{OfDevice, OfAgent}, Severity: Critical,
			Title:    "Venda emitida por dois equipamentos",
			Meaning:  "Não se sabia se a venda tinha saído no primeiro equipamento e, como a loja escolheu, ela foi feita de novo em outro. O primeiro também a emitiu: a mesma venda tem dois cupons.",
			WhatToDo: "Cancele um dos dois cupons em até 30 minutos da emissão. Se o prazo passou, avise o contador: os dois cupons estão guardados e aparecem no relatório dele. O alarme termina com o cancelamento ou em 30 dias.",
			Until:    untilGone,
			judge:    issuedTwice,
		},
	}
}

// companyRules judge establishments and the certificates of companies.
func companyRules() []Rule {
	return []Rule{
		{
			Code: CompanyCertificate, Subjects: []Kind{OfCertificate}, Severity: Notice,
			Title:    "Certificado digital da empresa vencendo",
			Meaning:  "Sem certificado válido a loja não emite NFC-e nem NF-e, nem em contingência, e não há prazo de tolerância.",
			WhatToDo: "Renove o certificado com a certificadora e instale o novo em todos os caixas antes do vencimento.",
			Scale:    certificateScale(),
			judge:    companyCertificate,
		},
		{
			Code: SeriesGapOpen, Subjects: []Kind{OfShop}, Severity: Notice,
			Title:    "Quebra de sequência na NFC-e",
			Meaning:  "Faltam números de NFC-e. O que não for inutilizado até o dia 10 do mês seguinte conta como emitido em contingência e não transmitido.",
			WhatToDo: "Confira se falta só o arquivo: procure-o nos caixas e consulte a SEFAZ. Números que não foram usados devem ser inutilizados até o dia 10.",
			judge:    seriesGap,
		},
		{
			Code: ContingencyOpen, Subjects: []Kind{OfShop}, Severity: Notice,
			Title:    "NFC-e em contingência sem autorização",
			Meaning:  "A nota foi emitida sem internet e ainda não foi autorizada. Depois do prazo de envio a nota pode ser considerada inidônea.",
			WhatToDo: "Abra o PDV e transmita as notas em contingência. Se forem rejeitadas, corrija e envie com o mesmo número e a mesma série.",
			Scale:    Scale{Unit: Hours, Steps: []Step{{2, Notice}, {12, Warning}, {20, Critical}, {24, Critical}}, Min: 1, Max: 168},
			judge:    contingencyOpen,
		},
		{
			Code: NoteUnknown, Subjects: []Kind{OfShop}, Severity: Warning,
			Title:    "NFC-e sem desfecho conhecido",
			Meaning:  "A nota foi emitida em modo normal e não sabemos se a SEFAZ a autorizou ou rejeitou: a resposta se perdeu, ou falta o arquivo com o protocolo.",
			WhatToDo: "Consulte a nota na SEFAZ pela chave, no PDV. Não inutilize o número nem repita a venda antes da resposta.",
			Scale:    Scale{Unit: Minutes, Steps: []Step{{15, Warning}, {24 * 60, Critical}}, Min: 15, Max: 7 * 24 * 60},
			judge:    noteUnknown,
		},
		{
			Code: NoteTwins, Subjects: []Kind{OfShop}, Severity: Critical,
			Title:    "Possível duplicidade de NFC-e",
			Meaning:  "O mesmo número saiu em modo normal e em contingência. Se a SEFAZ autorizar as duas notas, a mesma venda fica com dois documentos.",
			WhatToDo: "Consulte as duas notas pela chave. Se ambas valem para a mesma venda, cancele a de modo normal por substituição em até 168 horas e avise o contador. O alarme termina com o cancelamento ou em 30 dias.",
			judge:    noteTwins,
		},
		{
			Code: NoteAgain, Subjects: []Kind{OfShop}, Severity: Warning,
			Title:    "Possível venda repetida em duas NFC-e",
			Meaning:  "Uma nota ficou sem resposta da SEFAZ e logo depois saiu outra, com outro número, o mesmo valor e os mesmos itens. Pode ser a mesma venda feita de novo, ou dois clientes que levaram o mesmo.",
			WhatToDo: "Confira no caixa se foi uma venda só e consulte as duas notas pela chave. Se a primeira não foi autorizada, inutilize o número dela. Se as duas valem para a mesma venda, cancele uma. Se foram duas vendas, marque como resolvido. O alarme termina com o cancelamento, a inutilização ou em 30 dias.",
			Scale:    Scale{Unit: Minutes, Steps: []Step{{15, Warning}}, Min: 1, Max: 60},
			judge:    noteAgain,
		},
	}
}

// causes are the rules of what many alarms have in common.
var causes = []Rule{
	{
		Code: CarrierDown, Subjects: []Kind{OfReseller}, Severity: Warning,
		Title:    "Muitas lojas sem notícia ao mesmo tempo",
		Meaning:  "O que elas têm em comum é o provável motivo: operadora de internet, energia da região ou o próprio servidor. As vendas continuam, e os cupons ficam guardados nos caixas.",
		WhatToDo: "Consulte a operadora de internet da região antes de ligar para as lojas. O alarme termina quando elas voltarem.",
	},
	{
		Code: ShopOffline, Subjects: []Kind{OfShop}, Severity: Notice,
		Title:    "Loja inteira sem notícia",
		Meaning:  "Todos os caixas da loja ficaram sem notícia juntos: é provável que tenha caído a internet ou a energia da loja. As vendas continuam, e os cupons ficam guardados nos caixas.",
		WhatToDo: "Confira o roteador e a energia da loja. Os caixas voltam sozinhos quando a internet voltar.",
	},
	{
		Code: TaxOfficeDown, Subjects: []Kind{OfReseller}, Severity: Warning,
		Title:    "Muitos equipamentos sem contato com a SEFAZ",
		Meaning:  "Equipamentos de várias lojas perderam o contato juntos: é provável que o serviço da SEFAZ esteja fora do ar ou bloqueado na rede.",
		WhatToDo: "Consulte a disponibilidade do serviço da SEFAZ. Se ele estiver no ar, confira o que mudou na rede que as lojas têm em comum.",
	},
	{
		Code: SoftwareFaulty, Subjects: []Kind{OfReseller}, Severity: Warning,
		Title:    "Recusas em um mesmo software básico",
		Meaning:  "Equipamentos do mesmo modelo e com o mesmo software básico recusam vendas: é provável que o motivo seja essa versão.",
		WhatToDo: "Não atualize outros equipamentos para esta versão e procure o fabricante com os códigos das recusas.",
	},
}
