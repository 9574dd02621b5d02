package cfe

import (
	"strings"
	"testing"
	"time"
)

func TestCancelInput(t *testing.T) {
	key := issued(t, "0.08").Key
	in, err := ParseCancel(cancelText(t, key))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := in.Key(); !ok || got != key || in.DevHouse != "11444777000161" || in.Till != "001" {
		t.Errorf("%+v", in)
	}
	if _, err := ParseCancel([]byte("<CFeCanc>")); err == nil {
		t.Error("a cut input was read")
	}
}

func TestCheckCancellation(t *testing.T) {
	sold, err := Parse(issued(t, "0.08").XML)
	if err != nil {
		t.Fatal(err)
	}
	other := sold
	other.Key = mustOtherKey(t)
	late := rules("0.08")
	late.Now = noon().Add(30*time.Minute + time.Second)
	just := rules("0.08")
	just.Now = noon().Add(30 * time.Minute)
	back := rules("0.08")
	back.Last = noon().Add(time.Second)
	signed := rules("0.08")
	signed.SignAC = "x"
	text := string(cancelText(t, sold.Key))
	for name, c := range map[string]struct {
		from, to  string
		rules     Rules
		sale      *Document
		cancelled bool
		code      int
	}{
		"good":                        {"", "", rules("0.08"), &sold, false, 0},
		"good after 30 minutes sharp": {"", "", just, &sold, false, 0},
		"a second later":              {"", "", late, &sold, false, 1412},
		"not held by the device":      {"", "", rules("0.08"), nil, false, 1412},
		"another sale":                {"", "", rules("0.08"), &other, false, 1412},
		"cancelled already":           {"", "", rules("0.08"), &sold, true, 1218},
		"clock turned back":           {"", "", back, &sold, false, 1258},
		"no prefix before the key":    {"CFe35", "35", rules("0.08"), &sold, false, 1270},
		"prefix in another case":      {`"CFe35`, `"Cfe35`, rules("0.08"), &sold, false, 1270},
		"key's digit":                 {string(sold.Key), string(sold.Key[:43]) + "9", rules("0.08"), &sold, false, 1270},
		"no group emit":               {"<emit/>", "", rules("0.08"), &sold, false, 1999},
		"unknown element":             {"<total/>", "<total><vCFe>1.00</vCFe></total>", rules("0.08"), &sold, false, 1999},
		"software house":              {"11444777000161", "11444777000162", rules("0.08"), &sold, false, 1454},
		"no signAC":                   {"<signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC>", "", rules("0.08"), &sold, false, 1455},
		"another signAC":              {"", "", signed, &sold, false, 1085},
		"till":                        {"<numeroCaixa>001", "<numeroCaixa>1", rules("0.08"), &sold, false, 1999},
		"consumer named after 0.06":   {"<dest/>", "<dest><CPF>52998224725</CPF></dest>", rules("0.07"), &sold, false, 1999},
		"consumer named in 0.06":      {"<dest/>", "<dest><CPF>52998224725</CPF></dest>", rules("0.06"), &sold, false, 0},
		"another CPF in 0.06":         {"<dest/>", "<dest><CPF>11144477735</CPF></dest>", rules("0.06"), &sold, false, 1233},
		"another CNPJ in 0.06":        {"<dest/>", "<dest><CNPJ>16716114000172</CNPJ></dest>", rules("0.06"), &sold, false, 1232},
		"a sale instead of a cancel":  {"CFeCanc>", "CFe>", rules("0.08"), &sold, false, 1999},
		"consumer of a sale not held": {"<dest/>", "<dest><CPF>52998224725</CPF></dest>", rules("0.06"), nil, false, 1412},
		"device of an unknown layout": {"", "", rules("0.05"), &sold, false, 1999},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := ParseCancel([]byte(strings.ReplaceAll(text, orNothing(c.from), c.to)))
			if err != nil {
				t.Fatal(err)
			}
			refusal := in.Check(c.rules, c.sale, c.cancelled)
			if (refusal == nil) != (c.code == 0) || (refusal != nil && refusal.Code != c.code) {
				t.Errorf("%v, expected %d", refusal, c.code)
			}
		})
	}
}

// orNothing makes an edit that finds nothing of an empty one.
func orNothing(s string) string {
	if s == "" {
		return "\x00"
	}
	return s
}

func TestCancellationOfASaleToACompany(t *testing.T) {
	doc := Document{Key: issued(t, "0.08").Key, Issued: noon(), Total: "1.00", Consumer: "16716114000172"}
	in, err := ParseCancel(cancelText(t, doc.Key))
	if err != nil {
		t.Fatal(err)
	}
	out, err := IssueCancel(in, doc, padaria(), stamp("0.08", 2), device(t))
	if err != nil || !strings.Contains(string(out.XML), "<dest><CNPJ>16716114000172</CNPJ></dest>") {
		t.Errorf("error %v\n%s", err, out.XML)
	}
}
