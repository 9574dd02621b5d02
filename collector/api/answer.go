package api

// File is the answer of an operation that gives one stored file, byte for byte.
type File struct {
	Name string
	Raw  []byte
}

// Stream is the answer of an operation that writes a file to Input.Out: its media
// type.
type Stream string
