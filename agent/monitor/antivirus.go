package monitor

import "zelo/agent/wire"

// productState reads how a product told Windows' security center that it is: in the
// second byte whether it watches, in the first whether its knowledge is old.
func productState(state uint32) string {
	switch {
	case state>>12&0xf != 1:
		return wire.AntivirusOff
	case state>>4&0xf == 1:
		return wire.AntivirusOutdated
	}
	return wire.AntivirusOn
}
