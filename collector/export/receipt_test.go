package export

import (
	"fmt"
	"strings"
	"testing"
)

// TestSold: equal sales say the same whatever their key, number, order of items and payment;
// others do not.
func TestSold(t *testing.T) {
	item := func(code, quantity, amount string) string {
		return "<det nItem=\"1\"><prod><cProd>" + code + "</cProd><qCom>" + quantity + "</qCom><vProd>" + amount + "</vProd></prod></det>"
	}
	sale := func(number int, consumer, total string, items ...string) string {
		return Sold([]byte(fmt.Sprintf(`<NFe><infNFe Id="NFe3525071122233300018165001%09d1000000050" versao="4.00"><ide><nNF>%d</nNF><dhEmi>2025-07-18T12:00:00-03:00</dhEmi></ide>`+
			`<dest><CPF>%s</CPF></dest>%s<total><ICMSTot><vNF>%s</vNF></ICMSTot></total></infNFe></NFe>`, number, number, consumer, strings.Join(items, ""), total)))
	}
	bread, milk := item("1", "2.0000", "5.00"), item("2", "1.0000", "6.00")
	one := sale(7, "52998224725", "11.00", bread, milk)
	if one == "" || sale(8, "52998224725", "11.00", milk, bread) != one {
		t.Error("equal sales differ")
	}
	for name, other := range map[string]string{
		"another consumer": sale(8, "11144477735", "11.00", bread, milk),
		"another total":    sale(8, "52998224725", "10.00", bread, milk),
		"another item":     sale(8, "52998224725", "11.00", bread, item("3", "1.0000", "6.00")),
		"another quantity": sale(8, "52998224725", "11.00", bread, item("2", "2.0000", "6.00")),
		"one item more":    sale(8, "52998224725", "11.00", bread, milk, milk),
		"no items":         sale(8, "52998224725", "11.00"),
		"no document":      Sold([]byte("<x/>")),
	} {
		if other == one {
			t.Errorf("%s: the same", name)
		}
	}
	if sale(7, "52998224725", "11.00") != "" || Sold(nil) != "" {
		t.Error("what sells nothing says something")
	}
}
