package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"zelo/collector/store"
)

// programs are the operations on a real server, for programs with tokens and for
// people with a session in a header of the test's.
type programs struct {
	*bench
	url   string
	clock time.Time
	doc   *huma.OpenAPI
}

func (b *bench) programs() *programs {
	b.t.Helper()
	p := &programs{bench: b, clock: now(), doc: describe(Operations())}
	h, err := NewHTTP(HTTPOptions{API: b.API, Log: slog.New(slog.NewTextHandler(b.log, nil)), Now: func() time.Time { return p.clock },
		Address: func(r *http.Request) netip.Addr { a, _ := netip.ParseAddr(r.Header.Get("X-Test-Address")); return a },
		Caller: func(r *http.Request) (Caller, error) {
			if secret, is := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); is {
				return b.CallerOfToken(r.Context(), secret)
			}
			return b.CallerOf(r.Context(), r.Header.Get("X-Test-Session"))
		}})
	if err != nil {
		b.t.Fatal(err)
	}
	s := httptest.NewServer(h)
	b.t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request with headers given as name and value pairs.
func (p *programs) ask(method, path, body string, header ...string) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{r.StatusCode, r.Header, raw}
}

// asks sends what an operation takes, each value where it belongs.
func (p *programs) asks(op Operation, values map[string]string, header ...string) answer {
	p.t.Helper()
	p.clock = p.clock.Add(time.Second) // nobody asks too often
	at, query, body := Base+op.Path, url.Values{}, map[string]string{}
	for _, param := range op.Params {
		v := values[param.Name]
		switch {
		case param.inPath(op):
			at = strings.Replace(at, "{"+param.Name+"}", url.PathEscape(v), 1)
		case param.Kind == FileBody:
			return p.ask(op.Method, at, "<CFe/>", append(header, "Content-Type", "application/xml")...)
		case op.Method == http.MethodGet && v != "":
			query.Set(param.Name, v)
		case op.Method != http.MethodGet:
			body[param.Name] = v
		}
	}
	if len(query) > 0 {
		at += "?" + query.Encode()
	}
	if len(body) == 0 {
		return p.ask(op.Method, at, "", header...)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.ask(op.Method, at, string(raw), header...)
}

// token is an API token of a person.
func (b *bench) token(c Caller, root, rights string) string {
	b.t.Helper()
	secret, err := b.NewAPIToken(b.t.Context(), c, NewToken{"programa", root, rights, 30})
	if err != nil {
		b.t.Fatal(err)
	}
	return secret
}

// keepsForm fails the test when an answer is not what the description says.
func (p *programs) keepsForm(op Operation, a answer) {
	p.t.Helper()
	paths := p.doc.Paths[op.Path]
	described := map[string]*huma.Operation{"GET": paths.Get, "POST": paths.Post, "PUT": paths.Put, "DELETE": paths.Delete}[op.Method]
	schema := p.doc.Components.Responses["Problem"].Content["application/problem+json"].Schema
	kind := "application/problem+json"
	if a.status < 300 {
		response := described.Responses[fmt.Sprint(a.status)]
		if response == nil {
			p.t.Errorf("%s answers %d, which is not described", op.Op, a.status)
			return
		}
		schema = nil
		if c := response.Content["application/json"]; c != nil {
			schema, kind = c.Schema, "application/json"
		}
	}
	if schema == nil { // a file, or nothing
		return
	}
	if got := a.header.Get("Content-Type"); got != kind {
		p.t.Errorf("%s answers %d as %q", op.Op, a.status, got)
	}
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		p.t.Errorf("%s answers no JSON: %v %s", op.Op, err, a.body)
		return
	}
	if strings.Contains(string(a.body), ":null") {
		p.t.Errorf("%s answers null: %s", op.Op, a.body)
	}
	result := &huma.ValidateResult{}
	huma.Validate(p.doc.Components.Schemas, schema, huma.NewPathBuffer([]byte{}, 0), huma.ModeReadFromServer, v, result)
	for _, err := range result.Errors {
		p.t.Errorf("%s answers in another form: %v", op.Op, err)
	}
	unknown(p.t, p.doc.Components.Schemas, schema, v, string(op.Op))
}

// unknown finds fields that are not described: a form may grow, but not unsaid.
func unknown(t *testing.T, r huma.Registry, s *huma.Schema, v any, at string) {
	t.Helper()
	if s != nil && s.Ref != "" {
		s = r.SchemaFromRef(s.Ref)
	}
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if each, is := s.AdditionalProperties.(*huma.Schema); is {
				unknown(t, r, each, inner, at+"."+name)
				continue
			}
			if s.Properties[name] == nil {
				t.Errorf("%s.%s is not described", at, name)
				continue
			}
			unknown(t, r, s.Properties[name], inner, at+"."+name)
		}
	case []any:
		for _, inner := range v {
			unknown(t, r, s.Items, inner, at+"[]")
		}
	}
}

// TestHTTPIsolation walks the table over HTTP with a token and a session of every
// role, and everything that another tenant has.
func TestHTTPIsolation(t *testing.T) {
	b := setup(t)
	mine, _, other := b.tenants()
	p := b.programs()
	before := b.picture(other)
	for role, c := range mine.byRole {
		ways := map[string]Caller{"X-Test-Session " + p.session(c.Who()): c}
		for _, rights := range b.rightsOf(c) {
			secret := b.token(c, "", rights)
			program, err := b.CallerOfToken(t.Context(), secret)
			if err != nil {
				t.Fatal(err)
			}
			ways["Authorization Bearer "+secret] = program
		}
		for way, c := range ways {
			name, value, _ := strings.Cut(way, " ")
			for _, op := range Operations() {
				p.attacks(role, c, op, other, []string{name, value})
			}
		}
	}
	if after := b.picture(other); after != before {
		t.Errorf("somebody changed what is not theirs:\n%s\nnow:\n%s", before, after)
	}
}

// session is a new session of a person.
func (p *programs) session(email string) string {
	p.t.Helper()
	secret, err := p.NewLink(p.t.Context(), CommandLine(), email)
	if err == nil {
		secret, err = p.SignIn(p.t.Context(), secret, "", email+"-again")
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return secret
}

func (p *programs) attacks(role store.Role, c Caller, op Operation, theirs *tenant, way []string) {
	p.t.Helper()
	if op.Op == OpAudit { // it repeats what the attackers themselves typed
		return
	}
	values := map[string]string{}
	inPath := false
	for _, param := range op.Params {
		v, known := theirs.value(param.Kind)
		if !known {
			p.t.Fatalf("%s: the test knows nothing of kind %q", op.Op, param.Kind)
		}
		if param.Kind == Text {
			v = texts(param.Name)
		}
		inPath = inPath || param.Kind != Text && param.inPath(op)
		values[param.Name] = v
	}
	a := p.asks(op, values, way...)
	p.keepsForm(op, a)
	switch {
	case a.status >= 500 || a.status == 429:
		p.t.Errorf("%s as %s answers %d %s %s", op.Op, role, a.status, a.body, p.log)
	case lacksRight(c, op) && a.status != http.StatusForbidden:
		p.t.Errorf("%s as a token of %s answers %d", op.Op, role, a.status)
	case !c.Is(op.Roles...) && a.status != http.StatusNotFound:
		p.t.Errorf("%s is not for %s, and answers %d %s", op.Op, role, a.status, a.body)
	case inPath && a.status < 300 && op.Op != opNumbersOfDevice:
		p.t.Errorf("%s as %s answers %d %s", op.Op, role, a.status, a.body)
	}
	for _, mark := range theirs.marks() {
		if strings.Contains(string(a.body), mark) {
			p.t.Errorf("%s as %s shows %q: %s", op.Op, role, mark, a.body)
		}
	}
}

// TestHTTPAnswers: what every operation answers to its own people is what the
// description says, with values in it.
func TestHTTPAnswers(t *testing.T) {
	b := filled(t)
	mine, _, _ := b.tenants()
	b.update(func(w *store.Writer) error { return w.SetPlan(mine.cnpj, store.PlanPro) })
	p := b.programs()
	for role, email := range map[store.Role]string{store.RolePlatform: anaEmail, store.RoleReseller: mine.resellerAdmin.Email, store.RoleTechnician: mine.technician.Email,
		store.RoleTaxpayer: mine.owner.Email, store.RoleAccountant: mine.book.Email} {
		c := b.person(email)
		ways := [][]string{{"X-Test-Session", p.session(email)}}
		ways = append(ways, []string{"Authorization", "Bearer " + b.token(c, "", "")})
		for _, op := range Operations() {
			if !c.Is(op.Roles...) || op.Method != "GET" || op.Op == opNumbersOfSeries {
				continue
			}
			values := map[string]string{}
			for _, param := range op.Params {
				if values[param.Name], _ = mine.value(param.Kind); param.Kind == Text {
					values[param.Name] = ""
				}
			}
			for _, way := range ways {
				a := p.asks(op, values, way...)
				if a.status != http.StatusOK {
					t.Errorf("%s as %s by %s answers %d %s %s", op.Op, role, way[0], a.status, a.body, b.log)
				}
				p.keepsForm(op, a)
				if strings.Contains(string(a.body), cpf) && !withCPF()[op.Op] {
					t.Errorf("%s as %s shows a CPF: %s", op.Op, role, a.body)
				}
			}
		}
	}
	session, done := p.session(anaEmail), 0
	for _, op := range Operations() {
		if op.Method == "GET" {
			continue
		}
		values := map[string]string{}
		for _, param := range op.Params {
			if values[param.Name], _ = mine.value(param.Kind); param.Kind == Text {
				values[param.Name] = texts(param.Name)
			}
		}
		a := p.asks(op, values, "X-Test-Session", session)
		p.keepsForm(op, a)
		if a.status < 300 {
			done++
		}
	}
	if done < 10 {
		t.Errorf("only %d changes were made", done)
	}
	if strings.Contains(b.log.String(), "level=ERROR") {
		t.Error(b.log)
	}
}

// TestHTTPToken: a token sees what the plan, the person and its own taxpayer allow,
// as long as it stands.
func TestHTTPToken(t *testing.T) {
	b := setup(t)
	mine, sibling, _ := b.tenants()
	p := b.programs()
	all := "Bearer " + b.token(mine.byRole[store.RoleReseller], "", "")
	one := "Bearer " + b.token(mine.byRole[store.RoleReseller], mine.root, "")
	sees := func(token string, mines, siblings bool) {
		t.Helper()
		for path, found := range map[string][2]bool{"/tills": {mines, siblings}, "/documents": {mines, siblings}, "/taxpayers": {mines, siblings}} {
			a := p.ask("GET", Base+path, "", "Authorization", token)
			if a.status != http.StatusOK || strings.Contains(string(a.body), mine.cnpj) != found[0] || strings.Contains(string(a.body), sibling.cnpj) != found[1] {
				t.Errorf("%s answers %d %s", path, a.status, a.body)
			}
		}
	}
	for _, cnpj := range []string{mine.cnpj, sibling.cnpj} {
		b.update(func(w *store.Writer) error { return w.SetPlan(cnpj, store.PlanLite) })
	}
	a := p.ask("GET", Base+"/documents", "", "Authorization", all)
	if strings.Contains(string(a.body), mine.cnpj) {
		t.Errorf("without the plan a program sees %s", a.body)
	}
	for _, cnpj := range []string{mine.cnpj, sibling.cnpj} {
		b.update(func(w *store.Writer) error { return w.SetPlan(cnpj, store.PlanPro) })
	}
	sees(all, true, true)
	sees(one, true, false)
	b.update(func(w *store.Writer) error { return w.LockOut(mine.resellerAdmin.ID, now()) })
	if a := p.ask("GET", Base+"/tills", "", "Authorization", all); a.status != http.StatusUnauthorized {
		t.Errorf("a token that was revoked answers %d", a.status)
	}
}

// TestHTTPOriginal: the bytes come as they are, named by their hash.
func TestHTTPOriginal(t *testing.T) {
	b := filled(t)
	p := b.programs()
	records, err := issued()
	if err != nil {
		t.Fatal(err)
	}
	token := "Bearer " + b.token(b.ana, "", "")
	var one documentPageAnswer
	a := p.ask("GET", Base+"/documents/"+records[0].Key, "", "Authorization", token)
	if err := json.Unmarshal(a.body, &one); err != nil || one.Document.Key != records[0].Key {
		t.Fatalf("%d %s %v", a.status, a.body, err)
	}
	at := fmt.Sprintf("%s/versions/%d/original", Base, one.Document.ID)
	a = p.ask("GET", at, "", "Authorization", token)
	if !bytes.Equal(a.body, records[0].XML) || a.header.Get("ETag") != `"`+one.Document.SHA256+`"` || a.header.Get("Content-Type") != "application/xml" {
		t.Errorf("%d %v, %d of %d bytes", a.status, a.header, len(a.body), len(records[0].XML))
	}
	if a = p.ask("GET", at, "", "Authorization", token, "If-None-Match", `"`+one.Document.SHA256+`"`); a.status != http.StatusNotModified || len(a.body) > 0 {
		t.Errorf("what is known already is sent again: %d", a.status)
	}
}

// TestHTTPImport: a document sent is stored as it is.
func TestHTTPImport(t *testing.T) {
	b := setup(t)
	p := b.programs()
	records, err := issued()
	if err != nil {
		t.Fatal(err)
	}
	session := p.session(anaEmail)
	a := p.ask("POST", Base+"/documents", string(records[0].XML), "X-Test-Session", session, "Content-Type", "application/xml")
	if a.status != http.StatusOK || !strings.Contains(string(a.body), `"verdict":"verified"`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if found, err := b.Search(t.Context(), b.ana, Query{Text: records[0].Key}); err != nil || len(found.Documents) != 1 {
		t.Errorf("%d documents, %v", len(found.Documents), err)
	}
}

// TestHTTPProblems: what does not work says why, in the form of RFC 9457.
func TestHTTPProblems(t *testing.T) {
	b := filled(t)
	p := b.programs()
	token, session := "Bearer "+b.token(b.ana, "", ""), p.session(anaEmail)
	for _, one := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		says                     string
	}{
		{"nobody", "GET", "/now", "", nil, 401, "Bearer"},
		{"a token that is none", "GET", "/now", "", []string{"Authorization", "Bearer zelo_x"}, 401, "venceu"},
		{"no such path", "GET", "/nada", "", []string{"Authorization", token}, 404, "não existe"},
		{"no such method", "DELETE", "/tills", "", []string{"Authorization", token}, 404, "não existe"},
		{"no such document", "GET", "/documents/1234567", "", []string{"Authorization", token}, 404, "não existe"},
		{"a number that is none", "GET", "/alarms/x", "", []string{"Authorization", token}, 404, "não existe"},
		{"a token that writes", "POST", "/resellers", `{"name":"Nova"}`, []string{"Authorization", token}, 403, "não faz isto"},
		{"a token without the right", "POST", "/alarms/1/take", "", []string{"Authorization", token}, 403, "direito alarms"},
		{"a misspelt parameter", "GET", "/documents?device=1", "", []string{"Authorization", token}, 422, "device"},
		{"a parameter twice", "GET", "/documents?text=1&text=2", "", []string{"Authorization", token}, 422, "mais de uma vez"},
		{"a CPF in the address", "GET", "/documents?text=529.982.247-25", "", []string{"Authorization", token}, 422, "CPF"},
		{"a month that is none", "GET", "/exports/originals.zip?month=202513", "", []string{"Authorization", token}, 422, "mês"},
		{"a body that is no JSON", "POST", "/resellers", `{`, []string{"X-Test-Session", session}, 422, "JSON"},
		{"a list for a text", "POST", "/resellers", `{"name":["a"]}`, []string{"X-Test-Session", session}, 422, "name"},
		{"a body of another kind", "POST", "/resellers", `name=a`, []string{"X-Test-Session", session, "Content-Type", "text/plain"}, 415, "JSON"},
		{"a number in a body that is none", "POST", "/taxpayers/11111111/reseller", `{"reseller":"a"}`, []string{"X-Test-Session", session}, 422, "reseller"},
		{"a name without letters", "POST", "/resellers", `{"name":" "}`, []string{"X-Test-Session", session}, 422, "nome"},
		{"a body too large", "POST", "/resellers", `{"name":"` + strings.Repeat("a", MaxBody) + `"}`, []string{"X-Test-Session", session}, 413, "4 MiB"},
	} {
		t.Run(one.name, func(t *testing.T) {
			a := p.ask(one.method, Base+one.path, one.body, one.header...)
			var told trouble
			err := json.Unmarshal(a.body, &told)
			if err != nil || a.status != one.status || told.Status != one.status || !strings.Contains(told.Title+told.Detail, one.says) {
				t.Errorf("%d %s %v", a.status, a.body, err)
			}
			if a.header.Get("Content-Type") != "application/problem+json" || (a.header.Get("WWW-Authenticate") != "") != (one.status == 401) {
				t.Errorf("headers %v", a.header)
			}
		})
	}
	if strings.Contains(b.log.String(), cpf) || strings.Contains(b.log.String(), "529.982") {
		t.Error("the log has a CPF")
	}
}

// TestHTTPLimits: who asks too often waits, and nobody else.
func TestHTTPLimits(t *testing.T) {
	b := setup(t)
	p := b.programs()
	first, second := "Bearer "+b.token(b.ana, "", ""), "Bearer "+b.token(b.ana, "", "")
	now := func(token, address string) answer {
		return p.ask("GET", Base+"/resellers", "", "Authorization", token, "X-Test-Address", address)
	}
	for i := range 50 {
		if a := now(first, "192.0.2.1"); a.status != http.StatusOK {
			t.Fatalf("request %d answers %d", i, a.status)
		}
	}
	if a := now(first, "192.0.2.1"); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" {
		t.Errorf("the 51st at once answers %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	if a := now(second, "192.0.2.1"); a.status != http.StatusOK {
		t.Errorf("another token answers %d", a.status)
	}
	p.clock = p.clock.Add(100 * time.Millisecond)
	if a := now(first, "192.0.2.1"); a.status != http.StatusOK {
		t.Errorf("a tenth of a second later it answers %d", a.status)
	}
	statuses := map[int]int{}
	for range 300 {
		statuses[now("Bearer nobody", "2001:db8::1").status]++
	}
	if statuses[401] != 200 || statuses[429] != 100 {
		t.Errorf("300 guesses at once answer %v", statuses)
	}
	if a := now(second, "2001:db8::2"); a.status != http.StatusTooManyRequests {
		t.Errorf("the same network answers %d", a.status)
	}
	if a := now(second, "2001:db8:0:1::2"); a.status != http.StatusOK {
		t.Errorf("another network answers %d", a.status)
	}
}

// TestLimiterForgets: who asks from ever new addresses takes no memory.
func TestLimiterForgets(t *testing.T) {
	l := limiter{rate: 1, burst: 1, most: 10}
	l.wait("regular", now())
	for i := range 1000 {
		l.wait(fmt.Sprint(i), now())
		if i%5 == 0 && l.wait("regular", now()) == 0 {
			t.Fatalf("one who asks often is forgotten after %d others", i)
		}
	}
	if n := len(l.young) + len(l.old); n > 20 {
		t.Errorf("%d are remembered", n)
	}
}

// TestExportsAtOnce: a person has two exports under way at most, and all together three.
func TestExportsAtOnce(t *testing.T) {
	b := filled(t)
	started, wait := make(chan struct{}), make(chan struct{})
	done := make(chan error, 3)
	begin := func(c Caller) {
		go func() {
			_, err := b.ExportZIP(t.Context(), c, Selection{}, &slowWriter{started: started, wait: wait})
			done <- err
		}()
		<-started
	}
	begin(b.ana)
	begin(b.ana)
	p := b.programs()
	a := p.ask("GET", Base+"/exports/originals.zip", "", "Authorization", "Bearer "+b.token(b.ana, "", ""))
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "60" {
		t.Errorf("a third answers %d %s", a.status, a.body)
	}
	other := b.person("rui@example.com")
	if _, err := b.ExportCSV(t.Context(), other, Selection{}, io.Discard); err != nil {
		t.Errorf("another person's: %v", err)
	}
	begin(other)
	var busy *Busy
	if _, err := b.ExportCSV(t.Context(), other, Selection{}, io.Discard); !errors.As(err, &busy) {
		t.Errorf("a fourth of all: %v", err)
	}
	close(wait)
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if a := p.ask("GET", Base+"/exports/originals.zip", "", "Authorization", "Bearer "+b.token(b.ana, "", "")); a.status != http.StatusOK || a.header.Get("Content-Type") != "application/zip" {
		t.Errorf("afterwards it answers %d", a.status)
	}
}

// slowWriter tells of its first write and goes on when told.
type slowWriter struct {
	started, wait chan struct{}
	begun         bool
}

func (s *slowWriter) Write(b []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.started <- struct{}{}
		<-s.wait
	}
	return len(b), nil
}

// TestDownloadCut: a file that fails on the way does not look whole.
func TestDownloadCut(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := NewDownload(w, "application/zip", path.Base(r.URL.Path))
		if d.Cut() {
			t.Error("nothing has begun")
		}
		d.Write(bytes.Repeat([]byte("x"), 100_000))
		if !d.Cut() {
			t.Error("it has begun")
		}
	}))
	defer s.Close()
	r, err := http.Get(s.URL + "/a.zip")
	if err == nil {
		defer r.Body.Close()
		_, err = io.ReadAll(r.Body)
	}
	if err == nil {
		t.Error("a cut download is whole")
	}
}
