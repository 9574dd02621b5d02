package sat

import "testing"

func TestCancelTables(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to CancelTable
		code     Code
		want     Code
	}{
		{"validation, to new", OldTable, NewTable, 7007, 7010},
		{"blocked by the taxpayer, to new", OldTable, NewTable, 7003, 7006},
		{"blocked by the SEFAZ, to new", OldTable, NewTable, 7004, 7007},
		{"validation, to old", NewTable, OldTable, 7010, 7007},
		{"blocked by the taxpayer, to old", NewTable, OldTable, 7006, 7003},
		{"not activated, to old", NewTable, OldTable, 7002, 7099},
		{"the same table", NewTable, NewTable, 7007, 7007},
		{"cancelled", OldTable, NewTable, 7000, 7000},
		{"wrong activation code", NewTable, OldTable, 7001, 7001},
		{"busy", OldTable, NewTable, 7098, 7098},
		{"a sale's code", OldTable, NewTable, 6007, 6007},
	} {
		if got := c.from.Convert(c.code, c.to); got != c.want {
			t.Errorf("%s: %s becomes %s, want %s", c.name, c.code, got, c.want)
		}
	}
}
