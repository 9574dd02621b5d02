package api

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

var update = flag.Bool("update", false, "writes testdata/openapi.json anew")

// TestDescription: what testdata says of the API still holds, so that no program
// that relies on it breaks unnoticed. More may have been added.
func TestDescription(t *testing.T) {
	raw, err := json.MarshalIndent(describe(Operations()), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/openapi.json"
	if *update {
		if err := os.WriteFile(golden, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(golden)
	var before, after any
	if err := errors.Join(err, json.Unmarshal(old, &before), json.Unmarshal(raw, &after)); err != nil {
		t.Fatal(err)
	}
	holds(t, before, after, "")
}

// holds compares two descriptions: what was there is there, as it was.
func holds(t *testing.T, before, after any, at string) {
	t.Helper()
	switch b := before.(type) {
	case map[string]any:
		a, _ := after.(map[string]any)
		for name, inner := range b {
			if a[name] == nil {
				t.Errorf("%s/%s is gone: programs may rely on it. If none does: go test ./collector/api -run TestDescription -update", at, name)
			} else if name != "description" {
				holds(t, inner, a[name], at+"/"+name)
			}
		}
	case []any:
		a, _ := after.([]any)
		for i, inner := range b {
			if !slices.ContainsFunc(a, func(one any) bool { return reflect.DeepEqual(one, inner) }) {
				t.Errorf("%s/%d is gone: %v", at, i, inner)
			}
		}
	default:
		if before != after {
			t.Errorf("%s was %v and is %v", at, before, after)
		}
	}
}

// TestDescriptionIsValid: the description is OpenAPI 3.1 that holds together, with
// every operation in it.
func TestDescriptionIsValid(t *testing.T) {
	raw, err := json.Marshal(describe(Operations()))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	info, _ := doc["info"].(map[string]any)
	if v, _ := doc["openapi"].(string); !strings.HasPrefix(v, "3.1.") || info["title"] == nil || info["version"] == nil {
		t.Errorf("openapi %v, info %v", doc["openapi"], info)
	}
	paths := doc["paths"].(map[string]any)
	ids := map[string]bool{}
	for _, op := range Operations() {
		found, _ := paths[op.Path].(map[string]any)[strings.ToLower(op.Method)].(map[string]any)
		if found == nil || found["operationId"] != string(op.Op) || ids[string(op.Op)] {
			t.Errorf("%s %s is described as %v", op.Method, op.Path, found["operationId"])
			continue
		}
		ids[string(op.Op)] = true
		checkOperation(t, op, found)
	}
	walk(t, doc, doc, "")
}

// checkOperation checks what OpenAPI asks of an operation object.
func checkOperation(t *testing.T, op Operation, found map[string]any) {
	t.Helper()
	inPath := map[string]bool{}
	parameters, _ := found["parameters"].([]any)
	for _, p := range parameters {
		p := p.(map[string]any)
		if p["name"] == nil || p["schema"] == nil || p["in"] == "path" && p["required"] != true {
			t.Errorf("%s: parameter %v", op.Op, p)
		}
		if p["in"] == "path" {
			inPath[p["name"].(string)] = true
		}
	}
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(op.Path, -1) {
		if !inPath[m[1]] {
			t.Errorf("%s: {%s} is no parameter of the table", op.Op, m[1])
		}
	}
	for status, r := range found["responses"].(map[string]any) {
		r := r.(map[string]any)
		if r["$ref"] == nil && r["description"] == nil {
			t.Errorf("%s: response %s has no description", op.Op, status)
		}
	}
}

// walk resolves every reference, and wants every schema to say a type of JSON
// Schema.
func walk(t *testing.T, doc map[string]any, v any, at string) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if ref, is := v["$ref"].(string); is {
			if !strings.HasPrefix(ref, "#/") || resolve(doc, ref) == nil {
				t.Errorf("%s: %s leads nowhere", at, ref)
			}
		}
		if s, is := v["schema"].(map[string]any); is && s["$ref"] == nil && s["type"] == nil {
			t.Errorf("%s: a schema without type", at)
		}
		if _, old := v["nullable"]; old {
			t.Errorf("%s: nullable is OpenAPI 3.0", at)
		}
		for name, inner := range v {
			walk(t, doc, inner, at+"/"+name)
		}
	case []any:
		for i, inner := range v {
			walk(t, doc, inner, fmt.Sprint(at, "/", i))
		}
	}
}

func resolve(doc map[string]any, ref string) any {
	var at any = doc
	for _, name := range strings.Split(ref[2:], "/") {
		object, is := at.(map[string]any)
		if !is {
			return nil
		}
		at = object[name]
	}
	return at
}

// TestAnswersHaveForms: no row of the table answers with what the inside of the
// program happens to look like.
func TestAnswersHaveForms(t *testing.T) {
	for _, op := range Operations() {
		switch op.Answer.(type) {
		case nil, File, Stream:
			continue
		}
		hasForm(t, string(op.Op), reflect.TypeOf(op.Answer), map[reflect.Type]bool{})
	}
}

func hasForm(t *testing.T, at string, f reflect.Type, seen map[reflect.Type]bool) {
	t.Helper()
	for f.Kind() == reflect.Slice || f.Kind() == reflect.Pointer || f.Kind() == reflect.Map {
		f = f.Elem()
	}
	if f.Kind() != reflect.Struct || f.PkgPath() == "time" || seen[f] {
		return
	}
	seen[f] = true
	if f.PkgPath() != reflect.TypeFor[trouble]().PkgPath() {
		t.Errorf("%s: %s is of another package: declare the form of the answer in package api", at, f)
	}
	for i := range f.NumField() {
		field := f.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`).MatchString(name) {
			t.Errorf("%s: %s.%s has no json tag in lowerCamel", at, f, field.Name)
		}
		hasForm(t, at, field.Type, seen)
	}
}

// TestSchemaNames: no two forms share a name.
func TestSchemaNames(t *testing.T) {
	registry := huma.NewMapRegistry(schemas, schemaName)
	names := map[string]reflect.Type{}
	for _, op := range Operations() {
		if f := reflect.TypeOf(op.Answer); f != nil && f.Kind() == reflect.Struct && f != reflect.TypeFor[File]() {
			ref := registry.Schema(f, true, "").Ref
			if names[ref] != nil && names[ref] != f {
				t.Errorf("%s and %s are both %s", f, names[ref], ref)
			}
			names[ref] = f
		}
	}
}
