package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestConfigIsItsManual: what is printed is a configuration with the defaults.
func TestConfigIsItsManual(t *testing.T) {
	var b bytes.Buffer
	if err := describeConfig(&b); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, configFile), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := loadConfig(folder); err != nil || c != defaultConfig() {
		t.Errorf("%+v, %v\n%s", c, err, &b)
	}
	if n := strings.Count(b.String(), "\n# "); n != 1+reflect.TypeFor[Config]().NumField() {
		t.Errorf("%d keys are explained:\n%s", n, &b)
	}
}

func TestConfigFaults(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a key misspelt":        {"email_senha = \"geheim\"\n\nemail_senh = \"geheim\"", "chave desconhecida na linha 3: email_senh;"},
		"no TOML":               {`paginas = `, "coletor.toml: a linha 1 não pode ser lida"},
		"text without quotes":   {"paginas = \"x:1\"\nemail_senha = 12geheim", "a linha 2 não pode ser lida"},
		"a number for a text":   {`email_senha = 1234567`, "a linha 1 não pode ser lida"},
		"no port":               {`mqtt = "0.0.0.0"`, "mqtt: escreva endereço:porta"},
		"an address with path":  {`endereco = "https://x/y"`, "endereco: escreva"},
		"an address of its own": {`endereco = "http://x"`, "endereco: escreva"},
		"no name":               {`nome = ""`, "nome: escreva"},
		"a name with port":      {`nome = "x:8883"`, "nome: escreva"},
		"pages in the clear":    {`paginas = "0.0.0.0:8080"`, "só atendem neste computador"},
		"WebSocket, no port":    {`mqtt_web = "0.0.0.0"`, "mqtt_web: escreva endereço:porta"},
		"a broker in the clear": {`broker_externo = "tcp://mqtt.example:1883"`, "broker_externo: escreva"},
		"a broker without port": {`broker_externo = "tls://mqtt.example"`, "broker_externo: escreva"},
		"a broker with path":    {`broker_externo = "tls://mqtt.example:8883/x"`, "broker_externo: escreva"},
		"a cluster, no port":    {`broker_externo = "nats://mqtt.example:4222,nats-1.example"`, "broker_externo: escreva um cluster"},
		"a cluster of nobody":   {`broker_externo = "nats://"`, "broker_externo: escreva um cluster"},
		"a foreign name there":  {`broker_usuario = "loja"`, "broker_usuario: escreva"},
		"a name with a space":   {`broker_usuario = "coletor 2"`, "broker_usuario: escreva"},
		"two brokers":           {"mqtt_web = \"0.0.0.0:443\"\nbroker_externo = \"tls://mqtt.example:8883\"", "mqtt_web: com broker_externo"},
		"peers without port":    {"coletores = \"10.0.0.2\"\ncoletores_porta = \"0.0.0.0:8884\"\nbanco = \"postgres://z@db/z\"", "coletores: escreva"},
		"peers and no door":     {`coletores = "10.0.0.2:8884"`, "andam juntos"},
		"peers on a file":       {"coletores = \"10.0.0.2:8884\"\ncoletores_porta = \"0.0.0.0:8884\"", "andam juntos"},
		"another database":      {`banco = "mysql://zelo@db/zelo"`, "banco: escreva"},
		"no database's name":    {`banco = "postgres://zelo@db"`, "banco: escreva"},
		"a password with signs": {`banco = "postgres://zelo:a%b@db/zelo"`, "banco: escreva"},
		"CF-e kept too shortly": {`guarda_cfe_anos = 4`, "guarda_menor_que_a_lei"},
		"audit kept too short":  {"guarda_auditoria_meses = 12\nguarda_menor_que_a_lei = true", "auditoria 60 meses"},
		"kept for no time":      {`guarda_alarmes_meses = 0`, "guarda: escreva"},
		"a level":               {`log = "loud"`, "log: use debug"},
		"a log's format":        {`log_formato = "xml"`, "log_formato: use texto"},
		"e-mail, no port":       {`email_servidor = "smtp.example"`, "email_servidor: escreva"},
		"e-mail from nobody":    {`email_servidor = "smtp.example:587"`, "email_remetente: escreva"},
		"e-mail in the clear":   {"email_servidor = \"smtp.example:25\"\nemail_remetente = \"a@x.example\"\nemail_seguranca = \"nenhuma\"", "nenhuma só serve"},
		"two passwords":         {"email_servidor = \"smtp.example:587\"\nemail_remetente = \"a@x.example\"\nemail_senha = \"x\"\nemail_senha_arquivo = \"y\"", "só um dos dois"},
		"a made-up security":    {`email_seguranca = "ssl"`, "email_seguranca: use"},
		"figures for all":       {`metricas = "0.0.0.0:9090"`, "metricas: só atendem neste computador"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, configFile), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := loadConfig(folder)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), folder) || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "1234567") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestPagesURL(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Pages: "127.0.0.1:8080", Name: "zelo"}, "http://127.0.0.1:8080"},
		{Config{Pages: "[::1]:8080", Name: "zelo"}, "http://[::1]:8080"},
		{Config{Pages: "127.0.0.1:8080", Address: "https://zelo.example"}, "https://zelo.example"},
	} {
		if got := c.config.pagesURL(); got != c.want {
			t.Errorf("%+v: %s", c.config, got)
		}
	}
	if host, _ := os.Hostname(); hostOf("0.0.0.0:8883") != host || hostOf("192.0.2.1:1") != "192.0.2.1" {
		t.Errorf("%s, %s", hostOf("0.0.0.0:8883"), hostOf("192.0.2.1:1"))
	}
}

func TestDatabase(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"", filepath.Join("pasta", "zelo.db")},
		{"postgres://zelo@db/zelo", "postgres://zelo@db/zelo"},
		{"postgresql:///zelo?host=/run/postgresql", "postgresql:///zelo?host=/run/postgresql"},
	} {
		config := defaultConfig()
		config.Database = c.set
		if err := config.check(); err != nil || config.database("pasta") != c.want {
			t.Errorf("%q: %s, %v", c.set, config.database("pasta"), err)
		}
	}
}

func TestAuthorities(t *testing.T) {
	folder := fresh(t)
	if pool, err := authorities(filepath.Join(folder, "ca.crt")); pool == nil || err != nil {
		t.Error(err)
	}
	if pool, err := authorities(""); pool != nil || err != nil {
		t.Errorf("%v, %v", pool, err)
	}
	for _, path := range []string{filepath.Join(folder, configFile), filepath.Join(folder, "missing")} {
		if _, err := authorities(path); err == nil {
			t.Errorf("%s was taken", path)
		}
	}
}
