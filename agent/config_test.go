package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"zelo/agent/remote"
)

func TestInvalidConfigurationsSayWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"unknown key":            {`pastas = "/x"`, "chave desconhecida"},
		"relative folder":        {`pasta = "zelo"`, "pasta: escreva o caminho completo"},
		"the whole disk":         {`pasta = ` + strconv.Quote(filepath.VolumeName(os.TempDir())+string(filepath.Separator)), "pasta: escreva uma pasta que seja só do agente"},
		"no socket":              {`soquete = ""`, "soquete: falta"},
		"unknown driver":         {`equipamentos = ["cabo:1"]`, "equipamentos: \"cabo:1\": "},
		"device twice":           {`equipamentos = ["tcp:127.0.0.1:1", "tcp:127.0.0.1:1"]`, "aparece duas vezes"},
		"till without device":    {`caixas = ["001"]`, "caixas: \"001\": escreva o caixa"},
		"network without port":   {`rede_local = "0.0.0.0"`, "rede_local: escreva endereço:porta"},
		"neighbour without host": {`vizinhos = [":9021"]`, "vizinhos: \":9021\": escreva endereço:porta"},
		"unknown policy":         {`preferencia = "sorte"`, "preferencia: use fixa, menos-ocupado"},
		"unknown doubt":          {`venda_incerta = "repetir"`, "venda_incerta: use esperar"},
		"tills without a key":    {`terminais = "0.0.0.0:9020"`, "chave_terminais: são 64 dígitos"},
		"short key":              {"terminais = \"0.0.0.0:9020\"\nchave_terminais = \"0123\"", "chave_terminais: são 64 dígitos"},
		"no such table":          {`codigos_cancelamento_pdv = "novo"`, "codigos_cancelamento_pdv: use antiga ou nova"},
		"page by name":           {`pagina = "caixa:9018"`, "pagina: escreva o número IP"},
		"page for everybody":     {`pagina = "0.0.0.0:9018"`, "pagina: escreva o número IP"},
		"hub without a page":     {"pagina = \"\"\nsathub = true", "sathub: precisa"},
		"certificates by half":   {`pastas_certificados = ["certificados"]`, "pastas_certificados: escreva o caminho completo"},
		"partner over http":      {`renovar_link = "http://parceiro.exemplo.com.br"`, "renovar_link: escreva"},
		"offer of two lines":     {`renovar_texto = "a\nb"`, "renovar_texto: use uma frase"},
		"hammering":              {`intervalo_status = "1ms"`, "intervalo_status: use um segundo ou mais"},
		"bare number":            {`intervalo_sinal = "5"`, "configuração"},
		"negative limit":         {`limite_mb_hora = -1`, "limite_mb_hora: use de 0"},
		"endless limit":          {`limite_mb_hora = 9223372036854775807`, "limite_mb_hora: use de 0"},
		"proxy without scheme":   {`proxy = "192.168.0.1:3128"`, "proxy: escreva http://"},
		"proxy over TLS":         {`proxy = "https://loja:segredo@proxy:3128"`, "proxy: escreva http://"},
		"proxy without host":     {`proxy = "http://loja:segredo@:3128"`, "proxy: escreva http://"},
		"proxy with a path":      {`proxy = "http://loja:segredo@proxy:3128/x"`, "proxy: escreva http://"},
		"proxy half encoded":     {`proxy = "http://loja:segredo%@proxy:3128"`, "proxy: escreva http://"},
		"proxy misspelt":         {"pasta = \"/x\"\nproxi = \"http://loja:segredo@proxy:3128\"", "chave desconhecida: proxi (linha 2)"},
		"misspelt beside proxy":  {"proxy = \"http://loja:segredo@proxy:3128\"\npastas = \"/x\"", "chave desconhecida: pastas (linha 2)"},
		"proxy without quotes":   {`proxy = http://loja:segredo@proxy:3128`, "configuração"},
		"proxy of two values":    {`proxy = ["http://loja:segredo@proxy:3128"]`, "configuração"},
		"fallback over http":     {`coletor_alternativo = "https://zelo.example/mqtt"`, "coletor_alternativo: escreva"},
		"fallback without host":  {`coletor_alternativo = "wss:///mqtt"`, "coletor_alternativo: escreva"},
		"tiny buffer":            {`buffer_mb = 1`, "buffer_mb: use 32 ou mais"},
		"unknown log level":      {`log = "tudo"`, "log: use debug, info, warn ou error"},
		"not TOML":               {`pasta: /x`, "configuração"},
	} {
		path := filepath.Join(t.TempDir(), "agent.toml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadConfig(path); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q with the file's name", name, err, c.says)
		} else if strings.Contains(err.Error(), "segredo") {
			t.Errorf("%s: the error shows the proxy's password: %v", name, err)
		}
	}
	if _, err := loadConfig(filepath.Join(t.TempDir(), "absent.toml")); err == nil {
		t.Error("a named file that is absent was accepted")
	}
}

// The manual that `zelo-agent config` prints is itself a valid configuration and
// says what the defaults are.
func TestManualIsTheDefault(t *testing.T) {
	var manual bytes.Buffer
	if err := describeConfig(&manual); err != nil {
		t.Fatal(err)
	}
	var c Config
	if err := toml.NewDecoder(&manual).DisallowUnknownFields().Decode(&c); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, defaultConfig()) {
		t.Errorf("the manual says %+v, the defaults are %+v", c, defaultConfig())
	}
	if time.Duration(c.Status) != 15*time.Minute {
		t.Errorf("status every %s", time.Duration(c.Status))
	}
}

// Secrets do not leave this computer with its configuration, also those that the agent
// does not use yet, and what is like one stays as it is.
func TestConfigurationIsShownWithoutSecrets(t *testing.T) {
	key, fresh := strings.Repeat("5a", 32), strings.Repeat("6b", 32)
	folder := t.TempDir()
	path := filepath.Join(folder, "agent.toml")
	text := func(key, password string) string {
		return fmt.Sprintf("pasta = %q\nterminais = \"127.0.0.1:0\"\nchave_terminais = %q\nproxy = 'http://loja:%s@10.0.0.1:3128'\n"+
			"# proxy = \"http://u:velha@10.0.0.1:3128\"\nrenovar_texto = \"Fale com a loja: certificado@exemplo.com.br\"\n", folder, key, password)
	}
	c, err := parseConfig([]byte(text(key, "loja")), path)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{config: c}
	for password, written := range map[string]string{"loja": text(key, "loja"), "segredo%40": text(fresh, "segredo%40")} {
		if err := os.WriteFile(path, []byte(written), 0o600); err != nil {
			t.Fatal(err)
		}
		shown, err := a.configText()
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{key, fresh, ":" + password + "@", "velha"} {
			if strings.Contains(string(shown), secret) {
				t.Errorf("%q is shown: %s", secret, shown)
			}
		}
		if !strings.Contains(string(shown), "Fale com a loja: certificado@") {
			t.Errorf("more than the secrets is masked: %s", shown)
		}
		whole, err := a.checkConfig(shown)
		if want := strings.Replace(written, "velha", remote.Masked, 1); err != nil || string(whole) != want {
			t.Errorf("%v, and back it is %s", err, whole)
		}
	}
}
