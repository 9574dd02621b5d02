package sat

// CancelTable names one of the two tables by which devices refuse
// CancelarUltimaVenda; the codes of one mean other things in the other (dossier
// 2.4). Programs are written for either.
type CancelTable uint8

const (
	OldTable CancelTable = iota // 07002 to 07007
	NewTable                    // 07002 to 07010
)

// newCodes are the meanings both tables know, old code to new. 07002 "invalid
// cupom" is a validation in the new one.
var newCodes = map[Code]Code{7002: 7010, 7003: 7006, 7004: 7007, 7005: 7008, 7006: 7009, 7007: 7010}

// oldCodes go the other way. The new table's 07002 and 07003 (not activated, not
// linked) have no place in the old one and become its "unknown error"; 07004, the
// link that does not match, is a validation there.
var oldCodes = map[Code]Code{7002: 7099, 7003: 7099, 7004: 7007, 7006: 7003, 7007: 7004, 7008: 7005, 7009: 7006, 7010: 7007}

// Convert gives the code of table t that means in table to what c means in t. All
// other codes stay.
func (t CancelTable) Convert(c Code, to CancelTable) Code {
	table := newCodes
	if t == NewTable {
		table = oldCodes
	}
	if converted, ok := table[c]; ok && t != to {
		return converted
	}
	return c
}
