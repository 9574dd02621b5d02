package cfe

// computed are the amounts a device works out for a sale, in cents.
type computed struct {
	items    []itemAmounts
	icms     totals // of all items up to layout 0.07, of the ICMS items from 0.08
	iss      totals
	hasICMS  bool // from 0.08 ICMSTot is left out when no item has ICMS
	hasISSQN bool
	total    int64 // vCFe
	paid     int64 // sum of vMP
}

// itemAmounts are the amounts of one item.
type itemAmounts struct {
	product, discount, other, item int64 // vProd, vDesc, vOutro, vItem
	shareDiscount, shareAddition   int64 // vRatDesc, vRatAcr
	icms, issBase, iss             int64
	pis, pisST, cofins, cofinsST   int64
	service                        bool // an item of ISSQN
}

// totals are the sums of ICMSTot; ISSQNtot has iss and issBase instead of the
// first four.
type totals struct {
	icms, product, discount, other int64
	iss, issBase                   int64
	pis, pisST, cofins, cofinsST   int64
}

func (t *totals) contributions(i itemAmounts) {
	t.pis += i.pis
	t.pisST += i.pisST
	t.cofins += i.cofins
	t.cofinsST += i.cofinsST
}

// compute works out a sale by the rules of the dossier, section 1.5. Its refusals
// are 1998 for a negative result, 1220 and 1228 for a discount or addition that
// cannot be shared out, 1999 for numbers that cannot be read or do not fit.
func compute(in *SaleInput, layout int) (*computed, *Refusal) {
	c := &computed{items: make([]itemAmounts, len(in.Items))}
	for n := range in.Items {
		if r := c.items[n].before(&in.Items[n]); r != nil {
			return nil, r.in(n)
		}
	}
	if r := c.shareOut(in); r != nil {
		return nil, r
	}
	for n := range in.Items {
		i := &c.items[n]
		if r := i.after(&in.Items[n]); r != nil {
			return nil, r.in(n)
		}
		c.total += i.item
		c.add(*i, layout)
	}
	for _, p := range in.Payments {
		v, ok := decimal(p.Value, 13, 2)
		if !ok {
			return nil, &Refusal{1999, "pgto/MP/vMP"}
		}
		c.paid += v
	}
	if c.total >= maxAmount || c.paid >= maxAmount {
		return nil, &Refusal{1999, "total/vCFe"}
	}
	return c, nil
}

// before works out what does not depend on the other items; item is the
// provisional vItem by which discounts and additions are shared out.
func (i *itemAmounts) before(it *Item) *Refusal {
	quantity, ok1 := decimal(it.Quantity, 11, 4)
	price, ok2 := unitPrice(it.Price)
	var ok3, ok4, ok5 bool
	i.product, ok3 = quotient(quantity, price, 1e5, it.Rule == "T")
	i.discount, ok4 = cents(it.Discount)
	i.other, ok5 = cents(it.Other)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return &Refusal{1999, "prod/vProd"}
	}
	i.service = it.ISSQN.Given
	i.item = i.product - i.discount + i.other
	if i.item < 0 {
		return &Refusal{1998, "prod/vItem"}
	}
	return nil
}

// unitPrice reads vUnCom in thousandths: two decimals or, for fuel, three.
func unitPrice(s string) (int64, bool) {
	if n, ok := decimal(s, 12, 3); ok {
		return n, true
	}
	n, ok := decimal(s, 12, 2)
	return n * 10, ok
}

// shareOut divides the discount and the addition of the subtotal. With
// indRatISSQN = N services take no part in the discount.
func (c *computed) shareOut(in *SaleInput) *Refusal {
	discount, ok1 := cents(in.SubtotalDiscount)
	addition, ok2 := cents(in.SubtotalAddition)
	if !ok1 || !ok2 {
		return &Refusal{1999, "total/DescAcrEntr"}
	}
	all := make([]int64, len(c.items))
	discountable := make([]int64, len(c.items))
	for n, i := range c.items {
		all[n] = i.item
		if !i.service || in.ISSShare != "N" {
			discountable[n] = i.item
		}
	}
	discounts, ok := share(discount, discountable)
	if !ok {
		return &Refusal{1220, "total/DescAcrEntr/vDescSubtot"}
	}
	additions, ok := share(addition, all)
	if !ok {
		return &Refusal{1228, "total/DescAcrEntr/vAcresSubtot"}
	}
	for n := range c.items {
		c.items[n].shareDiscount, c.items[n].shareAddition = discounts[n], additions[n]
	}
	return nil
}

// share divides amount in proportion to the weights, each part rounded; what is
// left over or too much goes to the largest part, the first of equals. It is
// false when there is nothing to weigh by or a part would be negative.
func share(amount int64, weights []int64) ([]int64, bool) {
	parts := make([]int64, len(weights))
	if amount == 0 {
		return parts, true
	}
	var base int64
	for _, w := range weights {
		base += w
	}
	rest, largest := amount, -1
	for n, w := range weights {
		if w == 0 {
			continue
		}
		part, ok := quotient(w, amount, base, false)
		if !ok {
			return nil, false
		}
		parts[n] = part
		rest -= part
		if largest < 0 || part > parts[largest] {
			largest = n
		}
	}
	if largest < 0 {
		return nil, false
	}
	parts[largest] += rest
	return parts, parts[largest] >= 0
}

// after works out vItem and the taxes on it.
func (i *itemAmounts) after(it *Item) *Refusal {
	i.item += i.shareAddition - i.shareDiscount
	if i.item < 0 {
		return &Refusal{1998, "prod/vItem"}
	}
	ok := true
	tax := func(base int64, rate string, whole, places int, divisor int64) int64 {
		r, read := decimal(rate, whole, places)
		v, fits := quotient(base, r, divisor, false)
		ok = ok && read && fits
		return v
	}
	contribution := func(c Contribution) int64 {
		switch {
		case c.Quantity != "":
			q, read := decimal(c.Quantity, 12, 4)
			ok = ok && read
			return tax(q, c.UnitRate, 11, 4, 1e6)
		case c.Base != "":
			base, read := cents(c.Base)
			ok = ok && read
			return tax(base, c.Rate, 1, 4, 1e4)
		}
		return 0
	}
	if it.ICMS.Group == "ICMS00" || it.ICMS.Group == "ICMSSN900" {
		i.icms = tax(i.item, it.ICMS.Rate, 3, 2, 1e4)
	}
	if i.service {
		deduction, read := cents(it.ISSQN.Deduction)
		ok = ok && read
		i.issBase = i.item - deduction
		if i.issBase < 0 {
			return &Refusal{1998, "imposto/ISSQN/vBC"}
		}
		i.iss = tax(i.issBase, it.ISSQN.Rate, 3, 2, 1e4)
	}
	i.pis, i.pisST = contribution(it.PIS), contribution(it.PISST)
	i.cofins, i.cofinsST = contribution(it.COFINS), contribution(it.COFINSST)
	if !ok {
		return &Refusal{1999, "imposto"}
	}
	return nil
}

// add sums an item up. ISSQNtot has the services; ICMSTot has all items up to
// 0.07, as a real device's totals show, and those with ICMS from 0.08.
func (c *computed) add(i itemAmounts, layout int) {
	if i.service {
		c.hasISSQN = true
		c.iss.issBase += i.issBase
		c.iss.iss += i.iss
		c.iss.contributions(i)
		if layout >= layout008 {
			return
		}
	}
	c.hasICMS = true
	c.icms.icms += i.icms
	c.icms.product += i.product
	c.icms.discount += i.discount
	c.icms.other += i.other
	c.icms.contributions(i)
}
