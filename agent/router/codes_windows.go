package router

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/windows"
)

// seal has Windows encrypt for this machine (DPAPI), with our key as what it
// calls entropy: a copy of the files is worth nothing elsewhere, nor here to who
// cannot read the key.
func seal(key, plain []byte) ([]byte, error) {
	return protect(plain, func(in, out *windows.DataBlob) error {
		return windows.CryptProtectData(in, nil, blob(key), 0, nil,
			windows.CRYPTPROTECT_LOCAL_MACHINE|windows.CRYPTPROTECT_UI_FORBIDDEN, out)
	})
}

func unseal(key, sealed []byte) ([]byte, error) {
	return protect(sealed, func(in, out *windows.DataBlob) error {
		return windows.CryptUnprotectData(in, nil, blob(key), 0, nil, windows.CRYPTPROTECT_UI_FORBIDDEN, out)
	})
}

// protect copies what the system made of data into memory of ours.
func protect(data []byte, do func(in, out *windows.DataBlob) error) ([]byte, error) {
	if len(data) == 0 {
		return nil, errors.New("file empty")
	}
	var out windows.DataBlob
	if err := do(blob(data), &out); err != nil {
		return nil, err
	}
	defer windows.LocalFree(windows.Handle(unsafe.Pointer(out.Data)))
	return append([]byte(nil), unsafe.Slice(out.Data, out.Size)...), nil
}

func blob(b []byte) *windows.DataBlob {
	return &windows.DataBlob{Size: uint32(len(b)), Data: unsafe.SliceData(b)}
}
