package link

import (
	"io"
	"testing"
)

func newPTY(t *testing.T) (till, dev io.ReadWriteCloser) {
	t.Skip("SKIP: pseudo terminals need Unix")
	return nil, nil
}
