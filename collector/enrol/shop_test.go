package enrol

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
)

// The certificate names the establishment the token was made for, and nobody can
// make a token speak for another.
func TestTokenOfAnEstablishment(t *testing.T) {
	r, _, _, c := setup(t)
	ctx := context.Background()
	const shop = "11222333000181"
	text, err := r.NewShopToken(ctx, shop, "loja 1", 9, c.t.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	secret, _, _ := strings.Cut(text, ".")
	bare, _ := token(t, r, 9, c.t.Add(time.Hour))
	for _, w := range []struct {
		name, secret, want string
		err                error
	}{
		{"of the establishment", secret, shop, nil},
		{"of none", bare, "", nil},
		{"for another one", strings.Replace(secret, shop, "11222333000262", 1), "", ErrTokenUnknown},
		{"without it", strings.TrimSuffix(secret, shopMark+shop), "", ErrTokenUnknown},
		{"one added", bare + shopMark + shop, "", ErrTokenUnknown},
		{"not a CNPJ added", bare + shopMark + "\xff", "", ErrTokenUnknown},
	} {
		id, err := r.Issue(ctx, w.secret, csr(t, newKey(t)), "caixa-1")
		if !errors.Is(err, w.err) {
			t.Errorf("%s: %v", w.name, err)
		}
		if err != nil {
			continue
		}
		subject := leaf(t, id.Certificate).Subject
		if got := wire.Establishment(subject); got != w.want || subject.CommonName != id.Agent {
			t.Errorf("%s: the certificate is of %q, %q", w.name, subject.CommonName, got)
		}
	}
	if _, err := r.NewShopToken(ctx, "11.222.333/0001-81", "loja 1", 1, c.t.Add(time.Hour)); err == nil {
		t.Error("a CNPJ with punctuation was taken")
	}
}
