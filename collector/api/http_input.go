package api

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"zelo/collector/ingest"
)

// read is the input of a request: the parameters that the operation has, and no
// others, because one that is misspelt would silently not narrow.
func read(op Operation, r *http.Request) (Input, error) {
	in := Input{Values: map[string]string{}}
	given, err := given(op, r, &in)
	if err != nil {
		return in, err
	}
	for _, p := range op.Params {
		v := given[p.Name]
		delete(given, p.Name)
		if p.inPath(op) {
			v = r.PathValue(p.Name)
		}
		if _, err := strconv.ParseInt(v, 10, 64); err != nil && v != "" && p.Kind.numeric() {
			if p.inPath(op) {
				return in, ErrNotFound
			}
			return in, problem("O parâmetro %s é um número.", p.Name)
		}
		in.Values[p.Name] = v
	}
	for name := range given {
		return in, problem("Não existe o parâmetro %q neste endereço.", name)
	}
	return in, nil
}

func (p Param) inPath(op Operation) bool { return strings.Contains(op.Path, "{"+p.Name+"}") }

// numeric tells whether what a kind names is a number.
func (k Kind) numeric() bool {
	switch k {
	case VersionID, AlarmID, RecordID, ResellerID, PersonID, GrantID, TokenID, OrderID, EnrolmentID, ChannelID:
		return true
	}
	return false
}

// given are the parameters as they came beside the path.
func given(op Operation, r *http.Request, in *Input) (map[string]string, error) {
	out := map[string]string{}
	for name, values := range r.URL.Query() {
		if op.Method != http.MethodGet || len(values) != 1 {
			return nil, problem("O parâmetro %q não pode estar no endereço, ou está nele mais de uma vez.", name)
		}
		out[name] = values[0]
	}
	if op.Method == http.MethodGet || r.ContentLength == 0 {
		return out, nil
	}
	return out, body(op, r, out, in)
}

// body reads what a POST sends: a document where the operation takes one, otherwise
// a JSON object of texts, numbers and truth values.
func body(op Operation, r *http.Request, out map[string]string, in *Input) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if op.takesFile() {
		if kind != "application/xml" && kind != "text/xml" {
			return errMedia
		}
		raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBody))
		in.Files = []ingest.File{{Name: "api.xml", Raw: raw}}
		return err
	}
	if kind != "application/json" {
		return errMedia
	}
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBody))
	if err != nil {
		return err
	}
	var object map[string]any
	if json.Unmarshal(raw, &object) != nil {
		return problem("O corpo do pedido não é um objeto JSON.")
	}
	for name, v := range object {
		switch v := v.(type) {
		case string:
			out[name] = v
		case bool:
			out[name] = strconv.FormatBool(v)
		case float64:
			out[name] = strconv.FormatFloat(v, 'f', -1, 64)
		default:
			return problem("O parâmetro %s é um texto ou um número.", name)
		}
	}
	return nil
}

// takesFile tells whether the operation takes a document as the body of its request.
func (op Operation) takesFile() bool {
	for _, p := range op.Params {
		if p.Kind == FileBody {
			return true
		}
	}
	return false
}
