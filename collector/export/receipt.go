package export

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"zelo/sat"
	"zelo/sat/cfe"
)

// Receipt is what the printed receipt (extrato) of a document shows beside its
// head (dossier 3). Amounts are decimals with a dot, as printed in the document.
type Receipt struct {
	Products, Discount, Addition, Total, Change string
	Payments                                    []cfe.Payment
	Items                                       []Item
}

// Item is one line of a receipt.
type Item struct {
	Number      string `xml:"nItem,attr"`
	Code        string `xml:"prod>cProd"`
	Description string `xml:"prod>xProd"`
	Quantity    string `xml:"prod>qCom"`
	Unit        string `xml:"prod>uCom"`
	Price       string `xml:"prod>vUnCom"`
	Gross       string `xml:"prod>vProd"`
	Discount    string `xml:"prod>vDesc"`
	Addition    string `xml:"prod>vOutro"`
}

// maxItems bounds the items read; a CF-e has at most 500 and a note 990.
const maxItems = 1000

// ReadReceipt reads a receipt from a document's bytes.
func ReadReceipt(raw []byte) (Receipt, error) {
	doc, err := cfe.Parse(raw)
	if err != nil {
		return Receipt{}, fmt.Errorf("cannot read the receipt of a document: %w", err)
	}
	t := doc.Totals
	return Receipt{Products: t.Products, Discount: t.SubtotalDiscount, Addition: t.SubtotalAddition, Total: doc.Total,
		Change: t.Change, Payments: doc.Payments, Items: items(raw)}, nil
}

// Sold says what a document sells to whom, the same for equal sales: its total, its
// consumer, and the code, quantity and amount of each item in whatever order. It is "" for
// a document without any.
func Sold(raw []byte) string {
	doc, err := cfe.Parse(raw)
	list := items(raw)
	if err != nil || len(list) == 0 {
		return ""
	}
	words := make([]string, len(list))
	for i, it := range list {
		words[i] = fmt.Sprintf("%q %s %s", it.Code, it.Quantity, it.Gross)
	}
	slices.Sort(words)
	return strings.Join(append(words, doc.Total, doc.Consumer), "\n")
}

// items reads as many items as can be read.
func items(raw []byte) []Item {
	d := xml.NewDecoder(bytes.NewReader([]byte(sat.Text(raw))))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // already decoded
	var out []Item
	for len(out) < maxItems {
		token, err := d.Token()
		if err != nil {
			break
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "det" {
			continue
		}
		var i Item
		if err := d.DecodeElement(&i, &start); err != nil {
			break
		}
		i.Description = strings.TrimSpace(i.Description)
		out = append(out, i)
	}
	return out
}
