package api

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"zelo/collector/account"
)

// schemas is where the forms of answers are described, by their names.
const schemas = "#/components/schemas/"

// describe is the OpenAPI 3.1 description of a table of operations, made from it and
// from its answers alone.
func describe(operations []Operation) *huma.OpenAPI {
	registry := huma.NewMapRegistry(schemas, schemaName)
	doc := &huma.OpenAPI{OpenAPI: "3.1.0", Servers: []*huma.Server{{URL: Base}}, Info: &huma.Info{Title: "Zelo", Version: "1",
		Description: "Operações do coletor Zelo. Horários em UTC (RFC 3339), valores como decimais com ponto, erros como application/problem+json. " +
			"Um programa usa um código de API, que lê e faz o que mais tiver o direito de fazer, sempre dentro do que a pessoa pode: " +
			"cada operação diz que direito pede. As demais operações são das páginas, com a sessão da pessoa."},
		Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
			"token":   {Type: "http", Scheme: "bearer", Description: "Código de API, da página Conta."},
			"session": {Type: "apiKey", In: "cookie", Name: "__Host-zelo", Description: "Sessão de uma pessoa nas páginas."},
		}, Responses: map[string]*huma.Response{"Problem": {Description: "O que impediu, e o que fazer (RFC 9457).",
			Content: content("application/problem+json", registry.Schema(reflect.TypeFor[trouble](), true, ""))}}}}
	for _, op := range operations {
		doc.AddOperation(op.describe(registry))
	}
	for _, s := range registry.Map() {
		solid(s)
	}
	return doc
}

// schemaName is the name of an answer's type without what says that it is one.
func schemaName(t reflect.Type, hint string) string {
	name := []rune(strings.TrimSuffix(huma.DefaultSchemaNamer(t, hint), "Answer"))
	name[0] = unicode.ToUpper(name[0])
	return string(name)
}

// solid says that lists are never null, nor is anything in them, and that a form may
// grow.
func solid(s *huma.Schema) {
	s.Nullable = false
	if s.Items != nil {
		solid(s.Items)
	}
	for _, p := range s.Properties {
		solid(p)
	}
	if s.AdditionalProperties == false {
		s.AdditionalProperties = nil
	}
}

func content(kind string, s *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{kind: {Schema: s}}
}

// describe is the description of one operation.
func (op Operation) describe(registry huma.Registry) *huma.Operation {
	var roles []string
	for _, r := range op.Roles {
		roles = append(roles, RoleWord(r))
	}
	slices.Sort(roles)
	out := &huma.Operation{OperationID: string(op.Op), Method: op.Method, Path: op.Path, Tags: []string{strings.Split(op.Path, "/")[1]},
		Description: "Para " + strings.Join(roles, ", ") + ".", Security: []map[string][]string{{"session": {}}},
		Responses: map[string]*huma.Response{"default": {Ref: "#/components/responses/Problem"}}}
	if op.Needs != "" {
		out.Description += fmt.Sprintf(" Vê só os estabelecimentos cujo plano inclui %s.", op.Needs)
	}
	switch right := op.Right(); right {
	case "":
		out.Description += " Não se faz com um código de API."
	case account.RightRead:
		out.Security = append(out.Security, map[string][]string{"token": {}})
		out.Description += " Um código de API precisa do direito read, que todos têm."
	default:
		out.Security = append(out.Security, map[string][]string{"token": {string(right)}})
		out.Description += fmt.Sprintf(" Um código de API precisa do direito %s: %s.", right, RightWord(right))
		if right == account.RightQueries {
			out.Description += " Para os demais comandos, do direito commands."
		}
	}
	var inBody []Param
	for _, p := range op.Params {
		switch {
		case p.inPath(op):
			out.Parameters = append(out.Parameters, &huma.Param{Name: p.Name, In: "path", Required: true, Schema: p.schema()})
		case op.Method == http.MethodGet:
			out.Parameters = append(out.Parameters, &huma.Param{Name: p.Name, In: "query", Schema: p.schema()})
		default:
			inBody = append(inBody, p)
		}
	}
	out.RequestBody = op.requestBody(inBody)
	status, answer := op.response(registry)
	out.Responses[status] = answer
	return out
}

func (op Operation) requestBody(params []Param) *huma.RequestBody {
	switch {
	case len(params) == 0:
		return nil
	case op.takesFile():
		return &huma.RequestBody{Required: true, Content: content("application/xml", &huma.Schema{Type: huma.TypeString})}
	}
	s := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}}
	for _, p := range params {
		s.Properties[p.Name] = p.schema()
	}
	return &huma.RequestBody{Content: content("application/json", s)}
}

func (op Operation) response(registry huma.Registry) (status string, _ *huma.Response) {
	switch v := op.Answer.(type) {
	case nil:
		return "204", &huma.Response{Description: "Feito."}
	case File:
		return "200", &huma.Response{Description: "O arquivo, byte por byte. O ETag é o seu SHA-256.",
			Headers: map[string]*huma.Param{"ETag": {Schema: &huma.Schema{Type: huma.TypeString}}},
			Content: content("application/octet-stream", &huma.Schema{Type: huma.TypeString, Format: "binary"})}
	case Stream:
		return "200", &huma.Response{Description: "O arquivo, feito enquanto é enviado.", Content: content(string(v), &huma.Schema{Type: huma.TypeString, Format: "binary"})}
	}
	return "200", &huma.Response{Description: "A resposta.", Content: content("application/json", registry.Schema(reflect.TypeOf(op.Answer), true, string(op.Op)))}
}

func (p Param) schema() *huma.Schema {
	if p.Kind.numeric() {
		return &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
	}
	return &huma.Schema{Type: huma.TypeString}
}
