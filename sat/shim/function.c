//go:build ignore

// What is known of each function: parameters from the dossier (1.1), deadlines
// from its slowest maker (1.8). The agent has the same table.
#include "zelo.h"

const struct function_row functions[FUNCTIONS_END] = {
    [ATIVAR_SAT] = {"AtivarSAT", "iSsi", 1800, CHANGES},
    [COMUNICAR_CERTIFICADO] = {"ComunicarCertificadoICPBRASIL", "Ss", 600, CHANGES},
    [ENVIAR_DADOS_VENDA] = {"EnviarDadosVenda", "Sx", 60, CHANGES},
    [CANCELAR_ULTIMA_VENDA] = {"CancelarUltimaVenda", "Ssx", 40, CHANGES},
    [CONSULTAR_SAT] = {"ConsultarSAT", "", 10, READS},
    [TESTE_FIM_A_FIM] = {"TesteFimAFim", "Sx", 40, CHANGES},
    [CONSULTAR_STATUS_OPERACIONAL] = {"ConsultarStatusOperacional", "S", 20, READS},
    [CONSULTAR_NUMERO_SESSAO] = {"ConsultarNumeroSessao", "Si", 40, ASKS},
    [CONFIGURAR_INTERFACE_DE_REDE] = {"ConfigurarInterfaceDeRede", "SX", 120, CHANGES},
    [ASSOCIAR_ASSINATURA] = {"AssociarAssinatura", "Sss", 1800, CHANGES},
    [ATUALIZAR_SOFTWARE_SAT] = {"AtualizarSoftwareSAT", "S", 3600, CHANGES},
    [EXTRAIR_LOGS] = {"ExtrairLogs", "S", 180, READS},
    [BLOQUEAR_SAT] = {"BloquearSAT", "S", 1200, CHANGES},
    [DESBLOQUEAR_SAT] = {"DesbloquearSAT", "S", 300, CHANGES},
    [TROCAR_CODIGO_DE_ATIVACAO] = {"TrocarCodigoDeAtivacao", "SiSS", 40, CHANGES},
    [CONSULTAR_ULTIMA_SESSAO_FISCAL] = {"ConsultarUltimaSessaoFiscal", "S", 40, ASKS},
};

int is_fiscal(enum function f) { return f == ENVIAR_DADOS_VENDA || f == CANCELAR_ULTIMA_VENDA; }
